//! JSON of what can always be written as JSON: texts, numbers, and what is made of them. What could fail to be (a map whose keys are
//! no texts, a type that says no) is not for this.

use serde::{Serialize, Serializer};

/// Writes `value` behind what is in `json`.
pub fn append(json: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    if serde_json::to_writer(json, value).is_err() {
        unreachable!("texts and numbers are JSON, and a Vec takes all of it");
    }
}

/// `value`, in a buffer that begins with `room` bytes: as many as most need.
pub fn with_room(room: usize, value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    let mut json = Vec::with_capacity(room);
    append(&mut json, value);
    json
}

/// Serializes pairs as an object of these members, in their order.
///
/// # Errors
/// The serializer's own.
pub fn members<S: Serializer>(members: &[(impl Serialize, impl Serialize)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
}
