//! What is asked, and the one right answer to each question.

use serde_json::Value;

/// Words that are easy to spoil on the way: of several bytes, to be escaped, with line breaks.
const WORDS: [&str; 16] = [
    "gateway",
    "naïve",
    "\"quoted\"",
    "🦀",
    "back\\slash",
    "store",
    "—",
    "data: x",
    "line\nbreak",
    "Ōsaka",
    "tab\t.",
    "</p>",
    "answer",
    "{\"a\":1}",
    "provider",
    "\u{1F469}\u{200D}\u{1F680}",
];

/// The dimensions of every vector.
const DIMENSIONS: u64 = 8;

/// What the provider says to `question`: always the same, between 300 bytes and 14 KB.
pub(super) fn answer(question: &str) -> String {
    let mut state = hash(question);
    let mut text = format!("To {state:016x}:");
    for _ in 0..40 + state % 1_800 {
        // Knuth's MMIX, of which the upper bits are the better ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(' ');
        text.push_str(WORDS[(state >> 60) as usize]);
    }
    text.push_str(" That is all.");
    text
}

/// The vector of `text`, of numbers that no format rounds.
pub(super) fn vector(text: &str) -> Vec<f64> {
    let state = hash(text);
    (0..DIMENSIONS).map(|at| f64::from((state >> (8 * at)) as u8) / 256.0 - 0.5).collect()
}

/// Whether `embedding` is the vector of `text`.
pub(super) fn is_vector(embedding: &Value, text: &str) -> bool {
    let numbers: Option<Vec<f64>> =
        embedding.as_array().and_then(|numbers| numbers.iter().map(Value::as_f64).collect());
    numbers.is_some_and(|numbers| numbers == vector(text))
}

/// What the provider counts for a question and for its answer, in tokens.
pub(super) fn tokens(question: &str, answer: &str) -> (u64, u64) {
    (question.len() as u64, answer.len() as u64 / 4)
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
