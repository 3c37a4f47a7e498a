//! What is known of one request, taken down as it becomes known.

use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use crate::{
    caller::{Caller, Who},
    generate::Target,
    metrics::Operation,
};

use super::{Ending, Generating};

/// Routes whose requests are generations, whether they come to that or not.
const GENERATIONS: [&str; 3] = ["/llm/generate", "/v1/chat/completions", "/v1/embeddings"];

/// One request. Each part is known once.
pub struct Record {
    /// Its id.
    pub id: Arc<str>,
    /// When its head had come.
    pub arrived: Instant,
    route: OnceLock<Arc<str>>,
    caller: OnceLock<CallerKind>,
    generation: OnceLock<Generating>,
}

/// Who asks, as far as it may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// Nothing is known but an address.
    Address,
    /// Somebody who is signed in, or for whom a key's holder asks.
    User,
    /// Whoever has a key.
    Key,
    /// The administrator.
    Admin,
}

impl CallerKind {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            CallerKind::Address => "address",
            CallerKind::User => "user",
            CallerKind::Key => "key",
            CallerKind::Admin => "admin",
        }
    }
}

impl From<&Caller> for CallerKind {
    fn from(caller: &Caller) -> Self {
        match caller.who {
            Who::Anyone => CallerKind::Address,
            Who::User(_) | Who::UserOf(..) => CallerKind::User,
            Who::Key(_) => CallerKind::Key,
        }
    }
}

impl Record {
    /// Of a request that has just come.
    pub fn new(id: Arc<str>) -> Self {
        let (route, caller, generation) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { id, arrived: Instant::now(), route, caller, generation }
    }

    /// It is for this route, such as `/users/{id}/sessions`.
    pub fn set_route(&self, route: &str) {
        self.route.get_or_init(|| route.into());
    }

    /// It comes from one of these.
    pub fn set_caller(&self, caller: CallerKind) {
        self.caller.get_or_init(|| caller);
    }

    /// It asks `asked` for an answer or for vectors.
    pub fn generating(&self, operation: Operation, asked: &Target, is_stream: bool) -> &Generating {
        self.generation.get_or_init(|| Generating::new(operation, asked.clone(), is_stream))
    }

    /// Adds to what is known of its answer, if it asks for one.
    pub fn take_down(&self, what: impl FnOnce(&Generating)) {
        if let Some(generating) = self.generation() {
            what(generating);
        }
    }

    /// Its route. Empty: it matched none.
    pub fn route(&self) -> Arc<str> {
        self.route.get().cloned().unwrap_or_default()
    }

    /// Who asks. `None`: nobody wanted to know.
    pub fn caller(&self) -> Option<CallerKind> {
        self.caller.get().copied()
    }

    /// What is known of its answer. `None`: it asks for none, or did not come that far.
    pub fn generation(&self) -> Option<&Generating> {
        self.generation.get()
    }

    /// What became of a generation whose reply has ended and began with `status`. `None`: it is none.
    pub fn ending(&self, status: u16) -> Option<Ending> {
        let generation = self.generation();
        if generation.is_none() && !self.route.get().is_some_and(|route| GENERATIONS.contains(&&**route)) {
            return None;
        }
        let by_status = || Ending::of_status(status).or(generation.map(Generating::ending)).unwrap_or(Ending::Left);
        match generation.filter(|generation| generation.failure().is_some()) {
            // The client hears of nothing any more.
            Some(_) if Ending::of_status(status) == Some(Ending::Left) => Some(Ending::Left),
            Some(failed) => Some(failed.ending()),
            None => Some(by_status()),
        }
    }
}
