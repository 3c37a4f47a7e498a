//! What a generation's answer of the new has to be in itself, whatever the old said.

use serde_json::Value;

use super::{
    Exchange,
    diff::{Delta, Place},
    events::PIECE,
};

/// What is wrong with the answer of the new. No rule explains any of it.
pub(super) fn faults(exchange: &Exchange<'_>) -> Vec<Delta> {
    let new = exchange.new;
    let Some(answer) = new.answer().filter(|_| exchange.request.is_generation()) else { return Vec::new() };
    let metadata = &answer["metadata"];
    let pieces = new.events().map(|events| {
        let pieces = events.iter().filter(|event| event["type"] == PIECE);
        pieces.filter_map(|event| event["text"].as_str()).collect::<String>()
    });
    let code = answer["code"].as_str();
    let is_stop = |reason: &Value| reason == "stop";
    let is_other = |served: &Value| *served != metadata["model"];
    let checks = [
        ("code", code.is_some_and(|code| code.trim().is_empty()), "is blank"),
        (
            "metadata.servedModel",
            metadata.get("servedModel").is_some_and(is_other),
            "is not the model that was asked for",
        ),
        (
            "metadata.finishReason",
            !metadata.get("finishReason").is_none_or(is_stop),
            "is not `stop`: the answer is not whole",
        ),
        (
            "cached",
            answer.get("cached").is_some_and(|cached| *cached != metadata["cached"]),
            "is not what metadata says",
        ),
        (
            PIECE,
            pieces.is_some_and(|pieces| match pieces.as_str() {
                // What is stored may come at once.
                "" => metadata["cached"] == false,
                text => code != Some(text),
            }),
            "its texts together are not the answer",
        ),
    ];
    let wrong = checks.into_iter().filter(|(_, is_wrong, _)| *is_wrong);
    wrong.map(|(path, _, why)| Delta::Unsound(Place { event: String::new(), path: path.to_owned() }, why)).collect()
}
