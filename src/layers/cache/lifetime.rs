//! How long an answer stays fresh, by the kind of its question where the operator wants that.

use std::time::Duration;

use crate::{
    config::CacheConfig,
    generate::{GenerateRequest, Message, Part},
};

/// A kind of question: the phrases that tell it, each of whole words, and how long its answers stay fresh. The first kind that
/// applies counts (`contract.md` 8).
const KINDS: [(Duration, &[&[&str]]); 3] = [
    (Duration::from_secs(7_200), &[&["documentation"], &["explain"], &["what", "is"], &["how", "to"], &["tutorial"]]),
    (Duration::from_secs(900), &[&["my"], &["current"], &["latest"], &["today"], &["now"]]),
    (Duration::from_secs(2_700), &[&["generate"], &["create"], &["write"], &["build"]]),
];

/// How old the answer to `request` may be and still be fresh.
pub(super) fn lifetime(request: &GenerateRequest, config: &CacheConfig) -> Duration {
    if config.ttl_by_prompt { kind(&request.messages).unwrap_or(config.ttl) } else { config.ttl }
}

/// By what the person said last; instructions are not the person's words.
fn kind(messages: &[Message]) -> Option<Duration> {
    let said = messages.iter().rev().find_map(|message| match message {
        Message::User(parts) => Some(parts),
        Message::System(_) | Message::Assistant { .. } | Message::Tool { .. } => None,
    })?;
    let texts: Vec<Vec<&str>> = said
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(words(text).collect()),
            Part::Image { .. } => None,
        })
        .collect();
    let says = |phrase: &[&str]| texts.iter().any(|words| words.windows(phrase.len()).any(|run| is_same(run, phrase)));
    KINDS.iter().find(|(_, phrases)| phrases.iter().any(|phrase| says(phrase))).map(|(lifetime, _)| *lifetime)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}

fn is_same(run: &[&str], phrase: &[&str]) -> bool {
    run.iter().zip(phrase).all(|(word, wanted)| word.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_judged_by_the_persons_words_and_by_whole_words() {
        for (text, seconds) in [
            ("Explain closures", Some(7_200)),
            ("WHAT  is\nthis, my friend", Some(7_200)),
            ("how-to: bake", Some(7_200)),
            ("what it is", None),
            ("my login form", Some(900)),
            ("Build it now!", Some(900)),
            ("I know the economy of snow, nowadays currently", None),
            ("Create a login form", Some(2_700)),
            ("recreate, rewritten, generated", None),
            ("", None),
        ] {
            let messages = [
                Message::System("Explain".into()),
                Message::User(vec![Part::Text("what is".to_owned())]),
                Message::User(vec![
                    Part::Image { url: "https://example.com/explain/now.png".to_owned(), detail: None },
                    Part::Text(text.to_owned()),
                ]),
                Message::Assistant { text: "now".to_owned(), tool_calls: Vec::new() },
            ];
            assert_eq!(kind(&messages), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
