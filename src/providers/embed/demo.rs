//! Vectors of the demo provider's: made up, the same for the same input.

use sha2::{Digest as _, Sha256};

use crate::{
    embed::{EmbedRequest, Embedded, Fingerprints, Input, Vector, tokens_of},
    generate::Usage,
    providers::ProviderError,
};

/// As long as those of the most used model.
const DIMENSIONS: u32 = 1_536;

/// The longest that are made, so that nobody can fill the memory with them.
const MOST_DIMENSIONS: u32 = 4_096;

/// A vector for each of `inputs`, of length 1.
pub(in crate::providers) fn made_up(request: &EmbedRequest, inputs: &[Input]) -> Result<Embedded, ProviderError> {
    let fingerprints = Fingerprints::of(request);
    let length = request.dimensions.unwrap_or(DIMENSIONS);
    if length > MOST_DIMENSIONS {
        return Err(ProviderError::unsayable("dimensions"));
    }
    let length = length as usize;
    let vectors = inputs.iter().map(|input| vector(&fingerprints.input(input).to_hex(), length)).collect();
    Ok(Embedded { vectors, usage: Usage { input_tokens: tokens_of(inputs), ..Usage::default() } })
}

fn vector(seed: &str, length: usize) -> Vector {
    let block = |at: u64| Sha256::new_with_prefix(seed).chain_update(at.to_be_bytes()).finalize();
    let numbers = (0..).flat_map(|at| {
        let block = block(at);
        let (pairs, _) = block.as_slice().as_chunks::<2>();
        pairs.iter().map(|pair| f32::from(i16::from_le_bytes(*pair)) + 0.5).collect::<Vec<_>>()
    });
    let numbers: Vec<f32> = numbers.take(length).collect();
    let norm = numbers.iter().map(|number| number * number).sum::<f32>().sqrt();
    numbers.into_iter().map(|number| number / norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_input_has_the_same_vector_of_length_one() {
        let (one, again, other) = (vector("a", 1_536), vector("a", 1_536), vector("b", 1_536));
        assert!(one == again && one != other);
        for vector in [one, other, vector("c", 1), vector("d", 3)] {
            let norm = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
            assert!((norm - 1.0).abs() < 1e-4, "{norm}");
        }
    }
}
