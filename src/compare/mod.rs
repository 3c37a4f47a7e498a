//! Sends recorded requests to the old backend and to this service, and says of each whether both answer the same, or differently as
//! is intended, or otherwise.
//!
//! What may differ is said in three places and nowhere else: `free.rs` names values in bodies that are never twice the same, such as
//! times, tokens and what a model writes; `headers.rs` those in headers, and headers that are neither service's; [`RULES`] names what
//! this service does differently on purpose. Everything else is a difference. What an answer and an error of the new have to be in
//! themselves, `answers.rs` and `errors.rs` say: no rule explains what is wrong there.

mod answers;
mod diff;
mod errors;
mod events;
mod exchange;
mod free;
mod headers;
mod judge;
mod look;
mod recorded;
mod report;
mod rules;
mod send;

use exchange::Exchange;
pub use exchange::{Body, Reply};
pub use judge::{Difference, judge};
pub use recorded::{BadRequest, Recorded};
pub use report::{Compared, Outcome, Report};
pub use rules::{RULES, Rule};
pub use send::{BadHeader, BadService, Service};

/// What is asked of both beyond what is promised.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strictness {
    /// Whether the texts of answers have to be equal, character by character.
    pub same_text: bool,
}

/// Sends `requests` in their order, each to `old` and then to `new`.
///
/// Each is sent as it is recorded: a generation costs what it costs, twice.
pub async fn compare(old: &Service, new: &Service, requests: &[Recorded], strictness: Strictness) -> Report {
    let mut compared = Vec::with_capacity(requests.len());
    for request in requests {
        let mut is_answered = false;
        // One after the other, since limits, caches and sums depend on what was before.
        let (old, new) = (old.send(request).await, new.send(request).await);
        let outcome = match (old, new) {
            (Ok(old), Ok(new)) => {
                is_answered = old.answer().is_some() && new.answer().is_some();
                Outcome::Answered(judge(request, &old, &new, strictness))
            }
            (Err(why), _) => Outcome::Unreached(format!("old: {why}")),
            (_, Err(why)) => Outcome::Unreached(format!("new: {why}")),
        };
        let answered = request.is_generation().then_some(is_answered);
        compared.push(Compared { name: request.name.clone(), outcome, answered });
    }
    Report { compared }
}
