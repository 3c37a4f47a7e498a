//! One hash over everything that decides a vector, and nothing else.

use crate::generate::{Fingerprint, Hash, Target};

use super::{EmbedRequest, Input};

/// The fingerprints of a request's inputs: what they share is hashed once.
pub struct Fingerprints(Hash);

impl Fingerprints {
    /// Those of `request`'s inputs.
    ///
    /// It is taken apart completely, so that a new field does not compile until someone decides whether it counts.
    pub fn of(request: &EmbedRequest) -> Self {
        let EmbedRequest { target, inputs: _, dimensions, policy: _, private_to, lookup_time: _, begun: _ } = request;
        // The version of this layout. Change it whenever the meaning of a part changes.
        let mut hash = Hash::of_layout(b"llm-gateway/embed/1\0");
        let Target { provider, model } = target;
        hash.text(provider.as_str());
        hash.text(model.as_str());
        hash.optional(dimensions.map(u64::from));
        hash.optional_text(private_to.as_deref());
        Self(hash)
    }

    /// The one of `input`.
    pub fn input(&self, input: &Input) -> Fingerprint {
        let mut hash = self.0.clone();
        match input {
            Input::Text(text) => {
                hash.tag(1);
                hash.text(text);
            }
            Input::Tokens(tokens) => {
                hash.tag(2);
                hash.length(tokens.len());
                for token in tokens {
                    hash.word(*token);
                }
            }
        }
        hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use tokio::time::Instant;

    use super::*;
    use crate::generate::Policy;

    fn request() -> EmbedRequest {
        EmbedRequest {
            target: Target { provider: "openai".into(), model: "text-embedding-3-small".into() },
            inputs: Vec::new(),
            dimensions: None,
            policy: Policy::default(),
            private_to: None,
            lookup_time: Duration::ZERO,
            begun: Instant::now(),
        }
    }

    fn hex(request: &EmbedRequest, input: &Input) -> String {
        Fingerprints::of(request).input(input).to_hex()
    }

    #[test]
    fn whatever_decides_the_vector_counts_and_nothing_else() {
        let text = Input::Text("hello".into());
        let all = [
            hex(&request(), &text),
            hex(&request(), &Input::Text("hello ".into())),
            hex(&request(), &Input::Tokens(vec![1, 2])),
            hex(&request(), &Input::Tokens(vec![1, 2, 0])),
            hex(&EmbedRequest { dimensions: Some(256), ..request() }, &text),
            hex(&EmbedRequest { private_to: Some("ann".into()), ..request() }, &text),
            hex(&EmbedRequest { private_to: Some("".into()), ..request() }, &text),
            hex(&EmbedRequest { target: Target { provider: "local".into(), ..request().target }, ..request() }, &text),
            hex(&EmbedRequest { target: Target { model: "ada".into(), ..request().target }, ..request() }, &text),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        let policy = Policy { no_cache: true, ..Policy::default() };
        let same = EmbedRequest { policy, lookup_time: Duration::MAX, inputs: vec![text.clone()], ..request() };
        assert_eq!(hex(&same, &text), all[0]);
    }

    #[test]
    fn the_layout_is_what_instances_agree_on() {
        // Changed only together with the version in the layout.
        let fingerprint = hex(&request(), &Input::Text("hello".into()));
        assert_eq!(fingerprint, "aa3e392b14aec0617529a29ac8332e28b4e9579d110ebef62dd6e7a44be45677");
    }
}
