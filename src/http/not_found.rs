//! What is said where there is no route.

use axum::{
    extract::Request,
    http::{Method, StatusCode},
};

use crate::error::ApiError;

/// There is nothing at this path.
pub async fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "Not found").message("There is nothing at this path.")
}

/// There is something at this path, but not for this method. The router adds `Allow`.
pub async fn method_not_allowed(method: Method, _: Request) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
        .message(format!("This path does not answer {method}. The header `Allow` names what it answers."))
}
