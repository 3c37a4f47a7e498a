//! The body of a request to a vendor.

use serde::Serialize;

use crate::json;

/// Room for what most ask: the instructions that every request has, a prompt of some paragraphs.
const ROOM_BYTES: usize = 2 << 10;

/// `body` as JSON.
pub(super) fn json_body(body: &impl Serialize) -> Vec<u8> {
    json::with_room(ROOM_BYTES, body)
}
