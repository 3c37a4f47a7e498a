//! The rules, one a row.

use super::{
    Covers, Rule, facts as fact, generations as generation, headers as header, parts as part, replies as reply,
};
use crate::compare::{Exchange, diff::Delta};

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
pub static RULES: &[Rule] = &[
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
        generation::larger_bodies,
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
        generation::streaming_is_a_flag,
    ),
    whole(
        "refused-before-the-stream",
        "section 13.3, fault 5",
        "What is known before a provider is called is refused with its status, also where a stream was asked for.",
        generation::refused_before_the_stream,
    ),
    whole(
        "failures-are-errors",
        "fault 2",
        "A failing provider is an error with its status, or an ERROR event; never canned code.",
        generation::failures_are_errors,
    ),
    whole(
        "empty-answers-fail",
        "fault 9",
        "An empty answer is the provider's failure, 502, and is neither kept nor paid twice.",
        generation::empty_answers_fail,
    ),
    whole(
        "all-parts-are-read",
        "fault 10",
        "An answer is all of its parts, where the old read the first and found nothing in it.",
        generation::all_parts_are_read,
    ),
    whole(
        "every-mode-answers",
        "fault 7",
        "Each routing mode finds a model, also without one named.",
        generation::every_mode_answers,
    ),
    whole(
        "one-catalogue",
        "fault 8, section 13.6",
        "What is listed can be used: names are found whatever their case, and whoever offers a bare name answers.",
        generation::one_catalogue,
    ),
    whole("blank-prompts", "fault 14", "A prompt of spaces is none.", generation::blank_prompts),
    whole(
        "null-is-absent",
        "fault 14",
        "An optional field that is null is one that was left out.",
        generation::null_is_absent,
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
        generation::spelling_is_no_bucket,
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
        generation::hits_are_free,
    ),
    whole(
        "administrators-only",
        "section 3.10, fault 33",
        "What changes budgets wants ADMIN_TOKEN; without one set there are no such routes.",
        reply::administrators_only,
    ),
    whole(
        "settings-break-nothing",
        "fault 33",
        "Budget settings that make no sense are never in force, so that nothing fails of them.",
        reply::settings_break_nothing,
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
        "todays-checks",
        "fault 14, section 13.1",
        "Of several mistakes each is told: null is absent, a prompt of spaces is none, `streaming` is a flag.",
        part::todays_checks,
    ),
    one(
        "settings-stay",
        "fault 33",
        "Budget settings that were not changed, or not to what makes sense, are as they were.",
        fact::settings_stay,
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
        "Lists hold what the old ones held, and newer models; addresses are today's.",
        fact::more_models,
    ),
    one(
        "todays-catalogue",
        "section 4",
        "Sizes, prices and limits of a model are today's, and how it is chosen is as it is.",
        fact::todays_catalogue,
    ),
    one("no-supernova", "fault 8", "Supernova could be listed and never used.", fact::no_supernova),
    one("vendors-words", "fault 12", "A vendor's own error body is not passed on.", fact::vendors_words),
    one(
        "real-analytics",
        "fault 29",
        "Usage is counted by real periods, of which analytics tell more.",
        fact::analytics,
    ),
    one("no-express", "fault 55", "Nobody needs to know what the service is made of.", header::no_express),
    one("no-etags", "section 2", "Replies have no ETag.", header::no_etags),
    one(
        "new-headers",
        "interface, headers",
        "Headers that tell how an answer came about, or protect who reads it.",
        header::new_headers,
    ),
    one("readable-headers", "fault 25", "Pages may read the headers.", header::readable_headers),
    one(
        "more-origins",
        "section 2, fault 48",
        "Who may call from a browser is set by FRONTEND_URL.",
        header::more_origins,
    ),
    one(
        "cookies-across-sites",
        "fault 61",
        "Pages may send their session, and keep the answer to a preflight.",
        header::cookies,
    ),
    one(
        "unchanged-streams",
        "section 13.2",
        "Nothing on the way may hold a stream back to compress it.",
        header::unchanged_streams,
    ),
    one("sane-ids", "fault 52", "Only a sane X-Request-Id is taken over.", header::sane_ids),
    Rule {
        name: "streams-when-asked",
        number: "fault 1, section 13.1",
        reason: "An answer is JSON unless `streaming` is true, or is absent and Accept asks for events.",
        covers: Covers::UnaskedStream,
    },
];
