//! Whether anyone was let through more often than he may be.

use std::time::Instant;

use super::{
    pair::{LIMIT, WINDOW},
    tally::Admission,
};

/// What all instances together let through by the store is at most the limit in any window, and what one lets through on its own, because the
/// store is away, is its share at most.
pub(super) fn judge(store: &str, admissions: &[Admission]) -> Vec<String> {
    let by_store: Vec<_> = admissions.iter().filter(|admission| !admission.is_local).collect();
    let mut violations: Vec<String> =
        over(&by_store, LIMIT).map(|what| format!("{store}: both together let through {what}")).into_iter().collect();
    let mut keys: Vec<_> = admissions.iter().map(|admission| &admission.key).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let alone: Vec<_> = admissions.iter().filter(|admission| admission.is_local && admission.key == *key).collect();
        violations.extend(over(&alone, LIMIT / 2).map(|what| format!("{store}: {key} alone let through {what}")));
    }
    violations
}

/// The most that is certain to have been let through in one window.
pub(super) fn most(admissions: &[Admission]) -> usize {
    let by_store: Vec<_> = admissions.iter().filter(|admission| !admission.is_local).collect();
    (1..=by_store.len()).take_while(|most| over(&by_store, most - 1).is_some()).last().unwrap_or_default()
}

/// Says when more than `most` were let through in one window, whenever between question and answer each was.
fn over(admissions: &[&Admission], most: usize) -> Option<String> {
    let mut spans: Vec<(Instant, Instant)> = admissions.iter().map(|one| (one.begun, one.headed)).collect();
    spans.sort_unstable();
    spans.windows(most + 1).find_map(|some| {
        let (first, last) = (some.first()?.0, some.iter().map(|(_, headed)| *headed).max()?);
        let took = last - first;
        (took < WINDOW).then(|| format!("{} within {took:?}, and may {most} in {WINDOW:?}", most + 1))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_more_than_the_limit_within_a_window_is_seen() {
        let first = Instant::now();
        let at = |seconds: u64, is_local| {
            let begun = first + Duration::from_secs(seconds);
            Admission { key: "sk".to_owned(), is_local, begun, headed: begun + Duration::from_millis(10) }
        };
        let twelve: Vec<_> = (0..12).map(|_| at(0, false)).collect();
        assert!(judge("Redis", &twelve).is_empty());
        assert!(judge("Redis", &[twelve.clone(), vec![at(10, false)]].concat()).is_empty());
        assert_eq!(judge("Redis", &[twelve, vec![at(9, false)]].concat()).len(), 1);
        let alone: Vec<_> = (0..7).map(|_| at(0, true)).collect();
        assert_eq!((judge("Redis", &alone).len(), judge("Redis", &alone[1..]).len()), (1, 0));
    }
}
