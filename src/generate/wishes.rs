//! What a request wants that not every format can say.

use super::{
    Api, Detail, Effort, MESSAGES_MAX_TOKENS, Message, Params, Part, ReasoningControl, Sampling, ToolChoice, Tools,
};

/// The fewest tokens that Anthropic lets a model think (`providers.md` 5).
const LEAST_THINKING_BUDGET: u32 = 1_024;

/// What a request wants besides its sampling that only some formats can say.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is there or not")]
pub struct Wishes {
    /// A tool must be called.
    pub forced_call: bool,
    /// No two tools are called at once.
    pub one_call: bool,
    /// Arguments must follow their schema exactly.
    pub strict_tools: bool,
    /// A picture is to be looked at in another way than usual.
    pub image_detail: bool,
    /// The model is to go on after its calls.
    pub amid_tools: bool,
    /// The vendor may tell end users apart: the name of the field that says so. `None`: none does.
    pub end_user: Option<&'static str>,
}

impl Wishes {
    /// Those of a request with `tools` and `messages`, made for the end user that the field `end_user` names.
    pub fn of(tools: &Tools, messages: &[Message], end_user: Option<&'static str>) -> Self {
        let Tools { definitions, choice, parallel } = tools;
        let has_tools = !definitions.is_empty();
        let is_forced = match choice {
            ToolChoice::Required | ToolChoice::Named(_) => true,
            ToolChoice::Auto | ToolChoice::None => false,
        };
        let has_detail = |part: &Part| match part {
            Part::Image { url: _, detail } => detail.is_some_and(|detail| detail != Detail::Auto),
            Part::Text(_) => false,
        };
        let parts = messages.iter().filter_map(|message| match message {
            Message::User(parts) => Some(parts),
            Message::System(_) | Message::Assistant { .. } | Message::Tool { .. } => None,
        });
        Self {
            forced_call: has_tools && is_forced,
            one_call: has_tools && *parallel == Some(false),
            strict_tools: definitions.iter().any(|tool| tool.strict == Some(true)),
            image_detail: parts.flatten().any(has_detail),
            amid_tools: {
                let is_assistant = |message: &&Message| matches!(message, Message::Assistant { .. });
                let mut since = messages.iter().rev().take_while(|message| !is_assistant(message));
                since.any(|message| matches!(message, Message::Tool { .. }))
            },
            end_user,
        }
    }
}

impl Params {
    /// Whether a number of tokens can be set for thinking in a request of Anthropic's format, with this `sampling` and these `wishes`:
    /// it does not go together with sampling, a forced tool, calls whose thoughts nobody kept, or an answer that is shorter.
    pub fn takes_thinking_budget(&self, sampling: &Sampling, wishes: Wishes) -> bool {
        let is_sampled = sampling.temperature.is_some() || sampling.top_p.is_some();
        let is_forced = wishes.forced_call && self.forced_tool_choice;
        let longest = self.longest_answer(sampling.max_tokens).unwrap_or(MESSAGES_MAX_TOKENS);
        !is_sampled && !is_forced && !wishes.amid_tools && longest > LEAST_THINKING_BUDGET
    }

    /// The names of those `wishes`, and of what is left of the `sampling`, that the model's format cannot say: they are left out.
    pub fn unsaid(&self, sampling: &Sampling, wishes: Wishes) -> Vec<&'static str> {
        let Wishes { forced_call, one_call, strict_tools, image_detail, amid_tools: _, end_user } = wishes;
        let wants_thinking = sampling.effort.is_some_and(|effort| effort != Effort::None);
        let has_budget = self.api == Api::Messages && self.reasoning_control == Some(ReasoningControl::ThinkingBudget);
        let (is_chat, is_messages) = (self.api == Api::ChatCompletions, self.api == Api::Messages);
        let is_thoughtless = wants_thinking && has_budget && !self.takes_thinking_budget(sampling, wishes);
        let all = [
            ("reasoning_effort", is_thoughtless),
            ("tool_choice", forced_call && self.api == Api::Ollama),
            ("parallel_tool_calls", one_call && !is_chat && !is_messages),
            ("tools.function.strict", strict_tools && !is_chat),
            ("image_url.detail", image_detail && !is_chat),
            (end_user.unwrap_or_default(), end_user.is_some() && !is_chat && !is_messages),
        ];
        all.into_iter().filter_map(|(name, is_unsaid)| is_unsaid.then_some(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_format_cannot_say_is_named() {
        let wishes = Wishes {
            forced_call: true,
            one_call: true,
            strict_tools: true,
            image_detail: true,
            amid_tools: true,
            end_user: Some("user"),
        };
        let plain = Sampling::default();
        let unsaid = |api| Params { api, ..Params::unknown() }.unsaid(&plain, wishes).join(" ");
        assert_eq!(unsaid(Api::ChatCompletions), "");
        assert_eq!(unsaid(Api::Messages), "tools.function.strict image_url.detail");
        let gemini = "parallel_tool_calls tools.function.strict image_url.detail user";
        assert_eq!(unsaid(Api::GenerateContent), gemini);
        assert_eq!(unsaid(Api::Ollama), format!("tool_choice {gemini}"));
        let none = Vec::<&str>::new();
        assert_eq!(Params::unknown().unsaid(&plain, Wishes::default()), none);

        let api = Api::Messages;
        let budget = Params { api, reasoning_control: Some(ReasoningControl::ThinkingBudget), ..Params::unknown() };
        let thinking = Sampling { effort: Some(Effort::High), ..Sampling::default() };
        let amid_tools = Wishes { amid_tools: true, ..Wishes::default() };
        let forced = Wishes { forced_call: true, ..Wishes::default() };
        assert_eq!(budget.unsaid(&thinking, Wishes::default()), none);
        for (sampling, wishes) in [
            (Sampling { temperature: Some(0.2), ..thinking.clone() }, Wishes::default()),
            (Sampling { max_tokens: Some(1_024), ..thinking.clone() }, Wishes::default()),
            (thinking.clone(), amid_tools),
            (thinking.clone(), forced),
        ] {
            assert_eq!(budget.unsaid(&sampling, wishes), ["reasoning_effort"]);
        }
    }
}
