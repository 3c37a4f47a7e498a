//! Sheets of amounts, each posting once, and what is reserved for what is under way.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::StoreError;

/// Keeps sheets: amounts by their fields, and texts by theirs. The keys of one call share a `{tag}`. Amounts are exact up to
/// 2^53.
#[async_trait]
pub trait BookStore: Send + Sync {
    /// Does what `posting` says, unless one of its poster's with this number or a higher one was done: once, however often it is asked
    /// to, and however late. Atomic.
    ///
    /// # Errors
    /// When the store cannot say; it may be done, and to ask again does no harm.
    async fn post(&self, posting: &Posting, by: Instant) -> Result<(), StoreError>;

    /// Holds an amount on `sheet` unless what is there and what is held would then exceed one of `limits`; then nothing is held for
    /// it any more. Atomic.
    ///
    /// # Errors
    /// When the store cannot say; it may be held, until its time is over.
    async fn reserve(
        &self,
        sheet: &str,
        reservation: &Reservation<'_>,
        limits: &[(String, u64)],
        by: Instant,
    ) -> Result<Reserving, StoreError>;

    /// The sheets under `keys`, in their order. What was never posted to is empty.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn sheets(&self, keys: &[&str], by: Instant) -> Result<Vec<Sheet>, StoreError>;

    /// The sheet and then the texts under two keys, these by their fields, in one go.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn sheet_and_notes(&self, sheet: &str, notes: &str, by: Instant) -> Result<(Sheet, Notes), StoreError>;

    /// Puts texts under their fields, all or none, in place of what was there.
    ///
    /// # Errors
    /// When the store cannot say; it may be done.
    async fn note(&self, key: &str, notes: &[(String, String)], by: Instant) -> Result<(), StoreError>;

    /// Puts a text under a field where there is none, and says whether it did.
    ///
    /// # Errors
    /// When the store cannot say; it may be done.
    async fn note_new(&self, key: &str, field: &str, text: &str, by: Instant) -> Result<bool, StoreError>;

    /// Forgets the texts under `fields`.
    ///
    /// # Errors
    /// When the store cannot say; it may be done.
    async fn forget(&self, key: &str, fields: &[String], by: Instant) -> Result<(), StoreError>;
}

/// Texts by their fields.
pub type Notes = HashMap<String, Bytes>;

/// What is to be added, and what is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Who posts, as a key that is nobody else's. It posts the next one only when this is done.
    pub poster: String,
    /// Which one of its poster's it is: the first is 1, each further one is higher. Up to 2^53.
    pub number: u64,
    /// What it says of each sheet; no sheet twice.
    pub entries: Vec<Entry>,
}

/// How long a poster is remembered after its last posting, so that this can be asked for again after an outage.
pub const POSTERS_KEPT: Duration = Duration::from_hours(24);

/// A part of a posting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The sheet's key.
    pub sheet: String,
    /// How long the sheet is kept from its beginning on, or longer, in whole seconds. `None`: for good.
    pub keep: Option<Duration>,
    /// What is added to which field; no field twice.
    pub amounts: Vec<(String, u64)>,
    /// Fields to drop, amounts and reservations alike.
    pub dropped: Vec<String>,
}

/// An amount that is wanted for a while.
#[derive(Clone, Copy, Debug)]
pub struct Reservation<'a> {
    /// Its own field on the sheet; the same again replaces it.
    pub field: &'a str,
    /// How much.
    pub amount: u64,
    /// The time of day, and when it ends if nobody drops it before, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// See `now_ms`.
    pub until_ms: u64,
    /// What counts as held besides what the sheet says.
    pub besides: u64,
}

/// What became of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserving {
    /// Whether the amount is held.
    pub is_reserved: bool,
    /// What is held besides it.
    pub others: u64,
    /// What the sheet says of each limited field.
    pub amounts: Vec<u64>,
}

/// Amounts by their fields, and what is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// What was added up.
    pub amounts: HashMap<String, u64>,
    /// Reservations by their fields: how much, and until when in milliseconds since the Unix epoch.
    pub reservations: HashMap<String, (u64, u64)>,
}
