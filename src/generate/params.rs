//! What a model takes, and what is left of a request's settings when it takes less.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Sampling;

/// What a model takes: the `params` of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Params {
    /// The wire format it is asked in.
    pub api: Api,
    /// When it takes `temperature` and `top_p`.
    pub sampling: TakesSampling,
    /// How its reasoning is set. `None`: it cannot be.
    pub reasoning_control: Option<ReasoningControl>,
    /// The efforts that it takes, least first. `None`: unknown, so any is sent.
    pub efforts: Option<Vec<Effort>>,
    /// Its vendor's word for no reasoning. `None`: it always reasons, or never does.
    pub reasoning_off: Option<String>,
    /// Where it takes tools.
    pub tools_on_default_api: TakesTools,
    /// Whether it can be made to call a tool.
    pub forced_tool_choice: bool,
    /// Whether it goes on with an answer that the client has begun. Absent: it does. [`Params::refuses_prefill`] says of whom it counts.
    #[serde(default = "yes")]
    pub assistant_prefill: bool,
    /// Whether it reasons before it answers.
    #[serde(skip)]
    pub reasoning: bool,
    /// The longest answer in tokens. `None`: unknown.
    #[serde(skip)]
    pub max_output_tokens: Option<u32>,
}

fn yes() -> bool {
    true
}

/// A vendor's default wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `OpenAI`'s, xAI's, and of whoever is compatible.
    ChatCompletions,
    /// Ollama's own. Catalogues call it by the other that it has.
    #[serde(skip)]
    Ollama,
    /// Anthropic's.
    Messages,
    /// Google's.
    GenerateContent,
}

/// When a model takes `temperature` and `top_p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakesSampling {
    /// Always.
    Yes,
    /// Never: sending them is an error.
    No,
    /// Only together with [`Effort::None`].
    OnlyWithEffortNone,
    /// Only with Anthropic's API version of 2023-06-01.
    OldVersionOnly,
}

/// How a model's reasoning is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningControl {
    /// `reasoning_effort`, as `OpenAI` has it.
    ReasoningEffort,
    /// `output_config.effort`, as Anthropic has it.
    Effort,
    /// `thinkingLevel`, as Gemini from 3 on has it.
    ThinkingLevel,
    /// A number of tokens, as older models of Anthropic and Google have it.
    ThinkingBudget,
}

/// Where a model takes tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakesTools {
    /// On its default API.
    Yes,
    /// Nowhere.
    No,
    /// On chat completions only without reasoning; on responses always.
    OnlyWithEffortNone,
    /// On responses alone.
    ResponsesOnly,
}

/// How much a model should think, in `OpenAI`'s words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the vendors' words, least first")]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl Effort {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Effort::None => "none",
            Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::Xhigh => "xhigh",
            Effort::Max => "max",
        }
    }
}

/// The longest answer, in tokens, that a request in the format [`Api::Messages`] allows where the client names no limit; the format
/// wants one (`providers.md` 5).
pub const MESSAGES_MAX_TOKENS: u32 = 8_192;

impl Params {
    /// The longest answer that a request allows, in tokens, where the client wants `max_tokens`. `None`: as long as the model likes.
    pub fn longest_answer(&self, max_tokens: Option<u32>) -> Option<u32> {
        let most = self.max_output_tokens;
        let default = match self.api {
            Api::Messages => Some(MESSAGES_MAX_TOKENS),
            Api::ChatCompletions | Api::Ollama | Api::GenerateContent => None,
        };
        let wanted = max_tokens.or(default);
        most.map(|most| wanted.map_or(most, |wanted| wanted.min(most))).or(wanted)
    }

    /// A model of which nothing is known: it is sent whatever was asked.
    pub fn unknown() -> Self {
        Self {
            api: Api::ChatCompletions,
            sampling: TakesSampling::Yes,
            reasoning_control: Some(ReasoningControl::ReasoningEffort),
            efforts: None,
            reasoning_off: None,
            tools_on_default_api: TakesTools::Yes,
            forced_tool_choice: true,
            assistant_prefill: true,
            reasoning: false,
            max_output_tokens: None,
        }
    }

    /// Whether a request with tools is asked on responses, because chat completions take them only without reasoning, or not at all
    /// (`providers.md` 1.3).
    pub fn needs_responses(&self, effort: Option<Effort>) -> bool {
        match self.tools_on_default_api {
            TakesTools::ResponsesOnly => true,
            TakesTools::OnlyWithEffortNone => effort != Some(Effort::None),
            TakesTools::Yes | TakesTools::No => false,
        }
    }

