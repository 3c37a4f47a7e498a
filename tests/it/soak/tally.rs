//! What was seen, counted, and what should not have been.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use super::{
    exchange::{Asking, Ending, Form, Seen},
    kinds::Kind,
    phases::{Phase, Trouble},
};

/// How many violations are told in full.
const TOLD: usize = 50;

#[derive(Default)]
pub(super) struct Tally {
    /// By kind, ending and phase.
    pub(super) counts: BTreeMap<(Kind, String, &'static str), u64>,
    /// In milliseconds, of requests that were answered with 200, by phase.
    pub(super) took_ms: BTreeMap<&'static str, Vec<u32>>,
    /// What was allowed to the client that has a limit, by pair.
    pub(super) admissions: [Vec<Admission>; 2],
    /// When each fresh question was asked first, by pair.
    pub(super) asked: [HashMap<String, Instant>; 2],
    /// What failed while the provider did, to be recalled; by pair.
    pub(super) failed: [Vec<Asking>; 2],
    pub(super) violations: Vec<String>,
    /// How many there were that are not told.
    pub(super) untold: usize,
}

/// The limited client was let through.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    /// Of the instance that did it.
    pub(super) key: String,
    pub(super) is_local: bool,
    /// It was decided between these two.
    pub(super) begun: Instant,
    pub(super) headed: Instant,
}

impl Tally {
    pub(super) fn violation(&mut self, what: String) {
        if self.violations.len() < TOLD {
            self.violations.push(what);
        } else {
            self.untold += 1;
        }
    }

    pub(super) fn begins(&mut self, pair: usize, kind: Kind, asking: &Asking) {
        let is_fresh = match kind {
            Kind::Json
            | Kind::Stream
            | Kind::ChatJson
            | Kind::ChatStream
            | Kind::Together
            | Kind::Leaving
            | Kind::Slow => true,
            Kind::Embedding
            | Kind::Repeated
            | Kind::Seldom
            | Kind::Bad
            | Kind::Limited
            | Kind::Session
            | Kind::Recalled => false,
        };
        if is_fresh {
            self.asked[pair].entry(asking.question.clone()).or_insert_with(Instant::now);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that is known of one request")]
    pub(super) fn ends(
        &mut self,
        pair: usize,
        store: &str,
        kind: Kind,
        asking: Asking,
        seen: &Seen,
        phases: &[Phase],
        key: String,
    ) {
        let phase = phases.first().map_or("quiet", |phase| phase.words());
        *self.counts.entry((kind, seen.ending.words(), phase)).or_default() += 1;
        let took = seen.ended.duration_since(seen.begun);
        if matches!(seen.ending, Ending::Whole(_)) {
            self.took_ms.entry(phase).or_default().push(took.as_millis() as u32);
        }
        if !is_permitted(kind, &seen.ending, asking.place, phases) {
            let (Seen { ending, request_id, .. }, Asking { place, question, form, .. }) = (seen, &asking);
            let what = format!(
                "{}: {ending:?} after {took:?} in {phases:?}, {store} at place {place} ({key}), {form:?} «{question}», request {request_id}",
                kind.words()
            );
            self.violation(what);
        }
        let is_admitted = matches!(seen.ending, Ending::Whole(_) | Ending::Status(500..));
        if kind == Kind::Limited && is_admitted {
            let Seen { is_local, begun, headed, .. } = *seen;
            self.admissions[pair].push(Admission { key, is_local, begun, headed });
        }
        let has_failed = matches!(seen.ending, Ending::Error | Ending::Status(429 | 500..));
        if has_failed && kind != Kind::Limited && kind != Kind::Recalled && asking.form != Form::Embed {
            self.failed[pair].push(asking);
        }
    }
}

/// Whether a request may end like that at `place`, by all that was wrong while it was under way. Whatever is wrong with the store, only
/// sessions may feel it; a provider's trouble may be told, and nothing but an instance's own end breaks a connection.
fn is_permitted(kind: Kind, ending: &Ending, place: usize, phases: &[Phase]) -> bool {
    let any = |is_meant: &dyn Fn(Trouble, usize) -> bool| {
        phases.iter().filter_map(|phase| phase.trouble()).any(|(trouble, place)| is_meant(trouble, place))
    };
    let of_provider = any(&|trouble, _| trouble.is_of_provider());
    let of_store = any(&|trouble, _| trouble.is_of_store());
    let is_killed = any(&|trouble, there| trouble == Trouble::InstanceKilled && there == place);
    let is_stopped = any(&|trouble, there| trouble == Trouble::InstanceStopped && there == place);
    match ending {
        Ending::Whole(_) => kind != Kind::Bad,
        Ending::Left => kind == Kind::Leaving,
        Ending::Refused => is_killed || is_stopped,
        Ending::Unheard | Ending::Broken => is_killed,
        Ending::Status(400 | 401) => kind == Kind::Bad,
        Ending::Status(_) if kind == Kind::Bad => false,
        Ending::Status(504) if kind == Kind::Recalled => true,
        Ending::Status(429) => kind == Kind::Limited || of_provider || kind == Kind::Session && of_store,
        Ending::Status(503) => of_provider || kind == Kind::Session && of_store,
        Ending::Error | Ending::Status(502 | 504) => of_provider,
        Ending::Wrong(_) | Ending::Status(_) => false,
    }
}
