//! What has been asked and answered on a connection, and when nothing more will come of it.
//!
//! A connection that is closed just when its client asks again loses a request that nobody may repeat, since it might cost
//! money twice. So at the stop a connection is given time to ask once more, and to hear that it was the last time; what was under way,
//! and could not be told so in its head, too, from its end on. A proxy that lets go of idle connections earlier than that loses nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long a new connection may take until its first request's head has come.
const FIRST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long after the stop a connection may be silent before it is closed, if the grace allows twice that.
const LAST_SILENCE: Duration = Duration::from_secs(2);

/// Of one connection.
#[derive(Default)]
pub(super) struct Conversation {
    /// Requests that have begun, and replies that have ended: an odd number while one is being answered.
    steps: AtomicUsize,
}

/// A request that is being answered, until this is dropped.
pub(super) struct Turn(Arc<Conversation>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
    }
}

impl Conversation {
    /// Another request has come.
    pub(super) fn turn(self: &Arc<Self>) -> Turn {
        self.steps.fetch_add(1, Ordering::Relaxed);
        Turn(Arc::clone(self))
    }

    /// Whether anything was ever asked.
    pub(super) fn has_begun(&self) -> bool {
        self.steps() > 0
    }

    /// Resolves when the connection is of no more use: its client never asked, or has been silent since nothing new is wanted, or
    /// all answers have to end.
    pub(super) async fn over(&self, draining: &CancellationToken, stopping: &CancellationToken, grace: Duration) {
        if timeout(FIRST_HEAD_TIMEOUT, draining.cancelled()).await.is_err() {
            if !self.has_begun() {
                return;
            }
            draining.cancelled().await;
        }
        let mut seen = self.steps();
        while stopping.run_until_cancelled(sleep(LAST_SILENCE.min(grace / 2))).await.is_some() {
            let steps = self.steps();
            if steps == seen && steps.is_multiple_of(2) {
                return;
            }
            seen = steps;
        }
    }

    fn steps(&self) -> usize {
        self.steps.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const GRACE: Duration = Duration::from_secs(25);

    /// How long after its begin a conversation is over, in which `happens`.
    async fn over_after(
        happens: impl AsyncFnOnce(Arc<Conversation>, CancellationToken, CancellationToken),
    ) -> Duration {
        let (conversation, begun) = (Arc::new(Conversation::default()), Instant::now());
        let (draining, stopping) = (CancellationToken::new(), CancellationToken::new());
        let (happening, over) = (happens(Arc::clone(&conversation), draining.clone(), stopping.clone()), async {
            conversation.over(&draining, &stopping, GRACE).await;
            begun.elapsed()
        });
        let (over, ()) = timeout(Duration::from_hours(1), async { tokio::join!(over, happening) }).await.unwrap();
        over
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_asks_has_ten_seconds() {
        let over = over_after(async |_, _, _| ()).await;
        assert_eq!(over.as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_one_is_over_two_seconds_after_the_stop() {
        let over = over_after(async |conversation, draining, _| {
            drop(conversation.turn());
            sleep(Duration::from_secs(60)).await;
            draining.cancel();
        });
        assert_eq!(over.await.as_secs(), 62);
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_answer_it_may_still_ask() {
        let over = over_after(async |conversation, draining, _| {
            let turn = conversation.turn();
            draining.cancel();
            sleep(Duration::from_millis(7_900)).await;
            drop(turn);
        });
        // At eight seconds it has just been answered.
        assert_eq!(over.await.as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_has_to_end_it_is_over() {
        let over = over_after(async |conversation, draining, stopping| {
            let _turn = conversation.turn();
            draining.cancel();
            sleep(Duration::from_secs(25)).await;
            stopping.cancel();
        });
        assert_eq!(over.await.as_secs(), 25);
    }
}
