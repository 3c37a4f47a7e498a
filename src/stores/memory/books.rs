//! Sheets within this process.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::stores::{BookStore, Notes, Posting, Reservation, Reserving, Sheet, StoreError};

/// Sheets and notes by their keys.
#[derive(Default)]
pub struct MemoryBooks(Mutex<Books>);

#[derive(Default)]
struct Books {
    sheets: HashMap<String, Sheet>,
    /// When sheets that are not kept for good are over.
    over: HashMap<String, Instant>,
    notes: HashMap<String, Notes>,
    /// The last number of each poster: a process has one.
    posters: HashMap<String, u64>,
}

impl MemoryBooks {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BookStore for MemoryBooks {
    async fn post(&self, posting: &Posting, _: Instant) -> Result<(), StoreError> {
        let mut books = self.books();
        let Books { sheets, over, posters, .. } = &mut *books;
        let last = posters.entry(posting.poster.clone()).or_default();
        if *last >= posting.number {
            return Ok(());
        }
        *last = posting.number;
        let now = Instant::now();
        over.retain(|key, until| *until > now || sheets.remove(key).is_none());
        for entry in &posting.entries {
            if let Some(keep) = entry.keep {
                over.entry(entry.sheet.clone()).or_insert(now + keep);
            }
            let sheet = sheets.entry(entry.sheet.clone()).or_default();
            for (field, amount) in &entry.amounts {
                let there = sheet.amounts.entry(field.clone()).or_default();
                *there = there.saturating_add(*amount);
            }
            for field in &entry.dropped {
                sheet.amounts.remove(field);
                sheet.reservations.remove(field);
            }
        }
        Ok(())
    }

    async fn reserve(
        &self,
        sheet: &str,
        reservation: &Reservation<'_>,
        limits: &[(String, u64)],
        _: Instant,
    ) -> Result<Reserving, StoreError> {
        let mut books = self.books();
        let sheet = books.sheets.entry(sheet.to_owned()).or_default();
        let live = sheet
            .reservations
            .iter()
            .filter(|(field, (_, until))| **field != reservation.field && *until > reservation.now_ms);
        let others = live.map(|(_, (amount, _))| amount).sum::<u64>().saturating_add(reservation.besides);
        let amounts: Vec<u64> =
            limits.iter().map(|(field, _)| sheet.amounts.get(field).copied().unwrap_or_default()).collect();
        let wanted = others.saturating_add(reservation.amount);
        let is_reserved =
            amounts.iter().zip(limits).all(|(amount, (_, limit))| amount.saturating_add(wanted) <= *limit);
        if is_reserved {
            sheet.reservations.insert(reservation.field.to_owned(), (reservation.amount, reservation.until_ms));
        } else {
            sheet.reservations.remove(reservation.field);
        }
        Ok(Reserving { is_reserved, others, amounts })
    }

    async fn sheets(&self, keys: &[&str], _: Instant) -> Result<Vec<Sheet>, StoreError> {
        let books = self.books();
        Ok(keys.iter().map(|key| books.sheets.get(*key).cloned().unwrap_or_default()).collect())
    }

    async fn sheet_and_notes(&self, sheet: &str, notes: &str, _: Instant) -> Result<(Sheet, Notes), StoreError> {
        let books = self.books();
        let (sheet, notes) = (books.sheets.get(sheet), books.notes.get(notes));
        Ok((sheet.cloned().unwrap_or_default(), notes.cloned().unwrap_or_default()))
    }

    async fn note(&self, key: &str, notes: &[(String, String)], _: Instant) -> Result<(), StoreError> {
        let notes = notes.iter().map(|(field, text)| (field.clone(), Bytes::from(text.clone())));
        self.books().notes.entry(key.to_owned()).or_default().extend(notes);
        Ok(())
    }

    async fn note_new(&self, key: &str, field: &str, text: &str, _: Instant) -> Result<bool, StoreError> {
        let mut books = self.books();
        let notes = books.notes.entry(key.to_owned()).or_default();
        let is_new = !notes.contains_key(field);
        if is_new {
            notes.insert(field.to_owned(), Bytes::from(text.to_owned()));
        }
        Ok(is_new)
    }

    async fn forget(&self, key: &str, fields: &[String], _: Instant) -> Result<(), StoreError> {
        if let Some(notes) = self.books().notes.get_mut(key) {
            notes.retain(|field, _| !fields.contains(field));
        }
        Ok(())
    }
}
