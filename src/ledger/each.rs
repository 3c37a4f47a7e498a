//! What there is of each period.

use std::ops::Index;

use super::Period;

/// Something of each period.
#[derive(Clone, Copy, Default)]
pub(super) struct Each<T> {
    daily: T,
    weekly: T,
    monthly: T,
}

impl<T> Each<T> {
    /// What `of` says of each, the shortest first.
    pub(super) fn of(of: impl FnMut(Period) -> T) -> Self {
        let [daily, weekly, monthly] = Period::ALL.map(of);
        Self { daily, weekly, monthly }
    }
}

impl<T> Index<Period> for Each<T> {
    type Output = T;

    fn index(&self, period: Period) -> &T {
        match period {
            Period::Daily => &self.daily,
            Period::Weekly => &self.weekly,
            Period::Monthly => &self.monthly,
        }
    }
}
