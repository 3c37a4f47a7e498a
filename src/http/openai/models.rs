//! `GET /v1/models`: which models can be asked.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;

use crate::{catalogue::Offer, error::ApiError, http::Api};

use super::resolve::not_found;

/// A list, as `OpenAI` gives it.
#[derive(Serialize)]
pub struct ModelList {
    object: &'static str,
    data: Vec<ModelEntry>,
}

/// A model that can be asked.
#[derive(Serialize)]
pub struct ModelEntry {
    /// What a request calls it.
    id: String,
    object: &'static str,
    /// When it was made, in seconds since the Unix epoch: 0, because no vendor but one says so.
    created: u64,
    owned_by: String,
}

impl From<Offer> for ModelEntry {
    fn from(Offer { name, owner }: Offer) -> Self {
        Self { id: name, object: "model", created: 0, owned_by: owner }
    }
}

/// All models that can be asked, by the shortest names that mean them; the operator's own names first.
pub async fn models(State(api): State<Arc<Api>>) -> Json<ModelList> {
    let data = api.catalogue.offers().into_iter().map(ModelEntry::from).collect();
    Json(ModelList { object: "list", data })
}

/// One of them, by any of its names.
///
/// # Errors
/// 404 when it cannot be asked.
pub async fn model(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<Json<ModelEntry>, ApiError> {
    let offer = api.catalogue.offer(&name).map_err(|unresolved| not_found(&name, &unresolved))?;
    Ok(Json(offer.into()))
}