    /// What is left of `wanted`, and the names of what is not (`providers.md` 3, 5, 6, 7 and 10.1), of a request that `has_tools`.
    ///
    /// A limit beyond the model's own becomes that, and an effort that it does not know the nearest that it does.
    pub fn fit(&self, wanted: Sampling, has_tools: bool) -> (Sampling, Vec<&'static str>) {
        let mut ignored = Vec::new();
        let mut fitted = wanted;
        fitted.max_tokens = fitted.max_tokens.map(|tokens| tokens.min(self.max_output_tokens.unwrap_or(u32::MAX)));
        keep(&mut fitted.effort, self.reasoning_control.is_some(), "reasoning_effort", &mut ignored);
        fitted.effort = fitted.effort.map(|effort| self.nearest(effort));
        let takes_sampling = match self.sampling {
            TakesSampling::Yes | TakesSampling::OldVersionOnly => true,
            TakesSampling::No => false,
            TakesSampling::OnlyWithEffortNone => fitted.effort == Some(Effort::None),
        };
        keep(&mut fitted.temperature, takes_sampling, "temperature", &mut ignored);
        // Not both on Anthropic's.
        let takes_top_p = takes_sampling && !(self.api == Api::Messages && fitted.temperature.is_some());
        keep(&mut fitted.top_p, takes_top_p, "top_p", &mut ignored);
        let is_reasoning_chat = self.api == Api::ChatCompletions && self.reasoning;
        // Of those that reason, only who takes a temperature takes a seed.
        let is_free = !is_reasoning_chat || self.sampling == TakesSampling::Yes;
        let takes_seed = self.api != Api::Messages && is_free && !(has_tools && self.needs_responses(fitted.effort));
        keep(&mut fitted.seed, takes_seed, "seed", &mut ignored);
        let takes_penalties = match self.api {
            Api::ChatCompletions => !self.reasoning,
            Api::Ollama => true,
            Api::Messages => false,
            Api::GenerateContent => self.reasoning_control != Some(ReasoningControl::ThinkingBudget),
        };
        keep(&mut fitted.presence_penalty, takes_penalties, "presence_penalty", &mut ignored);
        keep(&mut fitted.frequency_penalty, takes_penalties, "frequency_penalty", &mut ignored);
        let stops = fitted.stop.len();
        // A blank one is refused by this format (`providers.md` 5).
        fitted.stop.retain(|stop| !is_reasoning_chat && (self.api != Api::Messages || !stop.trim().is_empty()));
        if fitted.stop.len() < stops {
            ignored.push("stop");
        }
        if self.api == Api::Messages {
            // Its range ends at 1.
            fitted.temperature = fitted.temperature.map(|temperature| temperature.min(1.0));
        }
        (fitted, ignored)
    }

    /// Whether a conversation that ends with the model's own words is an error (`providers.md` 1.4 and 5). Elsewhere it is history.
    pub fn refuses_prefill(&self) -> bool {
        matches!(self.api, Api::Messages | Api::GenerateContent) && !self.assistant_prefill
    }

    /// The effort nearest to `wanted` among those that the model takes; of two the smaller. None at all only for who wants it.
    fn nearest(&self, wanted: Effort) -> Effort {
        if wanted == Effort::None && self.reasoning_off.is_some() {
            return wanted;
        }
        let Some(efforts) = &self.efforts else { return wanted };
        let distance = |effort: &Effort| (*effort as i8).abs_diff(wanted as i8);
        let some = efforts.iter().copied().filter(|effort| *effort != Effort::None);
        some.min_by_key(distance).unwrap_or(wanted)
    }
}

fn keep<T>(value: &mut Option<T>, is_taken: bool, name: &'static str, ignored: &mut Vec<&'static str>) {
    if !is_taken && value.take().is_some() {
        ignored.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_refuses_is_left_out_and_named() {
        let all = Sampling {
            temperature: Some(1.5),
            top_p: Some(0.5),
            max_tokens: Some(9_000),
            seed: Some(7),
            presence_penalty: Some(0.1),
            frequency_penalty: Some(0.1),
            stop: vec!["x".to_owned(), " \n".to_owned()],
            effort: Some(Effort::Minimal),
        };
        let old = Params {
            api: Api::Messages,
            sampling: TakesSampling::OldVersionOnly,
            reasoning_control: None,
            max_output_tokens: Some(4_096),
            ..Params::unknown()
        };
        let (fitted, ignored) = old.fit(all.clone(), false);
        assert_eq!((fitted.temperature, fitted.max_tokens, fitted.effort), (Some(1.0), Some(4_096), None));
        assert_eq!(fitted.stop, ["x"]);
        assert_eq!(ignored, ["reasoning_effort", "top_p", "seed", "presence_penalty", "frequency_penalty", "stop"]);

        let thinking = Params {
            sampling: TakesSampling::OnlyWithEffortNone,
            efforts: Some(vec![Effort::None, Effort::Low, Effort::High]),
            reasoning_off: Some("none".to_owned()),
            reasoning: true,
            ..Params::unknown()
        };
        let (fitted, ignored) = thinking.fit(all.clone(), false);
        assert_eq!((fitted.effort, fitted.temperature), (Some(Effort::Low), None));
        assert_eq!(ignored, ["temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "stop"]);
        let (fitted, _) = thinking.fit(Sampling { effort: Some(Effort::None), ..all.clone() }, false);
        assert_eq!((fitted.effort, fitted.temperature), (Some(Effort::None), Some(1.5)));

        assert_eq!(Params::unknown().fit(all.clone(), true), (all, Vec::new()));
    }

    #[test]
    fn tools_are_asked_on_responses_where_chat_completions_do_not_take_them() {
        use TakesTools::{No, OnlyWithEffortNone, ResponsesOnly, Yes};
        for (takes, effort, expected) in [
            (Yes, Some(Effort::High), false),
            (No, None, false),
            (ResponsesOnly, Some(Effort::None), true),
            (OnlyWithEffortNone, None, true),
            (OnlyWithEffortNone, Some(Effort::Low), true),
            (OnlyWithEffortNone, Some(Effort::None), false),
        ] {
            let params = Params { tools_on_default_api: takes, ..Params::unknown() };
            assert_eq!(params.needs_responses(effort), expected, "{takes:?} {effort:?}");
            // They take no seed.
            let sampling = Sampling { seed: Some(7), effort, ..Sampling::default() };
            assert_eq!(params.fit(sampling, true).0.seed.is_none(), expected, "{takes:?} {effort:?}");
        }
    }
}
