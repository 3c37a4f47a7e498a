//! Asks a provider for vectors, in as many calls as its limits ask for, again where that may help, within the time there is.
//!
//! Never another model: the vectors of two models cannot be compared.

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::StreamExt as _;
use tokio::time::{sleep, timeout_at};
use tower::Service;
use tracing::Instrument as _;

use crate::{
    embed::{EmbedRequest, EmbedStep, EmbedStream, Input, tokens_of},
    generate::{Calling, Delivery, ErrorKind, Failed, GenerateError, Usage},
    metrics::Operation,
    providers::{Batch, ProviderError},
};

use super::{Desk, Dispatch, note, patience::Patience, retries::Retries, told, took};

impl Service<EmbedRequest> for Dispatch {
    type Response = EmbedStream;
    type Error = GenerateError;
    type Future = Ready<Result<EmbedStream, GenerateError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GenerateError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: EmbedRequest) -> Self::Future {
        ready(Ok(Arc::clone(&self.0).embed(request)))
    }
}

impl Desk {
    /// All calls, one behind the other, each with its attempts.
    fn embed(self: Arc<Self>, request: EmbedRequest) -> EmbedStream {
        // Like a stream that has said nothing: there is no progress to be seen.
        let deadline = Patience::since(request.begun, self.bounds, Delivery::Stream).deadline();
        let steps = async_stream::try_stream! {
            let target = request.target.clone();
            // The catalogue lets only configured providers through, so this is our own mistake.
            let provider = self.providers.get(&target.provider).ok_or(ErrorKind::Internal)?;
            let mut verdict = self.verdict(&target, deadline);
            let mut attempts = 0;
            let mut rest = request.inputs.as_slice();
            while !rest.is_empty() {
                // Who makes none says so itself.
                let batch = provider.embeds().map_or(rest.len(), |most| length(rest, most));
                let (inputs, later) = rest.split_at_checked(batch).unwrap_or((rest, &[]));
                let question_tokens = tokens_of(inputs);
                let mut retries = Retries::new(self.retries, deadline);
                let embedded = loop {
                    let error = if let Some(wait) = verdict.skipped() {
                        ProviderError { retry_after: Some(wait), ..ErrorKind::Skipped.into() }
                    } else {
                        attempts += 1;
                        let calling = Calling { target: target.clone(), attempt: attempts };
                        yield EmbedStep::Calling { calling, question_tokens };
                        let attempt = self.attempt(Operation::Embeddings, &target, attempts);
                        let embedded = timeout_at(deadline, provider.embed(&request, inputs));
                        let embedded = embedded.instrument(attempt.span()).await;
                        match embedded.unwrap_or_else(|_| Err(ErrorKind::Timeout.into())) {
                            Ok(embedded) => {
                                attempt.embedded(embedded.usage);
                                break Ok(embedded);
                            }
                            Err(error) => {
                                attempt.failed(error.kind);
                                error
                            }
                        }
                    };
                    verdict.failed(error.kind);
                    note(&target, &error);
                    if error.kind != ErrorKind::Skipped {
                        let usage = took(&error, Usage::estimate(question_tokens, 0));
                        yield EmbedStep::Failed(Failed { target: target.clone(), usage });
                    }
                    match retries.next(&error) {
                        Some(wait) => sleep(wait).await,
                        None => break Err(error),
                    }
                };
                match embedded {
                    Ok(embedded) => {
                        verdict.has_begun();
                        yield EmbedStep::Embedded { embedded, cost: None };
                    }
                    Err(error) => {
                        verdict.close();
                        Err(GenerateError { attempts, ..told(&error, &target) })?;
                        return;
                    }
                }
                rest = later;
            }
            verdict.close();
        };
        steps.boxed()
    }
}

/// How many of `inputs`, of which there is one at least, go into one call.
fn length(inputs: &[Input], most: Batch) -> usize {
    let mut tokens = 0_u64;
    let fits = |input: &&Input| {
        tokens = tokens.saturating_add(input.most_tokens());
        tokens <= most.tokens
    };
    inputs.iter().take(most.inputs).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_holds_no_more_than_it_may_and_one_input_at_least() {
        let inputs: Vec<_> = (0..10).map(|_| Input::Text("x".repeat(96))).collect();
        for (batch, expected) in [
            (Batch { inputs: 4, tokens: 1_000 }, 4),
            (Batch { inputs: 100, tokens: u64::MAX }, 10),
            (Batch { inputs: 100, tokens: 250 }, 2),
            (Batch { inputs: 100, tokens: 10 }, 1),
        ] {
            assert_eq!(length(&inputs, batch), expected, "{batch:?}");
        }
    }
}
