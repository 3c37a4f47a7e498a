//! The status page at `GET /`, and the files that it loads: plain ones, in the binary, from nowhere else.
//!
//! It stands before authentication: there is nothing in it but the page. Its numbers come from `GET /llm/status`, with the token
//! that the page asks for where one is wanted.

mod asset;

use std::{collections::HashMap, sync::LazyLock};

use axum::{extract::Path, http::HeaderMap, response::Response};

use crate::error::ApiError;

use super::not_found;
use asset::{Asset, Lasting};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// A file of this folder that is the same for as long as this binary runs, and may be another in the next.
macro_rules! ours {
    ($name:literal, $kind:expr) => {
        ($name, Asset::new($kind, Lasting::Checked, include_bytes!($name)))
    };
}

/// A file of a package whose version is in its path.
macro_rules! vendored {
    ($name:literal, $kind:expr) => {
        (concat!("uplot-1.6.32/", $name), Asset::new($kind, Lasting::ForGood, include_bytes!(concat!("uplot/", $name))))
    };
}

static PAGE: LazyLock<Asset> = LazyLock::new(|| Asset::new(HTML, Lasting::Checked, include_bytes!("index.html")));

/// By what stands behind `/assets/`. Made once, when somebody opens the page first: compressing takes some milliseconds.
static ASSETS: LazyLock<HashMap<&str, Asset>> = LazyLock::new(|| {
    HashMap::from([
        ours!("page.css", CSS),
        ours!("icon.svg", SVG),
        ours!("page.js", SCRIPT),
        ours!("api.js", SCRIPT),
        ours!("access.js", SCRIPT),
        ours!("poll.js", SCRIPT),
        ours!("pulse.js", SCRIPT),
        ours!("tiles.js", SCRIPT),
        ours!("charts.js", SCRIPT),
        ours!("chart.js", SCRIPT),
        ours!("state.js", SCRIPT),
        ours!("recent.js", SCRIPT),
        ours!("playground.js", SCRIPT),
        ours!("events.js", SCRIPT),
        ours!("receipt.js", SCRIPT),
        ours!("failure.js", SCRIPT),
        ours!("models.js", SCRIPT),
        ours!("outcomes.js", SCRIPT),
        ours!("format.js", SCRIPT),
        ours!("dom.js", SCRIPT),
        vendored!("uPlot.iife.min.js", SCRIPT),
        vendored!("uPlot.min.css", CSS),
        vendored!("LICENSE", TEXT),
    ])
});

/// The status page, for people.
#[utoipa::path(
    get,
    path = "/",
    operation_id = "page",
    tag = "service",
    responses(
        (status = 200, description = "A page that shows how the service is doing, and asks it something.", body = String,
            content_type = "text/html; charset=utf-8",
            headers(("ETag", description = "Names just this page."), ("Content-Security-Policy", description = "What it may load."))),
        (status = 304, description = "`If-None-Match` names the page as it is."),
    ),
)]
pub async fn page(headers: HeaderMap) -> Response {
    PAGE.reply(&headers)
}

/// A file of the status page.
///
/// # Errors
/// 404 when there is none of this name.
#[utoipa::path(
    get,
    path = "/assets/{name}",
    operation_id = "page_asset",
    tag = "service",
    params(("name" = String, Path, description = "As the page has it.", example = "page.js")),
    responses(
        (status = 200, description = "The file.", headers(("ETag", description = "Names just this file.")), content(
            (String = "text/javascript; charset=utf-8"), (String = "text/css; charset=utf-8"), (String = "image/svg+xml"),
            (String = "text/plain; charset=utf-8")
        )),
        (status = 304, description = "`If-None-Match` names the file as it is."),
        (status = 404, description = "There is none of this name."),
    ),
)]
pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    match ASSETS.get(name.as_str()) {
        Some(asset) => Ok(asset.reply(&headers)),
        None => Err(not_found().await),
    }
}
