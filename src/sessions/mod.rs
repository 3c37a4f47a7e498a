//! Sessions: who is signed in, and what is known of them. In the original's form and under its keys, so that a session that is
//! alive there is alive here.

mod data;
mod guesses;
mod id;
mod seen;
mod updates;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::{
    caller::{BadUserId, Caller, UserId, Who},
    stores::{SessionStore, StoreError},
};

pub use data::{MAX_SESSION_BYTES, SessionData};
use guesses::Guesses;
pub use id::SessionId;
use seen::{ENDED_FOR, Known, Seen, UNKNOWN_FOR};
use updates::Updates;

/// How many sessions of a user are ended at once.
const PARALLEL: usize = 64;

/// Why a session could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It is not known whether there is one.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
    /// It would be larger than [`MAX_SESSION_BYTES`].
    #[error("too large")]
    TooLarge,
    /// Its `userId` cannot be one.
    #[error(transparent)]
    BadUser(#[from] BadUserId),
    /// Too many that do not exist were asked for from the same address: the next is looked up after this time.
    #[error("too many that do not exist")]
    Guessing(Duration),
    /// The system gives no randomness for an id.
    #[error("no randomness")]
    NoRandomness,
}

/// A session that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSession {
    /// Whose it is. `None`: nobody's in particular.
    pub user: Option<UserId>,
}

/// A session of a user.
pub struct SessionOfUser {
    /// Its id.
    pub id: SessionId,
    /// What it holds: a JSON object.
    pub json: Bytes,
    /// How long it lives if it is not used.
    pub expires_in: Duration,
}

/// All sessions.
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    ttl: Duration,
    seen: Seen,
    guesses: Guesses,
    updates: Arc<Updates>,
}

impl Sessions {
    /// Sessions in `store` that live for `ttl` from their last use on. `tasks` finish what nobody waits for any more, each thing
    /// within `store_timeout`.
    pub fn new(store: Arc<dyn SessionStore>, ttl: Duration, store_timeout: Duration, tasks: TaskTracker) -> Self {
        let updates = Arc::new(Updates::new(Arc::clone(&store), ttl, store_timeout, tasks));
        Self { store, ttl, seen: Seen::new(ttl / 4), guesses: Guesses::new(), updates }
    }

    /// How long a session lives from its last use on.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Makes a session that holds `data`.
    ///
    /// # Errors
    /// When it could not be kept, is too large, or its `userId` cannot be one.
    pub async fn create(&self, data: &SessionData, by: Instant) -> Result<SessionId, SessionError> {
        let (user, json) = (data.user()?, data.to_json());
        if json.len() > MAX_SESSION_BYTES {
            return Err(SessionError::TooLarge);
        }
        let id = SessionId::random().map_err(|_| SessionError::NoRandomness)?;
        // First, or whoever lists the user's meanwhile would find it gone, and withdraw it.
        self.store.put(&id.key(), json, self.ttl, by).await?;
        self.gave(id, user, by).await?;
        Ok(id)
    }

    /// The session `id`, as it was half a minute ago at most. `None`: there is none, which counts against `caller` if only its
    /// address is known.
    ///
    /// # Errors
    /// When the store cannot say, or too many do not exist.
    pub async fn live(&self, id: SessionId, caller: &Caller, by: Instant) -> Result<Option<LiveSession>, SessionError> {
        match self.seen.known(id) {
            Known::Live(session) => Ok(Some(session)),
            known => Ok(self.load(id, &known, caller, by).await?.map(|(user, _)| LiveSession { user })),
        }
    }

    /// What the session `id` holds, as JSON; it is used by that. `None`: there is none, which counts against `caller` if only its
    /// address is known.
    ///
    /// # Errors
    /// When the store cannot say, or too many do not exist.
    pub async fn get(&self, id: SessionId, caller: &Caller, by: Instant) -> Result<Option<Bytes>, SessionError> {
        Ok(self.load(id, &self.seen.known(id), caller, by).await?.map(|(_, json)| json))
    }

    /// Puts the fields of `part` into the session `id`, and gives back what it holds then, as JSON. `None`: there is none.
    ///
    /// # Errors
    /// When the store cannot say (it may have been done), the whole would be too large, or `userId` cannot be one.
    pub async fn update(&self, id: SessionId, part: SessionData, by: Instant) -> Result<Option<Bytes>, SessionError> {
        let is_given = part.user()?.is_some();
        let updated = self.updates.update(id, part, by).await;
        // Whose it was may no longer be true, also if nobody can say.
        self.seen.forget(id);
        let Some(json) = updated? else { return Ok(None) };
        let user = SessionData::read(&json).and_then(|data| data.user().ok().flatten());
        if is_given {
            self.gave(id, user, by).await?;
        } else {
            self.saw(id, user, by).await;
        }
        Ok(Some(json))
    }

    /// Ends the session `id`, and says whether there was one; that there was none counts against `caller` if only its address is
    /// known.
    ///
    /// # Errors
    /// When the store cannot say, or too many do not exist.
    pub async fn end(&self, id: SessionId, caller: &Caller, by: Instant) -> Result<bool, SessionError> {
        let known = self.seen.known(id);
        if matches!(known, Known::Gone) {
            return Ok(false);
        }
        let guesser = self.guesser(&known, caller)?;
        let user = self.seen.user(id);
        let was_there = self.end_one(id, user.as_ref(), by).await?;
        if let Some(address) = guesser.filter(|_| !was_there) {
            self.guesses.count(address);
        }
        Ok(was_there)
    }

