//! `GET /v1/models`: which models can be asked.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{catalogue::Offer, error::ApiError, http::Api};

use super::resolve::not_found;

/// A list, as `OpenAI` gives it.
#[derive(Serialize, ToSchema)]
pub struct ModelList {
    #[schema(pattern = "^list$")]
    object: &'static str,
    data: Vec<ModelEntry>,
}

/// A model that can be asked.
#[derive(Serialize, ToSchema)]
#[schema(as = Model)]
pub struct ModelEntry {
    /// What a request calls it.
    id: String,
    #[schema(pattern = "^model$")]
    object: &'static str,
    /// When it was made, in seconds since the Unix epoch: 0, because no vendor but one says so.
    created: u64,
    /// The provider.
    owned_by: String,
}

impl From<Offer> for ModelEntry {
    fn from(Offer { name, owner }: Offer) -> Self {
        Self { id: name, object: "model", created: 0, owned_by: owner }
    }
}

/// Lists the models that can be asked, in `OpenAI`'s form.
///
/// They stand there by the shortest names that mean them, the operator's own names first.
#[utoipa::path(
    get,
    path = "/v1/models",
    operation_id = "list_models",
    tag = "models",
    responses((status = 200, description = "All of them.", body = ModelList, example = json!({
        "object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 0, "owned_by": "openai"}]
    }))),
)]
pub async fn models(State(api): State<Arc<Api>>) -> Json<ModelList> {
    let data = api.catalogue.offers().into_iter().map(ModelEntry::from).collect();
    Json(ModelList { object: "list", data })
}

/// Gives one model, by any of its names.
///
/// # Errors
/// 404 when it cannot be asked.
#[utoipa::path(
    get,
    path = "/v1/models/{name}",
    operation_id = "retrieve_model",
    tag = "models",
    params(("name" = String, Path, description = "Such as `gpt-4o` or `openai/gpt-4o`.", example = "gpt-4o")),
    responses(
        (status = 200, description = "The model.", body = ModelEntry,
            example = json!({"id": "gpt-4o", "object": "model", "created": 0, "owned_by": "openai"})),
        (status = 404, description = "It cannot be asked."),
    ),
)]
pub async fn model(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<Json<ModelEntry>, ApiError> {
    let offer = api.catalogue.offer(&name).map_err(|unresolved| not_found(&name, &unresolved))?;
    Ok(Json(offer.into()))
}
