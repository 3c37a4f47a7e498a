//! Vectors, on their way and all together.

use std::sync::Arc;

use futures_util::stream::BoxStream;

use crate::generate::{Calling, Failed, GenerateError, MicroDollars, Outcome, Receipt, Usage};

/// What one input is turned into: finite numbers, at least one.
pub type Vector = Arc<[f32]>;

/// What one call brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// One for each input that was sent, in their order, all of one length.
    pub vectors: Vec<Vector>,
    /// What the call took.
    pub usage: Usage,
}

/// One step of an answer, which takes as many calls as the vendor's limits ask for.
///
/// For each call `Calling` any number of times, each but the last followed by `Failed`, then `Embedded` with the vectors of the next
/// inputs; in place of the last, after `Failed` if there was a call, one `Err`, then nothing.
pub enum EmbedStep {
    /// A provider is being called.
    Calling {
        /// Who is called.
        calling: Calling,
        /// What the call holds, by an estimate in tokens.
        question_tokens: u64,
    },
    /// The call brought nothing. Only the meter hears of it.
    Failed(Failed),
    /// The vectors of the next inputs.
    Embedded {
        /// What the call brought.
        embedded: Embedded,
        /// What it costs. `None`: the meter has not said so.
        cost: Option<MicroDollars>,
    },
}

/// Vectors under way. Nothing is sent before it is polled; dropped, what was sent is cancelled.
pub type EmbedStream = BoxStream<'static, Result<EmbedStep, GenerateError>>;

/// The whole answer.
pub struct Embeddings {
    /// One for each input of the request, in their order.
    pub vectors: Vec<Vector>,
    /// What was counted for them, whenever that was, equal inputs once.
    pub usage: Usage,
    /// How they came about.
    pub receipt: Receipt,
    /// What became of those that were called for; of a hit, [`Outcome::Stored`].
    pub outcome: Outcome,
    /// Whether some, but not all, were stored.
    pub is_partial_hit: bool,
    /// Calls that were made for them. 0: all were stored.
    pub attempts: u32,
    /// What those cost that brought something.
    pub cost: MicroDollars,
}

/// How `tokens`, counted for several inputs together, fall to each: by their `sizes`, and none is lost.
pub fn shares(sizes: &[u64], tokens: u64) -> Vec<u64> {
    let all = sizes.iter().map(|size| u128::from(*size)).sum::<u128>().max(1);
    let (mut so_far, mut given) = (0, 0);
    let share = |size: &u64| {
        so_far += u128::from(*size);
        let up_to_here = u64::try_from(u128::from(tokens) * so_far / all).unwrap_or(tokens);
        let share = up_to_here - given;
        given = up_to_here;
        share
    };
    sizes.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_together_falls_to_each_by_its_length() {
        let sizes = [10, 1, 5];
        assert_eq!(shares(&sizes, 16), [10, 1, 5]);
        assert_eq!(shares(&sizes, 17).iter().sum::<u64>(), 17);
        assert_eq!(shares(&sizes, 1), [0, 0, 1]);
        assert_eq!(shares(&sizes, u64::MAX).iter().sum::<u64>(), u64::MAX);
        assert_eq!(shares(&[3], 8), [8]);
    }
}