    async fn end_one(&self, id: SessionId, user: Option<&UserId>, by: Instant) -> Result<bool, SessionError> {
        let key = id.key();
        let ended = self.store.delete(&key, by).await;
        match ended {
            Ok(_) => self.seen.gone(id, ENDED_FOR),
            // Whether it lives, the store has to say.
            Err(_) => self.seen.forget(id),
        }
        let was_there = ended?;
        // Not before it has ended for certain: whoever tries again finds it under its user. What is left there when nobody comes
        // so far leads to nothing.
        if let Some(user) = user
            && let Err(error) = self.store.withdraw(&enrolment(user), &key, by).await
        {
            tracing::debug!(%error, "a session that has ended is still written down under its user");
        }
        Ok(was_there)
    }

    /// The sessions of `user`, a thousand at most: those that were made or used here, or at another instance.
    ///
    /// # Errors
    /// When the store cannot say.
    pub async fn of_user(&self, user: &UserId, by: Instant) -> Result<Vec<SessionOfUser>, SessionError> {
        // It may be another's by now.
        let is_own = |json: &[u8]| {
            let found = SessionData::read(json).and_then(|data| data.user().ok().flatten());
            found.as_ref() == Some(user)
        };
        let kept = self.store.members(&enrolment(user), &is_own, by).await?;
        let own = kept.into_iter().filter_map(|kept| {
            let id = SessionId::of_key(&kept.key)?;
            Some(SessionOfUser { id, json: kept.value, expires_in: kept.expires_in })
        });
        Ok(own.collect())
    }

    /// Ends the sessions of `user`, and says how many there were.
    ///
    /// # Errors
    /// When the store cannot say; some may be ended, and another attempt goes on from there.
    pub async fn end_all(&self, user: &UserId, by: Instant) -> Result<u64, SessionError> {
        let mut count = 0;
        loop {
            let own = self.of_user(user, by).await?;
            if own.is_empty() {
                return Ok(count);
            }
            let ended = stream::iter(own).map(|session| self.end_one(session.id, Some(user), by));
            let ended: Vec<Result<bool, SessionError>> = ended.buffer_unordered(PARALLEL).collect().await;
            for was_there in ended {
                count += u64::from(was_there?);
            }
        }
    }

    /// The address that must not name too many unknown ids. `None`: it may, because it has a key, behind which are many, or
    /// because the id was one not long ago.
    fn guesser(&self, known: &Known, caller: &Caller) -> Result<Option<String>, SessionError> {
        if caller.who != Who::Anyone || matches!(known, Known::Probably | Known::Live(_)) {
            return Ok(None);
        }
        let address = caller.to_string();
        match self.guesses.wait(&address) {
            Some(wait) => Err(SessionError::Guessing(wait)),
            None => Ok(Some(address)),
        }
    }

    async fn load(
        &self,
        id: SessionId,
        known: &Known,
        caller: &Caller,
        by: Instant,
    ) -> Result<Option<(Option<UserId>, Bytes)>, SessionError> {
        if matches!(known, Known::Gone) {
            return Ok(None);
        }
        let guesser = self.guesser(known, caller)?;
        let json = self.store.load(&id.key(), self.ttl, by).await?;
        // What is no object is no session, whoever put it there.
        let found = json.and_then(|json| SessionData::read(&json).map(|data| (data, json)));
        let Some((data, json)) = found else {
            self.seen.gone(id, UNKNOWN_FOR);
            if let Some(address) = guesser {
                self.guesses.count(address);
            }
            return Ok(None);
        };
        let user = data.user().ok().flatten();
        self.saw(id, user.clone(), by).await;
        Ok(Some((user, json)))
    }

    /// Remembers a session that was just given to `user`. Nobody hears that it was before it is written down, or the end of all
    /// the user's sessions would pass it by.
    async fn gave(&self, id: SessionId, user: Option<UserId>, by: Instant) -> Result<(), StoreError> {
        match self.enrol(id, user, by).await {
            // What someone else has put there would still be there at the next attempt, and whoever ends all is told of it.
            Err(error @ StoreError::WrongType) => unwritten(&error),
            enrolled => return enrolled,
        }
        Ok(())
    }

    /// Remembers a session that was looked up: it lives whether or not it can be written down.
    async fn saw(&self, id: SessionId, user: Option<UserId>, by: Instant) {
        if let Err(error) = self.enrol(id, user, by).await {
            unwritten(&error);
        }
    }

    /// Remembers whose session `id` is, and writes it down under its user where that was not done for long: those of the
    /// original are under nobody.
    async fn enrol(&self, id: SessionId, user: Option<UserId>, by: Instant) -> Result<(), StoreError> {
        let is_new = user.as_ref().filter(|user| !self.seen.is_enrolled(id, user));
        let enrolled = match is_new {
            // It is found under its user until it has ended for certain: used once more just before the next time, and not
            // then.
            Some(user) => self.store.enrol(&enrolment(user), &id.key(), self.ttl * 2, by).await.map(|()| true),
            None => Ok(false),
        };
        self.seen.live(id, user, matches!(enrolled, Ok(true)));
        enrolled.map(drop)
    }
}

fn unwritten(error: &StoreError) {
    tracing::debug!(%error, "a session could not be written down under its user");
}

/// Where the sessions of `user` are written down.
fn enrolment(user: &UserId) -> String {
    format!("llm:sessions:{}", user.as_str())
}
