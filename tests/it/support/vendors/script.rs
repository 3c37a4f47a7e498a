//! What the vendors say: the scenarios, once for all dialects.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    asked::{Asked, Format, Picture},
    schema::example,
};

/// How a vendor answers.
pub(super) enum Script {
    Says(Said),
    Fails(Fault),
    /// Takes the request and says nothing.
    Hangs,
}

/// An answer, in the pieces in which it is streamed.
pub(super) struct Said {
    pub(super) pieces: Vec<Piece>,
    pub(super) end: End,
}

pub(super) enum Piece {
    Text(String),
    Call(Call),
    Pause(Duration),
}

pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) arguments: Value,
}

/// Why an answer ends.
#[derive(PartialEq)]
pub(super) enum End {
    Stop,
    Length,
    Calls,
    Refused(&'static str),
    /// The connection breaks.
    Cut,
}

/// Why there is no answer.
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) message: String,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum FaultKind {
    Invalid,
    Unauthorized,
    NotFound,
    RateLimited,
    Overloaded,
    Internal,
}

impl Fault {
    pub(super) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Invalid, message)
    }
}

/// What every answer counts: cached input is part of the input, reasoning of the output.
pub(super) const INPUT_TOKENS: u64 = 14;
pub(super) const CACHED_TOKENS: u64 = 4;
pub(super) const OUTPUT_TOKENS: u64 = 29;
pub(super) const REASONING_TOKENS: u64 = 18;

/// Some characters of several bytes, one of several characters.
const HELLO: [&str; 5] = ["Hel", "lo, wörld — na", "ïve 東京 ", "🦀", "👩\u{200d}🚀 \"quoted\"\n"];

/// What a vendor does that has been asked the same `before` times.
pub(super) fn script(asked: &Asked, before: usize) -> Script {
    use FaultKind::{Internal, Overloaded, RateLimited, Unauthorized};
    match asked.scenario() {
        "weather" => weather(asked),
        "later" => match asked.results()[..] {
            [] => says_calls(asked, [("get_time", "Paris")]),
            [("get_time", time)] => says([format!("Later: {time}")], End::Stop),
            ref others => refuses(format!("`later` wants the time, not {others:?}")),
        },
        "json" => match &asked.format {
            Format::Text => refuses("`json` wants a format"),
            Format::Json => says([r#"{"city":"#, r#""Tōkyō"}"#], End::Stop),
            Format::Schema(schema) => says(pieces(&example(schema, schema).to_string()), End::Stop),
        },
        "picture" => match asked.picture() {
            Some(Picture::Inline { media_type, length }) => {
                says([format!("{media_type} of {length} bytes")], End::Stop)
            }
            Some(Picture::Url(url)) => says([format!("picture at {url}")], End::Stop),
            None => refuses("`picture` wants a picture"),
        },
        "system" => says(pieces(&asked.system), End::Stop),
        "sampling" => says(pieces(&Value::Object(asked.sampling.clone()).to_string()), End::Stop),
        "limit" => says(["This goes on and ", "on"], End::Length),
        "refuse" => says::<&str>([], End::Refused("I cannot help with that.")),
        "fail-once" if before == 0 => fails(Internal, "something broke"),
        "rate-limited-once" if before == 0 => fails(RateLimited, "too many requests"),
        "hello" | "fail-once" | "rate-limited-once" => says(HELLO, End::Stop),
        "rate-limited" => fails(RateLimited, "too many requests"),
        "overloaded" => fails(Overloaded, "overloaded"),
        "bad-key" => fails(Unauthorized, "the key sk-secret is wrong"),
        "cut" => says(HELLO, End::Cut),
        "slow" => {
            let piece = |at: usize| [Piece::Text(format!("{at} ")), Piece::Pause(Duration::from_millis(100))];
            Script::Says(Said { pieces: (0..50).flat_map(piece).collect(), end: End::Stop })
        }
        "hang" => Script::Hangs,
        other => refuses(format!("there is no scenario `{other}`")),
    }
}

/// Two calls at once, and once their results are there, a text that quotes them.
fn weather(asked: &Asked) -> Script {
    let wanted = ["get_weather", "get_time"];
    if let Some(lacking) = wanted.iter().find(|wanted| !asked.tools.iter().any(|tool| tool == *wanted)) {
        return refuses(format!("`weather` wants the tool `{lacking}`"));
    }
    match asked.results()[..] {
        [] => says_calls(asked, [("get_weather", "Paris"), ("get_time", "Tōkyō")]),
        [("get_weather", weather), ("get_time", time)] => {
            says(pieces(&format!("Paris: {weather}; Tōkyō: {time}")), End::Stop)
        }
        ref others => refuses(format!("`weather` wants both results in order, not {others:?}")),
    }
}

fn says_calls<const N: usize>(asked: &Asked, calls: [(&'static str, &str); N]) -> Script {
    // No two calls of a conversation have the same id.
    let round = asked.turns.len();
    let call = |(at, (name, city))| {
        Piece::Call(Call { id: format!("call_{round}_{at}"), name, arguments: json!({"city": city}) })
    };
    Script::Says(Said { pieces: calls.into_iter().enumerate().map(call).collect(), end: End::Calls })
}

fn says<T: Into<String>>(texts: impl IntoIterator<Item = T>, end: End) -> Script {
    let pieces = texts.into_iter().map(|text| Piece::Text(text.into())).collect();
    Script::Says(Said { pieces, end })
}

fn fails(kind: FaultKind, message: &str) -> Script {
    Script::Fails(Fault::new(kind, message))
}

fn refuses(message: impl Into<String>) -> Script {
    Script::Fails(Fault::invalid(message))
}

/// A text in pieces of five characters.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(5).map(|piece| piece.iter().collect()).collect()
}

impl Said {
    /// All of its text.
    pub(super) fn text(&self) -> String {
        let texts = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Call(_) | Piece::Pause(_) => None,
        });
        texts.collect()
    }

    pub(super) fn calls(&self) -> Vec<&Call> {
        let calls = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Call(call) => Some(call),
            Piece::Text(_) | Piece::Pause(_) => None,
        });
        calls.collect()
    }

    /// How long it takes to say.
    pub(super) fn takes(&self) -> Duration {
        let pauses = self.pieces.iter().map(|piece| match piece {
            Piece::Pause(pause) => *pause,
            Piece::Text(_) | Piece::Call(_) => Duration::ZERO,
        });
        pauses.sum()
    }

    pub(super) fn refusal(&self) -> Option<&'static str> {
        match self.end {
            End::Refused(words) => Some(words),
            End::Stop | End::Length | End::Calls | End::Cut => None,
        }
    }
}
