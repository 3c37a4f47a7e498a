//! The thinking that a stream tells of: each sentence says what has really happened.

use axum::response::sse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalogue::{Model, Routed},
    clock::Clock,
    generate::{CacheResult, Calling, Completion, FinishReason, MicroDollars, Outcome, Receipt, Target, Usage},
};

use super::events::event;

/// How much of the prompt is repeated, in characters.
const PROMPT_CHARS: usize = 100;

/// Makes `THINKING` events.
pub(super) struct Narrator {
    pub(super) clock: Clock,
}

/// What is happening.
#[derive(Serialize, ToSchema)]
#[schema(as = ThinkingEvent)]
pub(super) struct Thinking<'a> {
    #[serde(rename = "type")]
    #[schema(pattern = "^THINKING$")]
    event: &'static str,
    /// `user`, `planning`, `researching`, `executing`, `drafting` or `summary`.
    kind: &'static str,
    /// The time of day in UTC.
    #[schema(example = "05:52 AM")]
    ts: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    items: &'a [String],
}

impl Narrator {
    /// What the person asked.
    pub(super) fn user(&self, opening: &str) -> sse::Event {
        self.thinking("user", Some(opening), &[])
    }

    /// Where the question goes, and why.
    pub(super) fn planning(&self, target: &Target, routing_mode: &str, routed: Option<&Routed>) -> sse::Event {
        let Target { provider, model } = target;
        let mut items = vec![format!("The question goes to {model} at {provider} (routing mode {routing_mode}).")];
        items.extend(routed.map(|routed| routed.reason.clone()));
        self.thinking("planning", None, &items)
    }

    /// What the cache said, and how large the model is.
    pub(super) fn researching(&self, receipt: &Receipt, model: Option<&Model>) -> sse::Event {
        let cache = match (receipt.cache, receipt.joined) {
            (CacheResult::Hit(freshness), _) => {
                let (age, ttl) = (freshness.age.as_secs(), freshness.ttl_seconds());
                if freshness.is_fresh() {
                    format!("The cache has the answer: {age} s old, fresh for another {ttl} s.")
                } else {
                    format!("The cache has the answer: {age} s old, no longer fresh since {} s.", -ttl)
                }
            }
            (_, Some(age)) => {
                format!("The same question is being answered since {:.1} s: joined that call.", age.as_secs_f64())
            }
            (CacheResult::Stale, None) => "The cache has an answer that is no longer fresh.".to_owned(),
            (CacheResult::Request, None) => "A newer answer is wanted than the cache may have.".to_owned(),
            (CacheResult::Miss, None) => "The cache does not have the answer yet.".to_owned(),
            (CacheResult::Bypass, None) => "The cache was not asked.".to_owned(),
        };
        let mut items = vec![cache];
        if let Some(Model { display_name, context_window: Some(window), max_output_tokens: Some(output), .. }) = model {
            items.push(format!("{display_name} reads up to {window} tokens and writes up to {output}."));
        }
        self.thinking("researching", None, &items)
    }

    /// Who is being called.
    pub(super) fn executing(&self, calling: &Calling) -> sse::Event {
        let Calling { target: Target { provider, model }, attempt } = calling;
        self.thinking("executing", None, &[format!("Calling {model} at {provider} (attempt {attempt}).")])
    }

    /// Which files the answer holds.
    pub(super) fn drafting(&self, text: &str) -> sse::Event {
        let mut items: Vec<String> = files(text)
            .into_iter()
            .map(|File { path, language, lines }| match path {
                Some(path) => format!("{path}: {lines} lines of {language}."),
                None => format!("A block of {lines} lines of {language} without a path."),
            })
            .collect();
        if items.is_empty() {
            items.push(format!("{} characters of text, no files.", text.chars().count()));
        }
        self.thinking("drafting", None, &items)
    }

