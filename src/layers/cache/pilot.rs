//! Who goes on with a flight: whoever began it, as long as it waits anyway, and a task from then on.
//!
//! So most calls need no task of their own, and nobody has to be woken to hear of their end.

use std::{
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::pin,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// A flight under way. Dropped before its end, it goes on in a task.
pub(super) struct Pilot {
    /// `None`: it is over.
    driving: Option<BoxFuture<'static, ()>>,
    tasks: TaskTracker,
}

impl Pilot {
    /// Goes on with `driving`. If that panics, whatever it held is dropped, and that is all.
    pub(super) fn new(driving: impl Future<Output = ()> + Send + 'static, tasks: &TaskTracker) -> Self {
        let driving = AssertUnwindSafe(driving).catch_unwind().map(drop);
        Self { driving: Some(driving.boxed()), tasks: tasks.clone() }
    }

    /// Waits for `wanted`, and goes on with the flight meanwhile.
    pub(super) async fn until<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        poll_fn(|context| {
            self.go_on(context);
            wanted.as_mut().poll(context)
        })
        .await
    }

    fn go_on(&mut self, context: &mut Context<'_>) {
        if let Some(driving) = &mut self.driving
            && let Poll::Ready(()) = driving.as_mut().poll(context)
        {
            self.driving = None;
        }
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        // Without a runtime there is nothing left that a flight could go on for.
        if let (Some(driving), Ok(runtime)) = (self.driving.take(), Handle::try_current()) {
            self.tasks.spawn_on(driving, &runtime);
        }
    }
}
