//! How an answer is drawn, in the words that `OpenAI`'s chat has for it.

use serde::Serialize;

use crate::generate::Sampling;

/// The settings whose names are the same wherever they are known.
#[derive(Default, PartialEq, Serialize)]
pub(super) struct WireSampling<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
}

impl<'a> From<&'a Sampling> for WireSampling<'a> {
    fn from(sampling: &'a Sampling) -> Self {
        // Each format has its own words for the other two.
        let Sampling { temperature, top_p, seed, presence_penalty, frequency_penalty, stop, max_tokens: _, effort: _ } =
            sampling;
        Self {
            temperature: *temperature,
            top_p: *top_p,
            seed: *seed,
            presence_penalty: *presence_penalty,
            frequency_penalty: *frequency_penalty,
            stop,
        }
    }
}
