//! What is remembered of a bounded number of keys: of too many, the one that was asked for longest ago is forgotten.

use std::{
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use indexmap::Equivalent;

use crate::bounded::Bounded;

/// Values by their keys. How long one is true, it says itself.
pub struct Remembered<K, V>(Mutex<Bounded<K, V>>);

impl<K: Hash + Eq, V: Clone> Remembered<K, V> {
    /// Nothing yet, and never more than `most`.
    pub fn new(most: u64) -> Self {
        Self(Mutex::new(Bounded::new(most, |_, _| 1)))
    }

    fn values(&self) -> MutexGuard<'_, Bounded<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of `key`.
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<V> {
        self.values().get(key).cloned()
    }

    /// Remembers `value` of `key`.
    pub fn put(&self, key: K, value: V) {
        self.values().put(key, value);
    }

    /// Forgets `key`.
    pub fn forget<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) {
        self.values().remove(key);
    }

    /// Remembers of `key` what `change` makes of what was remembered, if anything. Nobody comes between.
    pub fn change(&self, key: K, change: impl FnOnce(Option<V>) -> Option<V>) {
        let mut values = self.values();
        let before = values.remove(&key);
        if let Some(value) = change(before) {
            values.put(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_the_one_that_was_asked_for_longest_ago_is_forgotten() {
        let remembered = Remembered::new(2);
        remembered.put("a".to_owned(), 1);
        remembered.put("b".to_owned(), 2);
        assert_eq!(remembered.get("a"), Some(1));
        remembered.change("c".to_owned(), |before| before.or(Some(3)));
        assert_eq!((remembered.get("a"), remembered.get("b"), remembered.get("c")), (Some(1), None, Some(3)));
        remembered.change("c".to_owned(), |before| before.map(|value| value + 1));
        remembered.change("a".to_owned(), |_| None);
        assert_eq!((remembered.get("a"), remembered.get("c")), (None, Some(4)));
    }
}
