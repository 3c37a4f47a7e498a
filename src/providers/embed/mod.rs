//! How vendors are asked for vectors: one form for each wire format, pure and synchronous.

mod demo;
mod gemini;
mod ollama;
mod openai;

use crate::{
    embed::{EmbedRequest, Embedded, Input, Vector, tokens_of},
    generate::{ErrorKind, Usage},
};

use super::{ProviderError, WireRequest, counts::plausible};

pub(super) use demo::made_up;
pub use gemini::GeminiEmbed;
pub use ollama::OllamaEmbed;
pub use openai::OpenAiEmbed;

/// What one call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// At most so many inputs; at least 1.
    pub inputs: usize,
    /// At most so many tokens, unless a single input holds more.
    pub tokens: u64,
}

/// A wire format.
pub trait EmbedForm: Send + Sync {
    /// What one call takes.
    fn batch(&self) -> Batch;

    /// What to send for `inputs`, which are some of `request`'s: never empty, and no more than a [`Batch`].
    ///
    /// # Errors
    /// When they hold what this format cannot say.
    fn request(&self, request: &EmbedRequest, inputs: &[Input]) -> Result<WireRequest, ProviderError>;

    /// What a body with a status of success says of so many inputs.
    ///
    /// # Errors
    /// When it holds no vectors, or not one for each input.
    fn reply(&self, body: &[u8], count: usize) -> Result<EmbedReply, ProviderError>;
}

/// What a vendor says.
#[derive(Debug, PartialEq)]
pub struct EmbedReply {
    /// One for each input, in their order.
    pub vectors: Vec<Vec<f32>>,
    /// The tokens that it counted. `None`: it counted none.
    pub input_tokens: Option<u64>,
}

impl EmbedReply {
    /// What was brought for `inputs`, if it can be that: one for each of them, all of one length, the one that was asked for if one was,
    /// and finite.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] when it cannot.
    pub fn sound(self, inputs: &[Input], dimensions: Option<u32>) -> Result<Embedded, ProviderError> {
        let Self { vectors, input_tokens } = self;
        let counted = counted(input_tokens);
        let length = vectors.first().map_or(0, Vec::len);
        let is_sound = |vector: &Vec<f32>| vector.len() == length && vector.iter().all(|number| number.is_finite());
        let is_as_asked = dimensions.is_none_or(|dimensions| length == dimensions as usize);
        if !is_as_asked || vectors.len() != inputs.len() || length == 0 || !vectors.iter().all(is_sound) {
            return Err(ProviderError::from(ErrorKind::BadResponse).with_usage(counted));
        }
        let usage = counted.unwrap_or_else(|| Usage::estimate(tokens_of(inputs), 0));
        Ok(Embedded { vectors: vectors.into_iter().map(Vector::from).collect(), usage })
    }
}

/// What a vendor counted, if it can be that.
fn counted(input_tokens: Option<u64>) -> Option<Usage> {
    input_tokens.and_then(|input_tokens| plausible(Usage { input_tokens, ..Usage::default() }))
}

/// The texts of `inputs`, for formats that know nothing else.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] when one of them is tokens.
fn texts(inputs: &[Input]) -> Result<Vec<&str>, ProviderError> {
    let texts = inputs.iter().map(|input| match input {
        Input::Text(text) => Ok(text.as_str()),
        Input::Tokens(_) => Err(ProviderError::unsayable("input")),
    });
    texts.collect()
}

/// A body that makes no sense.
fn no_sense<E>(_: E) -> ProviderError {
    ErrorKind::BadResponse.into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::generate::{Policy, Target};

    #[test]
    fn what_is_not_one_vector_for_each_input_is_no_answer() {
        let inputs = ["a", "b"].map(|text| Input::Text(text.into()));
        let good = |vectors| EmbedReply { vectors, input_tokens: Some(7) };
        let embedded = good(vec![vec![1.0, 0.0], vec![0.5, -0.5]]).sound(&inputs, None).unwrap();
        assert_eq!((embedded.vectors[1].as_ref(), embedded.usage.input_tokens), ([0.5, -0.5].as_slice(), 7));
        assert!(!embedded.usage.estimated);
        for bad in [
            vec![vec![1.0]],
            vec![vec![1.0], vec![1.0], vec![1.0]],
            vec![vec![1.0], vec![1.0, 2.0]],
            vec![Vec::new(), Vec::new()],
            vec![vec![1.0], vec![f32::NAN]],
            vec![vec![f32::INFINITY], vec![1.0]],
        ] {
            let error = good(bad).sound(&inputs, None).unwrap_err();
            let counted = error.usage.map(|usage| usage.input_tokens);
            assert_eq!((error.kind, counted), (ErrorKind::BadResponse, Some(7)), "it is paid for all the same");
        }
    }

    #[test]
    fn what_a_form_has_no_word_for_is_refused_before_anyone_is_asked() {
        let both = [Input::Text("a".into()), Input::Tokens(vec![1])];
        let (text, tokens) = (&both[..1], &both[1..]);
        let request = EmbedRequest {
            target: Target { provider: "p".into(), model: "m".into() },
            inputs: Vec::new(),
            dimensions: None,
            policy: Policy::default(),
            private_to: None,
            lookup_time: Duration::ZERO,
            begun: Instant::now(),
        };
        let openai = OpenAiEmbed { is_vendor: true };
        let cases: [(&dyn EmbedForm, &[Input], bool); 7] = [
            (&openai, text, true),
            (&openai, tokens, true),
            (&openai, &both, false),
            (&GeminiEmbed, text, true),
            (&GeminiEmbed, tokens, false),
            (&OllamaEmbed, text, true),
            (&OllamaEmbed, tokens, false),
        ];
        for (at, (form, inputs, is_said)) in cases.into_iter().enumerate() {
            let refused = form.request(&request, inputs).err();
            let expected = (!is_said).then(|| ProviderError::unsayable("input"));
            assert_eq!(refused, expected, "case {at}");
        }
    }

    #[test]
    fn what_is_not_counted_is_guessed() {
        let inputs = [Input::Text("x".repeat(10))];
        for input_tokens in [None, Some(u64::MAX)] {
            let usage = EmbedReply { vectors: vec![vec![1.0]], input_tokens }.sound(&inputs, None).unwrap().usage;
            assert_eq!((usage.input_tokens, usage.estimated), (3, true));
        }
    }
}