    /// What it took, what it cost, and what is left.
    pub(super) fn summary(
        &self,
        completion: &Completion,
        outcome: Outcome,
        cost: MicroDollars,
        today: (f64, f64),
    ) -> sse::Event {
        let Usage { input_tokens, output_tokens, estimated, .. } = completion.usage;
        let estimated = if estimated { " (estimated)" } else { "" };
        let (spent, limit) = today;
        let mut items = vec![
            format!(
                "{input_tokens} tokens in, {output_tokens} out{estimated}; this answer cost ${:.6}.",
                cost.dollars()
            ),
            format!("${spent:.4} of ${limit:.2} spent today."),
        ];
        if let Outcome::StandIn { freshness, called: _ } = outcome {
            let age = freshness.age.as_secs();
            items.push(format!("The provider gives no answer now: this one is {age} s old, and from the cache."));
        }
        if completion.reason == FinishReason::Length {
            items.push("The limit of tokens was reached: the answer is cut off. Ask for the rest.".to_owned());
        }
        self.thinking("summary", None, &items)
    }

    fn thinking(&self, kind: &'static str, text: Option<&str>, items: &[String]) -> sse::Event {
        event(&Thinking { event: "THINKING", kind, ts: self.time_of_day(), text, items })
    }

    /// Such as `01:55 AM`, in UTC.
    fn time_of_day(&self) -> String {
        let minutes = self.clock.since_epoch().as_secs() / 60 % (24 * 60);
        let (hours, minutes) = (minutes / 60, minutes % 60);
        let half = if hours < 12 { "AM" } else { "PM" };
        let hour = if hours % 12 == 0 { 12 } else { hours % 12 };
        format!("{hour:02}:{minutes:02} {half}")
    }
}

/// The first characters of the prompt.
pub(super) fn opening(prompt: &str) -> String {
    let mut text = "Prompt: ".to_owned();
    text.extend(prompt.chars().take(PROMPT_CHARS));
    if prompt.chars().nth(PROMPT_CHARS).is_some() {
        text.push_str("...");
    }
    text
}

#[derive(Debug, PartialEq, Eq)]
struct File<'a> {
    path: Option<&'a str>,
    language: &'a str,
    lines: usize,
}

/// The fenced blocks of `text` that are closed. Behind the fence stand a language and a path, both optional.
fn files(text: &str) -> Vec<File<'_>> {
    let mut files = Vec::new();
    let mut open: Option<(&str, File<'_>)> = None;
    for line in text.lines() {
        let fence = line.trim_start();
        let ticks = fence.len() - fence.trim_start_matches('`').len();
        let (marks, info) = fence.split_at(ticks);
        open = match open {
            Some((mark, file)) if marks.len() >= mark.len() && info.trim().is_empty() => {
                files.push(file);
                None
            }
            Some((mark, file)) => Some((mark, File { lines: file.lines + 1, ..file })),
            None if ticks >= 3 => {
                let mut words = info.split_whitespace();
                let language = words.next().unwrap_or("text");
                let path = words.next().map(|word| word.trim_start_matches("path=").trim_matches('"'));
                Some((marks, File { path, language, lines: 0 }))
            }
            None => None,
        };
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_the_closed_fences() {
        let text = "Here:\n```tsx src/App.tsx\nline\n\nline\n```\n~~~\n````md README.md\n```sh\nx\n```\n````\n``` \nplain\n```\n```py never/closed.py\nx";
        let file = |path, language, lines| File { path, language, lines };
        assert_eq!(
            files(text),
            [file(Some("src/App.tsx"), "tsx", 3), file(Some("README.md"), "md", 3), file(None, "text", 1),]
        );
    }

    #[test]
    fn a_prompt_is_cut_between_characters() {
        assert_eq!(opening(&"🦀".repeat(101)), format!("Prompt: {}...", "🦀".repeat(100)));
        assert_eq!(opening(&"🦀".repeat(100)), format!("Prompt: {}", "🦀".repeat(100)));
    }
}
