//! Values of a bounded weight: of too many, the one that was used longest ago is forgotten.
//!
//! Strictly so, behind one lock of whoever holds it. A cache that orders its entries later, by a queue, finds them slower, forgets
//! them in other threads than they were made in, and may refuse newcomers; and the second identical request must be a hit.
//!
//! The values stand side by side and not each in an allocation of its own: memory that comes back from a cache was last touched long
//! ago, and whoever was given it next would wait for it (`docs/performance.md`).

use std::hash::Hash;

use indexmap::{Equivalent, IndexMap, map::Entry};

/// How many that are over are forgotten at once, so that each newcomer makes more room than it takes, and nobody waits for long.
const SWEPT_AT_ONCE: usize = 2;

/// Values by their keys, in the order of their use.
pub(crate) struct Bounded<K, V> {
    values: IndexMap<K, Place<V>>,
    /// Where the one is that was used last, and where the one that was used longest ago. `None`: there is none.
    newest: Option<usize>,
    oldest: Option<usize>,
    weight: u64,
    limit: u64,
    weigh: fn(&K, &V) -> u64,
}

/// A value between those that were used before and after it.
struct Place<V> {
    value: V,
    newer: Option<usize>,
    older: Option<usize>,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    /// Nothing yet, and never more than weighs `limit`.
    pub(crate) fn new(limit: u64, weigh: fn(&K, &V) -> u64) -> Self {
        Self { values: IndexMap::new(), newest: None, oldest: None, weight: 0, limit, weigh }
    }

    /// The value of `key`, which is used now. Its weight must not change.
    pub(crate) fn get<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<&mut V> {
        let at = self.values.get_index_of(key)?;
        self.unlink(at);
        self.link(at);
        Some(&mut self.place(at).value)
    }

    /// Whether there is a value of `key`, which is not used by this.
    pub(crate) fn contains<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> bool {
        self.values.contains_key(key)
    }

    /// Puts `value` in the place of what was there. What is too heavy by itself is not kept, and pushes nothing out.
    pub(crate) fn put(&mut self, key: K, value: V) {
        let weight = (self.weigh)(&key, &value);
        if weight > self.limit {
            self.remove(&key);
            return;
        }
        self.weight += weight;
        let at = match self.values.entry(key) {
            Entry::Occupied(mut there) => {
                self.weight -= (self.weigh)(there.key(), &there.get().value);
                there.get_mut().value = value;
                let at = there.index();
                self.unlink(at);
                at
            }
            Entry::Vacant(free) => {
                let at = free.index();
                free.insert(Place { value, newer: None, older: None });
                at
            }
        };
        self.link(at);
        while self.weight > self.limit {
            self.forget_oldest();
        }
    }

    /// Takes the value of `key` out.
    pub(crate) fn remove<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<V> {
        let at = self.values.get_index_of(key)?;
        Some(self.take(at))
    }

    /// Forgets a few of those that were used longest ago, as far as they are over.
    pub(crate) fn sweep(&mut self, is_over: impl Fn(&V) -> bool) {
        for _ in 0..SWEPT_AT_ONCE {
            let Some(at) = self.oldest else { return };
            if !is_over(&self.place(at).value) {
                return;
            }
            self.take(at);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(at) = self.oldest {
            self.take(at);
        }
    }

    /// Forgets all of them, and says how many of them `counts`.
    pub(crate) fn clear(&mut self, counts: impl Fn(&V) -> bool) -> u64 {
        let count = self.values.values().filter(|place| counts(&place.value)).count() as u64;
        *self = Self::new(self.limit, self.weigh);
        count
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.values.len() as u64
    }

    /// What they weigh.
    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    fn place(&mut self, at: usize) -> &mut Place<V> {
        self.values.get_index_mut(at).map_or_else(|| unreachable!("links lead to values"), |(_, place)| place)
    }

    /// Makes the one `at` there the newest.
    fn link(&mut self, at: usize) {
        let before = self.newest.replace(at);
        match before {
            Some(before) => self.place(before).newer = Some(at),
            None => self.oldest = Some(at),
        }
        let place = self.place(at);
        (place.newer, place.older) = (None, before);
    }

    /// Takes the one `at` there out of the order.
    fn unlink(&mut self, at: usize) {
        let Place { newer, older, .. } = *self.place(at);
        self.join(older, newer);
    }

    /// Lets `newer` follow on `older`.
    fn join(&mut self, older: Option<usize>, newer: Option<usize>) {
        match older {
            Some(older) => self.place(older).newer = newer,
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => self.place(newer).older = older,
            None => self.newest = older,
        }
    }

    /// Takes the one `at` there out. The last one moves there.
    fn take(&mut self, at: usize) -> V {
        self.unlink(at);
        let taken = self.values.swap_remove_index(at);
        let (key, Place { value, .. }) = taken.unwrap_or_else(|| unreachable!("links lead to values"));
        self.weight -= (self.weigh)(&key, &value);
        if at < self.values.len() {
            let Place { newer, older, .. } = *self.place(at);
            self.join(older, Some(at));
            self.join(Some(at), newer);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, u64),
        Get(u8),
        Remove(u8),
        Sweep(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_u8..12, 0_u64..14).prop_map(|(key, weight)| Step::Put(key, weight)),
            2 => (0_u8..12).prop_map(Step::Get),
            1 => (0_u8..12).prop_map(Step::Remove),
            1 => (0_u64..14).prop_map(Step::Sweep),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a list that is looked through: the last used stands last, and a value is its own weight.
        #[test]
        fn it_agrees_with_a_naive_model(steps in steps()) {
            const LIMIT: u64 = 12;
            let mut bounded = Bounded::<u8, u64>::new(LIMIT, |_, value| *value);
            let mut model: Vec<(u8, u64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Put(key, weight) => {
                        bounded.put(key, weight);
                        model.retain(|(other, _)| *other != key);
                        if weight <= LIMIT {
                            model.push((key, weight));
                        }
                        while model.iter().map(|(_, weight)| weight).sum::<u64>() > LIMIT {
                            model.remove(0);
                        }
                    }
                    Step::Get(key) => {
                        let place = model.iter().position(|(other, _)| *other == key);
                        let expected = place.map(|place| model.remove(place));
                        model.extend(expected);
                        prop_assert_eq!(bounded.get(&key).copied(), expected.map(|(_, value)| value));
                    }
                    Step::Remove(key) => {
                        let place = model.iter().position(|(other, _)| *other == key);
                        prop_assert_eq!(bounded.remove(&key), place.map(|place| model.remove(place).1));
                    }
                    Step::Sweep(below) => {
                        bounded.sweep(|value| *value < below);
                        for _ in 0..SWEPT_AT_ONCE {
                            if model.first().is_some_and(|(_, value)| *value < below) {
                                model.remove(0);
                            } else {
                                break;
                            }
                        }
                    }
                }
                prop_assert_eq!(bounded.len(), model.len() as u64);
                prop_assert_eq!(bounded.weight(), model.iter().map(|(_, weight)| weight).sum::<u64>());
                prop_assert!(model.iter().all(|(key, _)| bounded.contains(key)));
            }
            let even = model.iter().filter(|(_, value)| value % 2 == 0).count() as u64;
            prop_assert_eq!(bounded.clear(|value| value % 2 == 0), even);
            prop_assert_eq!((bounded.len(), bounded.weight()), (0, 0));
        }
    }
}
