//! The inputs of a request, equal ones once, and what is known of each.

use std::{collections::HashMap, sync::Arc};

use crate::{
    embed::{EmbedRequest, Fingerprints, Input, Vector},
    generate::{Freshness, Usage},
};

use super::{super::entry::key, entry::Entry};

/// A request's inputs, each once.
pub(super) struct Batch {
    /// What each is kept under, in the order in which they first appear.
    pub(super) keys: Vec<Arc<str>>,
    /// The inputs themselves, in the same order.
    pub(super) inputs: Vec<Input>,
    /// For each input of the request, its place above.
    places: Vec<usize>,
}

/// A vector that is known.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) vector: Vector,
    pub(super) tokens: u64,
    pub(super) is_estimated: bool,
}

/// A vector that was found.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) known: Known,
    pub(super) freshness: Freshness,
}

impl Batch {
    /// The inputs of `request`, which are taken out of it.
    pub(super) fn of(request: &mut EmbedRequest) -> Self {
        let fingerprints = Fingerprints::of(request);
        let mut places_of: HashMap<Arc<str>, usize> = HashMap::new();
        let (mut keys, mut inputs, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for input in std::mem::take(&mut request.inputs) {
            let key = key(&request.target, &fingerprints.input(&input));
            let place = *places_of.entry(key).or_insert_with_key(|key| {
                keys.push(Arc::clone(key));
                keys.len() - 1
            });
            if place == inputs.len() {
                inputs.push(input);
            }
            places.push(place);
        }
        Self { keys, inputs, places }
    }

    /// Takes out the inputs at `places`, which rise.
    pub(super) fn take(&mut self, places: &[usize]) -> Vec<Input> {
        let mut places = places.iter().copied().peekable();
        let inputs = std::mem::take(&mut self.inputs).into_iter().enumerate();
        inputs.filter_map(|(at, input)| places.next_if_eq(&at).map(|_| input)).collect()
    }

    /// One vector for each input of the request, of those in `known`. `None`: not all are there.
    pub(super) fn vectors(&self, known: &[Option<Known>]) -> Option<Vec<Vector>> {
        let vector = |place: &usize| Some(Arc::clone(&known.get(*place)?.as_ref()?.vector));
        self.places.iter().map(vector).collect()
    }
}

impl From<&Entry> for Known {
    fn from(entry: &Entry) -> Self {
        Self { vector: Arc::clone(&entry.vector), tokens: entry.tokens, is_estimated: entry.is_estimated }
    }
}

/// What was counted for all of `known`.
pub(super) fn usage<'a>(known: impl Iterator<Item = &'a Known>) -> Usage {
    known.fold(Usage::default(), |sum, Known { vector: _, tokens, is_estimated }| Usage {
        input_tokens: sum.input_tokens.saturating_add(*tokens),
        estimated: sum.estimated || *is_estimated,
        ..sum
    })
}
