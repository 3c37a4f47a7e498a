//! Whether a vendor's count of tokens can be one.

use crate::generate::Usage;

/// The count, or `None`, and so an estimate, when it is more than any model reads or writes.
pub(super) fn plausible(usage: Usage) -> Option<Usage> {
    let Usage { input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens, estimated: _ } =
        usage;
    let counts = [input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens];
    counts.into_iter().all(|tokens| u32::try_from(tokens).is_ok()).then_some(usage)
}
