//! The same for vectors: reserved before the first call, booked call by call.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture};
use tokio::time::Instant;
use tower::{Service, ServiceExt as _};

use crate::{
    catalogue::Catalogue,
    embed::{EmbedRequest, EmbedStep, EmbedStream, Embedded, Input},
    generate::{GenerateError, Target},
    ledger::Kind,
};

use super::{Meter, bill::Bill};

impl<S> Service<EmbedRequest> for Meter<S>
where
    S: Service<EmbedRequest, Response = EmbedStream, Error = GenerateError, Future: Send> + Clone + Send + 'static,
{
    type Response = EmbedStream;
    type Error = GenerateError;
    type Future = BoxFuture<'static, Result<EmbedStream, GenerateError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GenerateError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: EmbedRequest) -> Self::Future {
        let (desk, inner) = (Arc::clone(&self.desk), self.inner.clone());
        async move {
            let target = request.target.clone();
            let most_tokens = request.inputs.iter().map(Input::most_tokens).sum();
            let worst = |catalogue: &Catalogue| catalogue.embedding_price(&target).worst(most_tokens, 0);
            let reserved = desk.reserve(&target, Instant::now() + request.lookup_time, worst).await?;
            let bill = Bill::new(desk, Catalogue::embedding_price, reserved.map(|(reserved, _)| reserved));
            Ok(booked(bill, target, inner.oneshot(request).await?))
        }
        .boxed()
    }
}

/// The same steps, once each is booked: who hears of the last and asks next finds it so.
fn booked(mut bill: Bill, target: Target, mut steps: EmbedStream) -> EmbedStream {
    let booked = async_stream::stream! {
        while let Some(mut step) = steps.next().await {
            match &mut step {
                Ok(EmbedStep::Calling { calling, question_tokens }) => bill.calling(calling, *question_tokens),
                Ok(EmbedStep::Failed(failed)) => bill.failed(failed),
                Ok(EmbedStep::Embedded { embedded: Embedded { vectors: _, usage }, cost }) => {
                    *cost = Some(bill.finished(Kind::Client, &target, usage));
                }
                Err(_) => {}
            }
            yield step;
        }
        drop(bill);
    };
    booked.boxed()
}
