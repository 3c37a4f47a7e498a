//! What layers answer in place of a handler, and what they say with its replies.

use utoipa::openapi::{
    Content, OpenApi, PathItem, Ref, RefOr, Response, Schema, Type,
    path::{Operation, Parameter, ParameterIn},
    schema::SchemaType,
    security::SecurityRequirement,
};

use super::{
    super::edge::Form,
    generations,
    headers::{self, Promised},
};

/// A layer, as clients notice it.
#[derive(Clone, Copy)]
pub(super) struct Layer {
    /// Statuses, and why.
    refusals: &'static [(u16, &'static str)],
    /// The same, if the operation changes something, and a browser may be made to ask for it.
    forged: &'static [(u16, &'static str)],
    /// Whom it lets through, by the names of security schemes; one is enough. An empty name: whoever asks.
    admits: &'static [&'static str],
    /// What it says in headers of its own replies, and of those from further in.
    says: &'static [Promised],
    /// What clients may tell it in headers.
    hears: &'static [Promised],
    /// Whether there is something to refuse only where there is a body.
    reads_the_body: bool,
    /// Whether whatever can go wrong with a generation may go wrong.
    generates: bool,
}

const NOTHING: Layer =
    Layer { refusals: &[], forged: &[], admits: &[], says: &[], hears: &[], reads_the_body: false, generates: false };

pub(super) const LOAD_SHED: Layer = Layer { refusals: &[(503, "The service is busy.")], ..NOTHING };

pub(super) const CLIENT: Layer = Layer {
    refusals: &[
        (400, "`X-User-Id` is not an id."),
        (401, "The service has API_KEYS, and neither a key nor a live session is named."),
        (429, "Sessions that do not exist were named too often from this address."),
        (503, "The session store does not answer."),
    ],
    forged: FORGED,
    admits: &["", "apiKey", "sessionCookie", "sessionHeader"],
    hears: &[headers::USER_ID],
    ..NOTHING
};

const FORGED: &[(u16, &str)] = &[(403, "Only a cookie names the session, and `Origin` is not one of FRONTEND_URL.")];

pub(super) const OWN_SESSION: Layer = Layer { forged: FORGED, admits: &["sessionCookie", "sessionHeader"], ..NOTHING };

pub(super) const KEY: Layer = Layer {
    refusals: &[(401, "An API key is wanted."), (404, "The service has no API_KEYS: nobody can be trusted with this.")],
    admits: &["apiKey"],
    ..NOTHING
};

pub(super) const ADMIN: Layer = Layer {
    refusals: &[(401, "The ADMIN_TOKEN is wanted."), (404, "The service has no ADMIN_TOKEN.")],
    admits: &["admin"],
    ..NOTHING
};

/// In front of what tells how the service is doing.
pub(super) const STATUS: Layer =
    Layer { admits: &["admin", "apiKey", "sessionCookie", "sessionHeader", ""], ..WATCHED };

/// In front of what is counted.
pub(super) const WATCHED: Layer = Layer {
    refusals: &[(401, "The service has an ADMIN_TOKEN, and it is wanted.")],
    admits: &["admin", ""],
    ..NOTHING
};

pub(super) const RATE_LIMIT: Layer =
    Layer { refusals: &[(429, "The limit of the caller is reached.")], says: &headers::RATE_LIMIT, ..NOTHING };

pub(super) const BODY: Layer = Layer {
    refusals: &[
        (400, "The body is not as described."),
        (408, "The body did not come in time."),
        (413, "The body is too large."),
        (415, "The body does not say that it is JSON, or is encoded in a way that is not known here."),
        (503, "Too much is being sent to the service, or it is stopping."),
    ],
    reads_the_body: true,
    ..NOTHING
};

pub(super) const GENERATION: Layer =
    Layer { says: &headers::GENERATION, hears: &[headers::CACHE_CONTROL], generates: true, ..NOTHING };

pub(super) const STORE: Layer = Layer { refusals: &[(503, "The store does not answer.")], ..NOTHING };

pub(super) const SESSION_STORE: Layer = Layer {
    refusals: &[
        (429, "Sessions that do not exist were named too often from this address."),
        (503, "The session store does not answer."),
    ],
    ..NOTHING
};

