//! The generations that ended last: what happened, and not what was asked or answered.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use serde::Serialize;
use utoipa::ToSchema;

use crate::generate::{ModelId, ProviderId};

use super::{Ending, Generating, Record};

/// How many are remembered.
const KEPT: usize = 50;

/// One of them.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecentGeneration {
    /// When it ended, in milliseconds since the Unix epoch.
    ended_ms: u64,
    /// What `X-Request-Id` said.
    #[schema(value_type = String)]
    request_id: Arc<str>,
    #[schema(value_type = String)]
    route: Arc<str>,
    /// `address`, `user`, `key` or `admin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'static str>,
    /// `hit`, `stale`, `joined`, `miss`, `bypassed`, `limited`, `refused`, `failed` or `left`.
    ending: &'static str,
    status: u16,
    /// Whether the client read along.
    is_stream: bool,
    /// Who was asked, and answered if nobody stood in.
    #[schema(value_type = String)]
    provider: ProviderId,
    #[schema(value_type = String)]
    model: ModelId,
    /// The model that answered, if it was another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    served_model: Option<ModelId>,
    /// Calls that were made for it.
    attempts: u32,
    input_tokens: u64,
    output_tokens: u64,
    /// What it cost who asked, in dollars.
    cost: f64,
    /// To the end of the reply.
    milliseconds: f64,
    /// To the first text of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_text_milliseconds: Option<f64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

impl RecentGeneration {
    /// The one of `record`, whose reply has ended now.
    pub(super) fn new(
        record: &Record,
        generating: &Generating,
        ending: Ending,
        status: u16,
        ended_ms: u64,
        took: Duration,
    ) -> Self {
        let (answer, failure) = (generating.answer(), generating.failure());
        let asked = generating.asked.clone();
        let served = answer.map(|answer| &answer.served).filter(|served| **served != asked);
        Self {
            ended_ms,
            request_id: Arc::clone(&record.id),
            route: record.route(),
            caller: record.caller().map(super::CallerKind::as_str),
            ending: ending.as_str(),
            status,
            is_stream: generating.is_stream,
            provider: asked.provider,
            model: asked.model,
            served_model: served.map(|served| served.model.clone()),
            attempts: generating.attempts(),
            input_tokens: answer.map_or(0, |answer| answer.usage.input_tokens),
            output_tokens: answer.map_or(0, |answer| answer.usage.output_tokens),
            cost: answer.and_then(|answer| answer.cost).unwrap_or_default().dollars(),
            milliseconds: milliseconds(took),
            first_text_milliseconds: generating.first_text().map(milliseconds),
            error: failure.map(|failure| failure.kind.as_str()),
        }
    }
}

/// With three decimals, as logs and pages show them.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The last of them.
#[derive(Default)]
pub(super) struct Recent(VecDeque<RecentGeneration>);

impl Recent {
    pub(super) fn push(&mut self, generation: RecentGeneration) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(generation);
    }

    pub(super) fn newest_first(&self) -> Vec<RecentGeneration> {
        self.0.iter().rev().cloned().collect()
    }
}
