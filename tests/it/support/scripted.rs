//! A provider that does as told, counts its calls, and tells when it was dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use llm_gateway::{
    embed::{EmbedRequest, Embedded, Input},
    generate::{ErrorKind, Finish, FinishReason, GenerateRequest, Message, Params, Part, ToolPiece, Usage},
    providers::{Batch, Delta, DeltaStream, Provider, ProviderError},
};
use tokio::{sync::Mutex, time::sleep};

use super::vectors;

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Text(&'static str),
    Pause(Duration),
    /// Thinks, and lets that be seen.
    Think,
    Hang,
    Fail(ErrorKind),
    /// Fails and asks to come back after a while.
    Refer(ErrorKind, Duration),
    Panic,
    /// Begins a call of this function.
    Call(&'static str),
    /// More of the arguments of the call of this number.
    Arguments(usize, &'static str),
    Finish(FinishReason),
    Refuse(&'static str),
}

pub(crate) struct Scripted {
    /// One script a call; the last one for every further call.
    scripts: Vec<Vec<Step>>,
    calls: AtomicUsize,
    ended: Arc<AtomicUsize>,
    questions: Mutex<Vec<String>>,
    temperature: Mutex<Option<f64>>,
    finished: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    pub(crate) fn new(steps: impl Into<Vec<Step>>) -> Self {
        Self::in_turn([steps.into()])
    }

    pub(crate) fn in_turn(scripts: impl Into<Vec<Vec<Step>>>) -> Self {
        let (calls, ended, questions, temperature, finished) = Default::default();
        Self { scripts: scripts.into(), calls, ended, questions, temperature, finished }
    }

    /// Fails at every call.
    pub(crate) fn failing(kind: ErrorKind) -> Self {
        Self::new([Step::Fail(kind)])
    }

    pub(crate) fn hello() -> Self {
        Self::new([Step::Text("Hello, "), Step::Text("world!"), Step::Finish(FinishReason::Stop)])
    }

    /// «Hello, world!», `pause` before each piece.
    pub(crate) fn slow(pause: Duration) -> Self {
        let pause = Step::Pause(pause);
        let (hello, world) = (Step::Text("Hello, "), Step::Text("world!"));
        Self::new([pause.clone(), hello, pause.clone(), world, pause, Step::Finish(FinishReason::Stop)])
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Calls that ended, of themselves or because they were dropped.
    pub(crate) fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }

    /// What was asked, each message as `role: text`.
    pub(crate) async fn questions(&self) -> Vec<String> {
        self.questions.lock().await.clone()
    }

    /// The models whose answers came to their end.
    pub(crate) async fn finished(&self) -> Vec<String> {
        self.finished.lock().await.clone()
    }

    /// What was asked for last.
    pub(crate) async fn temperature(&self) -> Option<f64> {
        *self.temperature.lock().await
    }
}

struct CountsEnd(Arc<AtomicUsize>);

impl Drop for CountsEnd {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Provider for Scripted {
    async fn open(&self, request: &GenerateRequest, _: &Params) -> Result<DeltaStream, ProviderError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let said: Vec<String> = request.messages.iter().map(message).collect();
        self.questions.lock().await.push(said.join("\n"));
        *self.temperature.lock().await = request.sampling.temperature;
        let ends = CountsEnd(Arc::clone(&self.ended));
        let (model, finished) = (request.target.model.to_string(), Arc::clone(&self.finished));
        let steps = self.scripts[call.min(self.scripts.len() - 1)].clone();
        let usage = Some(Usage { input_tokens: 1_000, output_tokens: 500, ..Usage::default() });
        let deltas = async_stream::try_stream! {
            let _ends = ends;
            let mut had_text = false;
            for step in steps {
                match step {
                    Step::Text(text) => {
                        had_text = true;
                        yield Delta::Text(text.into());
                    }
                    Step::Call(name) => {
                        let (id, signature) = (format!("id of {name}"), Some(format!("signature of {name}")));
                        yield Delta::Tool(ToolPiece::Begin { id, name: name.to_owned(), signature });
                    }
                    Step::Arguments(of, text) => yield Delta::Tool(ToolPiece::Arguments { of, text: text.into() }),
                    Step::Pause(pause) => sleep(pause).await,
                    Step::Think => yield Delta::Alive,
                    Step::Hang => std::future::pending().await,
                    Step::Fail(kind) if had_text => Err(ProviderError::from(kind).after(true))?,
                    Step::Fail(kind) => Err(ProviderError::from(kind))?,
                    Step::Refer(kind, wait) => Err(ProviderError { retry_after: Some(wait), ..kind.into() })?,
                    Step::Panic => panic!("as told"),
                    Step::Finish(reason) => {
                        finished.lock().await.push(model.clone());
                        yield Delta::Finish(Finish { reason, refusal: None, usage });
                    }
                    Step::Refuse(words) => {
                        let refusal = Some(words.to_owned());
                        yield Delta::Finish(Finish { reason: FinishReason::ContentFilter, refusal, usage });
                    }
                }
            }
        };
        Ok(deltas.boxed())
    }

    fn embeds(&self) -> Option<Batch> {
        Some(Batch { inputs: vectors::MOST_INPUTS, tokens: u64::MAX })
    }

    async fn embed(&self, _: &EmbedRequest, inputs: &[Input]) -> Result<Embedded, ProviderError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        self.questions.lock().await.push(vectors::said(inputs));
        let _ends = CountsEnd(Arc::clone(&self.ended));
        for step in &self.scripts[call.min(self.scripts.len() - 1)] {
            match step {
                Step::Pause(pause) => sleep(*pause).await,
                Step::Hang => std::future::pending().await,
                Step::Panic => panic!("as told"),
                Step::Fail(kind) => return Err((*kind).into()),
                Step::Refer(kind, wait) => {
                    return Err(ProviderError { retry_after: Some(*wait), ..(*kind).into() });
                }
                // All else is words, and good.
                _ => {}
            }
        }
        Ok(vectors::embedded(inputs))
    }
}

fn message(message: &Message) -> String {
    match message {
        Message::System(text) => format!("system: {text}"),
        Message::User(parts) => {
            let part = |part: &Part| match part {
                Part::Text(text) => text.clone(),
                Part::Image { url, .. } => format!("<{url}>"),
            };
            format!("user: {}", parts.iter().map(part).collect::<Vec<_>>().join(" "))
        }
        Message::Assistant { text, tool_calls } => {
            let calls = tool_calls.iter().map(|call| format!(" {}({})", call.name, call.arguments));
            format!("assistant: {text}{}", calls.collect::<String>())
        }
        Message::Tool { call_id, content } => format!("tool: {call_id} {content}"),
    }
}