/// What every route may answer.
const EDGE: Layer = Layer { refusals: &[(500, "The service failed.")], hears: &[headers::REQUEST_ID], ..NOTHING };

/// The operations of `group`, as they are behind `layers`, the outermost first.
pub(super) fn behind(layers: &[Layer], mut group: OpenApi) -> OpenApi {
    for (path, item) in &mut group.paths.paths {
        let PathItem { get, put, post, delete, patch, .. } = item;
        if let Some(operation) = get {
            place(path, operation, layers, false);
        }
        for operation in [put, post, delete, patch].into_iter().flatten() {
            place(path, operation, layers, true);
        }
    }
    group
}

fn place(path: &str, operation: &mut Operation, layers: &[Layer], changes_something: bool) {
    // Handlers' errors are in the list of statuses.
    if let Some(description) = &mut operation.description {
        let prose = description.split("# Errors").next().unwrap_or_default().trim().to_owned();
        *description = prose;
    }
    operation.description.take_if(|description| description.is_empty());
    // From the inside out, so that a header is said by whoever it comes from and all who are behind them.
    for layer in layers.iter().rev().chain([&EDGE]) {
        layer.add_to(path, operation, changes_something);
    }
    operation.parameters.iter_mut().flatten().for_each(not_null);
    let takes_path = operation.parameters.iter().flatten().any(|parameter| parameter.parameter_in == ParameterIn::Path);
    if takes_path {
        refuse(operation, 400, "The path holds what it must not.");
    }
    let form = Form::of(path);
    for (status, response) in &mut operation.responses.responses {
        if let (RefOr::T(response), Ok(status)) = (response, status.parse()) {
            finish(response, status, form);
        }
    }
}

impl Layer {
    fn add_to(&self, path: &str, operation: &mut Operation, changes_something: bool) {
        if !self.reads_the_body || operation.request_body.is_some() {
            self.refusals.iter().for_each(|(status, why)| refuse(operation, *status, why));
        }
        if changes_something && !self.forged.is_empty() {
            operation.parameters.get_or_insert_default().push(headers::ORIGIN.parameter());
            self.forged.iter().for_each(|(status, why)| refuse(operation, *status, why));
        }
        if self.generates {
            for (status, why) in generations::refusals(path) {
                refuse(operation, status, &why);
            }
        }
        for response in operation.responses.responses.values_mut() {
            headers::say(response, self.says, Form::of(path));
        }
        for heard in self.hears {
            operation.parameters.get_or_insert_default().push(heard.parameter());
        }
        // Where more is wanted, the operation says so itself.
        if !self.admits.is_empty() && operation.security.is_none() {
            let none: [&str; 0] = [];
            let requirement = |name: &&str| match *name {
                "" => SecurityRequirement::default(),
                name => SecurityRequirement::new(name, none),
            };
            operation.security = Some(self.admits.iter().map(requirement).collect());
        }
    }
}

/// What may be absent is not `null` outside of a body.
fn not_null(parameter: &mut Parameter) {
    if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
        && let SchemaType::Array(types) = &mut object.schema_type
    {
        types.retain(|one| *one != Type::Null);
    }
}

/// Adds a reason for a status.
fn refuse(operation: &mut Operation, status: u16, why: &str) {
    let response =
        operation.responses.responses.entry(status.to_string()).or_insert_with(|| RefOr::T(Response::new("")));
    if let RefOr::T(response) = response {
        let lead = if response.description.is_empty() { "" } else { " Or: " };
        response.description = [response.description.as_str(), lead, why].concat();
    }
}

/// What every reply has, and every error.
fn finish(response: &mut Response, status: u16, form: Form) {
    headers::promise(response, headers::REQUEST_ID);
    if status < 400 {
        return;
    }
    let schema = match form {
        Form::Original => "Error",
        Form::OpenAi => "OpenAiError",
    };
    if response.content.is_empty() {
        let content = Content::new(Some(Ref::from_schema_name(schema)));
        response.content.insert("application/json".to_owned(), content);
    }
    match status {
        401 => headers::promise(response, headers::CHALLENGE),
        429 | 503 => headers::promise(response, headers::RETRY_AFTER),
        _ => {}
    }
    if form == Form::OpenAi {
        headers::promise(response, headers::SHOULD_RETRY);
    }
}
