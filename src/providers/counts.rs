//! Whether a vendor's count of tokens can be one.

use crate::generate::Usage;

/// More than any model reads or writes.
const MOST_TOKENS: u64 = 100_000_000;

/// The count, or `None`, and so an estimate, when it is more than any model reads or writes. What was read from the vendor's cache
/// or written to it is part of the input, and no more than that.
pub(super) fn plausible(usage: Usage) -> Option<Usage> {
    let Usage { input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens, estimated: _ } =
        usage;
    let counts = [input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens];
    let cached_input_tokens = cached_input_tokens.min(input_tokens);
    let cache_write_tokens = cache_write_tokens.min(input_tokens - cached_input_tokens);
    let sound = Usage { cached_input_tokens, cache_write_tokens, ..usage };
    counts.into_iter().all(|tokens| tokens <= MOST_TOKENS).then_some(sound)
}
