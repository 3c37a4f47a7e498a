//! Amounts of money.

use std::{fmt, iter::Sum, ops::Add};

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

/// Such as `$50.00`, `$0.0075`: cents, and as many digits more as there are.
impl fmt::Display for MicroDollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, rest) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let digits = format!("{rest:06}");
        let more = digits.get(2..).unwrap_or_default().trim_end_matches('0');
        write!(f, "${dollars}.{}{more}", digits.get(..2).unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_dollars() {
        for (amount, text) in
            [(0, "$0.00"), (7_500, "$0.0075"), (85_000, "$0.085"), (50_000_000, "$50.00"), (1_000_001, "$1.000001")]
        {
            assert_eq!(MicroDollars(amount).to_string(), text);
        }
        assert_eq!(MicroDollars::of(0.0075), MicroDollars(7_500));
        assert_eq!([f64::NAN, -1.0].map(MicroDollars::of), [MicroDollars(0); 2]);
    }
}
