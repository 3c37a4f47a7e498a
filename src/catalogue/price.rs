//! What tokens cost, in integers.

use crate::generate::{MicroDollars, Usage};

/// What one token costs, in millionths of a micro-dollar: the unit in which every published price is an integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    input: u64,
    output: u64,
    cached_input: u64,
    cache_write: u64,
}

/// A model's rates, and those for long questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// For questions up to the threshold.
    pub(super) rates: Rates,
    /// Once a question has more input tokens than the number here, these rates apply to all of it. `None`: they never do.
    pub(super) long_context: Option<(u64, Rates)>,
}

impl Rates {
    /// Rates from dollars for a million tokens. `None` for cache reads and writes: they cost what input costs.
    pub(super) fn per_million(input: f64, output: f64, cached_input: Option<f64>, cache_write: Option<f64>) -> Self {
        let (cached_input, cache_write) = (cached_input.unwrap_or(input), cache_write.unwrap_or(input));
        Self {
            input: scaled(input),
            output: scaled(output),
            cached_input: scaled(cached_input),
            cache_write: scaled(cache_write),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "prices are small and not negative")]
fn scaled(dollars_per_million: f64) -> u64 {
    (dollars_per_million.max(0.0) * 1e6).round() as u64
}

impl Price {
    /// The most that a question of so many tokens and its answer of so many can cost.
    pub fn worst(&self, input_tokens: u64, output_tokens: u64) -> MicroDollars {
        let cost = |rates: Rates| {
            let input = rates.input.max(rates.cache_write);
            rounded([(input_tokens, input), (output_tokens, rates.output)])
        };
        let long = self.long_context.filter(|(threshold, _)| input_tokens > *threshold);
        cost(self.rates).max(long.map(|(_, rates)| cost(rates)).unwrap_or_default())
    }

    /// What `usage` costs (`providers.md` 9.3), rounded once, to the nearest micro-dollar.
    pub fn cost(&self, usage: &Usage) -> MicroDollars {
        let rates = match self.long_context {
            Some((threshold, rates)) if usage.input_tokens > threshold => rates,
            _ => self.rates,
        };
        let Usage {
            input_tokens,
            output_tokens,
            cached_input_tokens,
            cache_write_tokens,
            reasoning_tokens: _, // part of the output
            estimated: _,
        } = *usage;
        let plain = input_tokens.saturating_sub(cached_input_tokens).saturating_sub(cache_write_tokens);
        rounded([
            (plain, rates.input),
            (cached_input_tokens, rates.cached_input),
            (cache_write_tokens, rates.cache_write),
            (output_tokens, rates.output),
        ])
    }
}

/// So many tokens at so much each, rounded once, to the nearest micro-dollar.
fn rounded<const N: usize>(amounts: [(u64, u64); N]) -> MicroDollars {
    let total: u128 = amounts.into_iter().map(|(tokens, rate)| u128::from(tokens) * u128::from(rate)).sum();
    MicroDollars(u64::try_from((total + 500_000) / 1_000_000).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_and_long_questions_have_their_own_rates() {
        let price = Price {
            rates: Rates::per_million(2.0, 10.0, Some(0.1), Some(2.5)),
            long_context: Some((272_000, Rates::per_million(4.0, 15.0, Some(0.2), None))),
        };
        let usage = Usage {
            input_tokens: 1_000_000,
            output_tokens: 1_000,
            cached_input_tokens: 100,
            cache_write_tokens: 50,
            ..Usage::default()
        };
        let short = Usage { input_tokens: 1_000, ..usage };
        assert_eq!(price.cost(&short).0, 850 * 2 + 10 + 125 + 10_000);
        assert_eq!(price.cost(&usage).0, (1_000_000 - 150) * 4 + 20 + 200 + 15_000);
    }

    #[test]
    fn the_smallest_published_price_is_exact() {
        let price = Price { rates: Rates::per_million(0.0375, 0.15, None, None), long_context: None };
        let usage = Usage { input_tokens: 1_000_000, output_tokens: 0, ..Usage::default() };
        assert_eq!(price.cost(&usage).0, 37_500);
    }
}
