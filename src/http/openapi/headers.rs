//! Headers that are promised.

use utoipa::openapi::{
    Header, Object, RefOr, Required, Response, Type,
    path::{Parameter, ParameterBuilder, ParameterIn},
};

use super::super::edge::Form;

/// A header, and what it says.
#[derive(Clone, Copy)]
pub(super) struct Promised {
    name: &'static str,
    is_number: bool,
    says: &'static str,
    /// On which paths. `None`: on all.
    only: Option<Form>,
}

const fn text(name: &'static str, says: &'static str) -> Promised {
    Promised { name, is_number: false, says, only: None }
}

const fn number(name: &'static str, says: &'static str) -> Promised {
    Promised { name, is_number: true, says, only: None }
}

const fn only(form: Form, promised: Promised) -> Promised {
    Promised { only: Some(form), ..promised }
}

pub(super) const REQUEST_ID: Promised =
    text("X-Request-Id", "The request's id: the client's own, if it sent a sane one. In every line of the log.");
pub(super) const USER_ID: Promised =
    text("X-User-Id", "With an API key: the user for whom its holder asks, and whose limit it counts against.");
pub(super) const CACHE_CONTROL: Promised = text(
    "Cache-Control",
    "How fresh the answer must be, and whether it is stored: `no-cache`, `no-store`, `only-if-cached`, `max-age`, `min-fresh`, \
     `max-stale`, `stale-if-error`.",
);
pub(super) const ORIGIN: Promised =
    text("Origin", "Wanted from a browser whose session is named by its cookie alone: one of FRONTEND_URL.");
pub(super) const RETRY_AFTER: Promised =
    number("Retry-After", "Seconds until another attempt may succeed, where that is known.");
pub(super) const CHALLENGE: Promised = text(
    "WWW-Authenticate",
    "`Bearer`, with one realm for clients and another, `llm-gateway administration`, for the administrator.",
);
pub(super) const SHOULD_RETRY: Promised =
    text("x-should-retry", "`true` or `false`, where it is not what clients take the status for.");

pub(super) const RATE_LIMIT: [Promised; 9] = [
    number(
        "X-RateLimit-Limit",
        "How many generations the caller has in a window. Absent, as the next, where there is no limit.",
    ),
    number("X-RateLimit-Remaining", "How many are left."),
    number("X-RateLimit-Reset", "When that grows next, in milliseconds since the Unix epoch."),
    text("X-RateLimit-Mode", "`local` while the store is away and each instance counts for itself."),
    text("RateLimit", "The same as the IETF's draft has it: `\"generate\";r=19;t=60`."),
    text("RateLimit-Policy", "The limit as the draft has it: `\"generate\";q=20;w=60`."),
    only(Form::OpenAi, number("x-ratelimit-limit-requests", "As `X-RateLimit-Limit`.")),
    only(Form::OpenAi, number("x-ratelimit-remaining-requests", "As `X-RateLimit-Remaining`.")),
    only(Form::OpenAi, text("x-ratelimit-reset-requests", "The time until it grows, such as `1s` or `6m0s`.")),
];

pub(super) const GENERATION: [Promised; 5] = [
    text(
        "Cache-Status",
        "What the cache had to do with it (RFC 9211): `llm-gateway; hit; ttl=3540`, `llm-gateway; fwd=miss; stored`.",
    ),
    number("Age", "Seconds since the answer was stored, where it was."),
    text("Server-Timing", "`limiter`, `cache`, `provider` and `total`, in milliseconds."),
    only(Form::Original, text("X-Routing-Decision", "Where a model was chosen, which and why, as JSON.")),
    only(Form::OpenAi, text("X-Gateway-Dropped", "The fields that were left out, comma-separated.")),
];

impl Promised {
    fn object(self) -> Object {
        Object::with_type(if self.is_number { Type::Integer } else { Type::String })
    }

    /// As clients may send it.
    pub(super) fn parameter(self) -> Parameter {
        let parameter = ParameterBuilder::new().name(self.name).parameter_in(ParameterIn::Header);
        parameter.required(Required::False).description(Some(self.says)).schema(Some(self.object())).build()
    }
}

/// `response`, of a path of this `form`, may have these.
pub(super) fn say(response: &mut RefOr<Response>, promised: &[Promised], form: Form) {
    let RefOr::T(response) = response else { return };
    let promised = promised.iter().filter(|promised| promised.only.is_none_or(|only| only == form));
    promised.for_each(|promised| promise(response, *promised));
}

/// `response` may have this one.
pub(super) fn promise(response: &mut Response, promised: Promised) {
    let mut header = Header::new(promised.object());
    header.description = Some(promised.says.to_owned());
    response.headers.insert(promised.name.to_owned(), header);
}
