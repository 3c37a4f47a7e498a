//! What comes back when all is well: one object, or lines of them that each bring a part.

use std::{borrow::Cow, ops::ControlFlow};

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    generate::{ErrorKind, Finish, FinishReason, Usage},
    providers::{
        Decoder, Delta, ProviderError,
        counts::plausible,
        openai_chat::Fault,
        tool_calls::{CallPart, Calls},
    },
};

/// What a body says that came in one piece.
///
/// # Errors
/// When it holds no answer.
pub(super) fn whole(body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
    let (mut lines, mut deltas) = (ChatLines::default(), Vec::new());
    let said = match lines.frame(body, &mut deltas) {
        Ok(ControlFlow::Break(())) => lines.end(&mut deltas),
        Ok(ControlFlow::Continue(())) => Err(ErrorKind::BadResponse.into()),
        Err(error) => Err(error),
    };
    said.map(|()| deltas).map_err(|error| error.with_usage(lines.usage))
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    message: Option<Said<'a>>,
    done: Option<bool>,
    #[serde(borrow)]
    done_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    prompt_eval_count: Option<&'a RawValue>,
    #[serde(borrow)]
    eval_count: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    id: Option<String>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// What it counted. `None`, and so an estimate, where it counted nothing, or nonsense.
fn usage(line: &Line<'_>) -> Option<Usage> {
    let count = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<u64>(raw.get()).ok());
    // A question that it remembers is not counted.
    let (input, output) = (count(line.prompt_eval_count), count(line.eval_count));
    let (input_tokens, output_tokens) = (input.unwrap_or_default(), output.unwrap_or_default());
    let usage = plausible(Usage { input_tokens, output_tokens, ..Usage::default() });
    usage.filter(|_| input.is_some() || output.is_some())
}

/// Reads lines until the one that says that it is done.
#[derive(Default)]
pub struct ChatLines {
    calls: Calls,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

impl Decoder for ChatLines {
    fn frame(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<ControlFlow<()>, ProviderError> {
        let line: Line = serde_json::from_slice(data).map_err(|_| ErrorKind::BadResponse)?;
        self.usage = usage(&line).or(self.usage);
        if line.error.is_some_and(|error| error.get() != "null") {
            return Err(Fault::read(data).error(StatusCode::OK));
        }
        let done = line.done == Some(true);
        if let Some(Said { content, tool_calls }) = line.message {
            let text = content.filter(|text| !text.is_empty());
            out.extend(text.map(|text| Delta::Text(Bytes::copy_from_slice(text.as_bytes()))));
            for Call { id, function } in tool_calls.unwrap_or_default() {
                let arguments = function.arguments.map_or("{}", RawValue::get);
                self.calls.add_next(CallPart { id, name: Some(function.name), signature: None, arguments }, out)?;
            }
        }
        if !done {
            return Ok(ControlFlow::Continue(()));
        }
        let reason = match line.done_reason.as_deref() {
            Some("length") => FinishReason::Length,
            Some("stop") | None if !self.calls.is_empty() => FinishReason::ToolCalls,
            Some("stop") | None => FinishReason::Stop,
            // It only loaded the model, or let it go.
            Some(_) => FinishReason::Other,
        };
        self.finish = Some(Finish { reason, refusal: None, usage: self.usage });
        Ok(ControlFlow::Break(()))
    }

    fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let finish = self.finish.take().ok_or(ErrorKind::StreamInterrupted)?;
        self.calls.end(out)?;
        out.push(Delta::Finish(finish));
        Ok(())
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}
