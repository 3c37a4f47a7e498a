//! What is different on purpose, each for one reason and no wider than that. `docs/compare.md` explains them; a test holds both together.

mod parts;
mod replies;

use super::{Body, Exchange, Reply, diff::Delta};

use parts as part;
use replies as reply;

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
#[derive(Clone, Copy)]
enum Covers {
    /// Both replies as wholes: their statuses and bodies, but not their headers.
    Reply(fn(&Exchange<'_>) -> bool),
    /// One thing that is not the same.
    Part(fn(&Exchange<'_>, &Delta) -> bool),
}

impl std::fmt::Debug for Covers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Covers::Reply(_) => "Reply",
            Covers::Part(_) => "Part",
        })
    }
}

const fn whole(
    name: &'static str,
    number: &'static str,
    reason: &'static str,
    covers: fn(&Exchange<'_>) -> bool,
) -> Rule {
    Rule { name, number, reason, covers: Covers::Reply(covers) }
}

const fn one(
    name: &'static str,
    number: &'static str,
    reason: &'static str,
    covers: fn(&Exchange<'_>, &Delta) -> bool,
) -> Rule {
    Rule { name, number, reason, covers: Covers::Part(covers) }
}

/// The rules, in the order in which they are tried.
pub static RULES: [Rule; 45] = [
    whole(
        "health-is-one-word",
        "section 3.1, faults 41 and 42",
        "A process that serves is healthy: the answer waits for no store and measures no heap; the four fields are at /health/ready.",
        reply::health,
    ),
    whole("status-page", "section 3.2", "The greeting has become the status page.", reply::status_page),
    whole(
        "prometheus",
        "section 3.3, fault 51",
        "Metrics are Prometheus' text, and count from the start.",
        reply::prometheus,
    ),
    whole(
        "json-errors",
        "section 2, fault 11",
        "Errors outside the routes are JSON, as all others are.",
        reply::json_errors,
    ),
    whole(
        "wrong-method",
        "section 2, fault 11",
        "A known path with another method is 405 and names the methods that it has.",
        reply::wrong_method,
    ),
    whole(
        "larger-bodies",
        "section 2",
        "A body may have 1024 KB (BODY_LIMIT_KB) in place of 100.",
        reply::larger_bodies,
    ),
    whole(
        "body-must-be-json",
        "fault 12",
        "A body that is no JSON, or is missing, is refused as such, in place of what followed from its absence.",
        reply::body_must_be_json,
    ),
    whole(
        "streaming-is-a-flag",
        "section 13.1",
        "`streaming` is true, false or absent; what is neither is refused in place of meaning true.",
        reply::streaming_is_a_flag,
    ),
    whole(
        "refused-before-the-stream",
        "section 13.3, fault 5",
        "What is known before a provider is called is refused with its status, also where a stream was asked for.",
        reply::refused_before_the_stream,
    ),
    whole(
        "failures-are-errors",
        "fault 2",
        "A failing provider is an error with its status, or an ERROR event; never canned code.",
        reply::failures_are_errors,
    ),
    whole(
        "empty-answers-fail",
        "fault 9",
        "An empty answer is the provider's failure, 502, and is neither kept nor paid twice.",
        reply::empty_answers_fail,
    ),
    whole(
        "every-mode-answers",
        "fault 7",
        "Each routing mode finds a model, also without one named.",
        reply::every_mode_answers,
    ),
    whole(
        "one-catalogue",
        "fault 8, section 13.6",
        "What is listed can be used: names are found whatever their case, and whoever offers a bare name answers.",
        reply::one_catalogue,
    ),
    whole("blank-prompts", "fault 14", "A prompt of spaces is none.", reply::blank_prompts),
    whole(
        "null-is-absent",
        "fault 14",
        "An optional field that is null is one that was left out.",
        reply::null_is_absent,
    ),
    whole(
        "own-sentences",
        "fault 12",
        "What a client does wrong is told in a sentence with 4xx, not by an exception's text with 500.",
        reply::own_sentences,
    ),
    whole(
        "spelling-is-no-bucket",
        "fault 19",
        "Other spellings of a path are counted with it.",
        reply::spelling_is_no_bucket,
    ),
    whole(
        "limited-before-reading",
        "fault 24",
        "The limit comes before the body is read, and holds for whatever spends.",
        reply::limited_before_reading,
    ),
    whole(
        "hits-are-free",
        "fault 28",
        "A budget that is spent refuses no answer that costs nothing.",
        reply::hits_are_free,
    ),
    whole(
        "administrators-only",
        "section 3.10, fault 33",
        "What changes budgets wants ADMIN_TOKEN; without one set there are no such routes.",
        reply::administrators_only,
    ),
    whole(
        "settings-are-checked",
        "fault 33",
        "Budget settings that make no sense are refused, all of them.",
        reply::settings_are_checked,
    ),
    whole("no-304", "section 2", "Replies have no ETag, so that nothing is said to be unchanged.", reply::no_304),
    one(
        "made-up-no-more",
        "faults 2 and 3",
        "The old backend failed and made an answer up; this service was answered.",
        part::made_up_no_more,
    ),
    one(
        "text-stays-text",
        "fault 4",
        "An answer that is JSON comes back from the cache as the text that it was, and amounts stay numbers.",
        part::text_stays_text,
    ),
    one("cold-cache", "section 13.7", "Keys of the cache are others, so that it starts empty.", part::cold_cache),
    one("pieces", "interface, streams", "The text comes in pieces, DELTA, while it is written.", part::pieces),
    one(
        "each-attempt-is-told",
        "fault 50",
        "Each further attempt at a provider is an event of its own.",
        part::each_attempt_is_told,
    ),
    one("error-message", "fault 6", "An ERROR event has the message that the frontend shows.", part::error_message),
    one(
        "additions",
        "interface, additions",
        "Fields that the old did not have; who does not know them passes over them.",
        part::additions,
    ),
    one(
        "error-fields",
        "interface, errors",
        "An error says besides what it means, what helps, and for which request it is.",
        part::error_fields,
    ),
    one(
        "whole-characters",
        "fault 13",
        "The prompt that is told back is cut between characters.",
        part::whole_characters,
    ),
    one(
        "retry-after",
        "section 7, fault 22",
        "Waiting times are real, and stand in Retry-After too.",
        part::retry_after,
    ),
    one(
        "more-models",
        "fault 8",
        "Lists hold what the old ones held, and newer models; prices and addresses are today's.",
        part::more_models,
    ),
    one("no-supernova", "fault 8", "Supernova could be listed and never used.", part::no_supernova),
    one("vendors-words", "fault 12", "A vendor's own error body is not passed on.", part::vendors_words),
    one(
        "real-analytics",
        "fault 29",
        "Usage is counted by real periods, of which analytics tell more.",
        part::analytics,
    ),
    one("no-express", "fault 55", "Nobody needs to know what the service is made of.", part::no_express),
    one("no-etags", "section 2", "Replies have no ETag.", part::no_etags),
    one(
        "new-headers",
        "interface, headers",
        "Headers that tell how an answer came about, or protect who reads it.",
        part::new_headers,
    ),
    one("readable-headers", "fault 25", "Pages may read the headers.", part::readable_headers),
    one(
        "more-origins",
        "section 2, fault 48",
        "Who may call from a browser is set by FRONTEND_URL.",
        part::more_origins,
    ),
    one(
        "cookies-across-sites",
        "fault 61",
        "Pages may send their session, and keep the answer to a preflight.",
        part::cookies,
    ),
    one(
        "unchanged-streams",
        "section 13.2",
        "Nothing on the way may hold a stream back to compress it.",
        part::unchanged_streams,
    ),
    one("sane-ids", "fault 52", "Only a sane X-Request-Id is taken over.", part::sane_ids),
    STREAMS_WHEN_ASKED,
];

const STREAMS_WHEN_ASKED: Rule = one(
    "streams-when-asked",
    "fault 1, section 13.1",
    "An answer is JSON unless `streaming` is true, or is absent and Accept asks for events.",
    |_, _| false,
);

/// The stream of the old, where nobody asked for one, as the JSON that it completes with; and the rule by which that is meant.
pub(super) fn unasked_stream(exchange: &Exchange<'_>) -> Option<(&'static Rule, Reply)> {
    let Exchange { request, old, new } = exchange;
    // One who says so gets what he says.
    let is_said = request.field("streaming").is_some_and(|streaming| streaming.is_boolean());
    let accepts = request.header("accept").is_some_and(|accept| accept.contains("text/event-stream"));
    if !request.is_generation() || is_said || accepts || new.json().is_none() {
        return None;
    }
    let mut complete = old.ends_in("COMPLETE")?.clone();
    complete.as_object_mut()?.shift_remove("type");
    let headers = old.headers.iter().filter(|(name, _)| *name != "cache-control");
    let headers = headers.map(|(name, value)| (name.clone(), value.clone())).collect();
    let rule = RULES.iter().find(|rule| rule.name == STREAMS_WHEN_ASKED.name)?;
    Some((rule, Reply { status: old.status, headers, body: Body::Json(complete) }))
}

/// The rule by which both replies may be what they are.
pub(super) fn of_reply(exchange: &Exchange<'_>) -> Option<&'static Rule> {
    RULES.iter().find(|rule| matches!(rule.covers, Covers::Reply(covers) if covers(exchange)))
}

/// The rule by which this may be so.
pub(super) fn of_part(exchange: &Exchange<'_>, delta: &Delta) -> Option<&'static Rule> {
    RULES.iter().find(|rule| matches!(rule.covers, Covers::Part(covers) if covers(exchange, delta)))
}
