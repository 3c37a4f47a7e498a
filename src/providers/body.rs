//! The body of a request to a vendor.

use serde::Serialize;

/// Room for what most ask: the instructions that every request has, a prompt of some paragraphs.
const ROOM_BYTES: usize = 2 << 10;

/// `body` as JSON.
pub(super) fn json_body(body: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::with_capacity(ROOM_BYTES);
    if serde_json::to_writer(&mut json, body).is_err() {
        unreachable!("texts, numbers and JSON are JSON, and a Vec takes all of it");
    }
    json
}
