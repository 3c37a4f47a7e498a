//! Amounts of money.

use std::{iter::Sum, ops::Add};

/// An amount of money in millionths of a dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MicroDollars(pub u64);

impl MicroDollars {
    /// The amount nearest to `dollars`; what is less than nothing, or no number, is nothing.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float stops at the ends")]
    pub fn of(dollars: f64) -> Self {
        Self((dollars * 1e6).round() as u64)
    }

    /// The amount in dollars, for replies.
    #[expect(clippy::cast_precision_loss, reason = "exact up to nine billion dollars")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The part of `self` beyond `other`, or nothing.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for MicroDollars {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for MicroDollars {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}
