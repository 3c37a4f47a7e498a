//! What is different on purpose, each for one reason and no wider than that. `docs/compare.md` explains them; a test holds both together.

mod facts;
mod generations;
mod headers;
mod parts;
mod refusals;
mod replies;
mod table;

use super::{Body, Exchange, Reply, diff::Delta};

pub use table::RULES;

/// One thing that this service does differently on purpose.
#[derive(Debug)]
pub struct Rule {
    /// What it is called in reports.
    pub name: &'static str,
    /// Where the old backend's record says so: `fault 2` of its list of faults, or `section 3.1` of its description.
    pub number: &'static str,
    /// Why it is different, in one sentence.
    pub reason: &'static str,
    covers: Covers,
}

impl Rule {
    /// Whether it says something of every reply, whatever was asked. By such rules alone replies are the same.
    pub fn is_of_every_reply(&self) -> bool {
        ["no-express", "no-etags", "new-headers"].contains(&self.name)
    }
}

/// What a rule explains.
#[derive(Clone, Copy, Debug)]
enum Covers {
    /// Both replies as wholes: their statuses and bodies, but not their headers.
    Reply(fn(&Exchange<'_>) -> bool),
    /// One thing that is not the same.
    Part(fn(&Exchange<'_>, &Delta) -> bool),
    /// A stream that nobody asked for, in place of which there is JSON: see [`unasked_stream`].
    UnaskedStream,
}

/// The stream of the old, where nobody asked for one, as the JSON that it completes with; and the rule by which that is meant.
pub(super) fn unasked_stream(exchange: &Exchange<'_>) -> Option<(&'static Rule, Reply)> {
    let Exchange { request, old, new } = exchange;
    // One who says so gets what he says.
    let is_said = request.field("streaming").is_some_and(|streaming| streaming.is_boolean());
    if !request.is_generation() || is_said || request.wants_events() || new.json().is_none() {
        return None;
    }
    let mut complete = old.ends_in("COMPLETE")?.clone();
    complete.as_object_mut()?.shift_remove("type");
    let headers = old.headers.iter().filter(|(name, _)| *name != "cache-control");
    let headers = headers.map(|(name, value)| (name.clone(), value.clone())).collect();
    let rule = RULES.iter().find(|rule| matches!(rule.covers, Covers::UnaskedStream))?;
    Some((rule, Reply { status: old.status, headers, body: Body::Json(complete) }))
}

/// The rule by which both replies may be what they are.
pub(super) fn of_reply(exchange: &Exchange<'_>) -> Option<&'static Rule> {
    RULES.iter().find(|rule| matches!(rule.covers, Covers::Reply(covers) if covers(exchange)))
}

/// Whether a header goes with the page that the old sent, so that the rule of the reply explains it too: what an error page in HTML
/// forbids, and how the greeting is known again.
pub(super) fn is_of_a_page(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Header(name, Some(old), new) = delta else { return false };
    exchange.old.is_page()
        && match new {
            None => ["content-security-policy", "x-content-type-options"].contains(&name.as_str()),
            Some(new) => exchange.new.is_page() && name == "etag" && old.starts_with("W/") && new.starts_with('"'),
        }
}

/// The rule by which this may be so.
pub(super) fn of_part(exchange: &Exchange<'_>, delta: &Delta) -> Option<&'static Rule> {
    RULES.iter().find(|rule| matches!(rule.covers, Covers::Part(covers) if covers(exchange, delta)))
}
