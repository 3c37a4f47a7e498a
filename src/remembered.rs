//! What is remembered of a bounded number of keys: of too many, the one that was asked for longest ago is forgotten.

use std::{
    borrow::Borrow,
    hash::Hash,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;

/// Values by their keys. How long one is true, it says itself.
pub struct Remembered<K, V>(Mutex<LruCache<K, V>>);

impl<K: Hash + Eq, V: Clone> Remembered<K, V> {
    /// Nothing yet, and never more than `most`.
    pub fn new(most: NonZeroUsize) -> Self {
        Self(Mutex::new(LruCache::new(most)))
    }

    fn values(&self) -> MutexGuard<'_, LruCache<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of `key`.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.values().get(key).cloned()
    }

    /// Remembers `value` of `key`.
    pub fn put(&self, key: K, value: V) {
        self.values().put(key, value);
    }

    /// Forgets `key`.
    pub fn forget<Q: Hash + Eq + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.values().pop(key);
    }

    /// Remembers of `key` what `change` makes of what was remembered, if anything. Nobody comes between.
    pub fn change(&self, key: K, change: impl FnOnce(Option<V>) -> Option<V>) {
        let mut values = self.values();
        let before = values.pop(&key);
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
        let remembered = Remembered::new(NonZeroUsize::new(2).unwrap());
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
