//! Sheets and notes as hashes. A reservation is a field whose value says how much and until when.

use std::collections::HashMap;

use async_trait::async_trait;
use redis::{Cmd, Value, cmd};
use tokio::time::Instant;

use crate::stores::{BookStore, Notes, POSTERS_KEPT, Posting, Reservation, Reserving, Sheet, StoreError};

use super::{Redis, Repeat, Transport, read, seconds};

#[async_trait]
impl<T: Transport> BookStore for Redis<T> {
    async fn post(&self, posting: &Posting, by: Instant) -> Result<(), StoreError> {
        let mut keys = vec![posting.poster.as_str()];
        let mut args = vec![posting.number.to_string(), POSTERS_KEPT.as_secs().to_string()];
        for entry in &posting.entries {
            keys.push(&entry.sheet);
            let keep = entry.keep.map_or(0, seconds);
            args.extend([keep.to_string(), entry.dropped.len().to_string(), entry.amounts.len().to_string()]);
            args.extend(entry.dropped.iter().cloned());
            args.extend(entry.amounts.iter().flat_map(|(field, amount)| [field.clone(), amount.to_string()]));
        }
        let done: String = read(self.run_script(&self.post, &keys, &args, Repeat::Harmless, by).await?)?;
        // What answers another command does not say that this is done.
        if done == posting.number.to_string() {
            Ok(())
        } else {
            Err(StoreError::Broken("the answer to something else".to_owned()))
        }
    }

    async fn reserve(
        &self,
        sheet: &str,
        reservation: &Reservation<'_>,
        limits: &[(String, u64)],
        by: Instant,
    ) -> Result<Reserving, StoreError> {
        let Reservation { field, amount, now_ms, until_ms, besides } = *reservation;
        let mut args = vec![field.to_owned()];
        args.extend([amount, now_ms, until_ms, besides].map(|number| number.to_string()));
        args.extend(limits.iter().flat_map(|(field, limit)| [field.clone(), limit.to_string()]));
        let answer = self.run_script(&self.reserve, &[sheet], &args, Repeat::Harmless, by).await?;
        let answer: Vec<u64> = read(answer)?;
        match answer.split_first_chunk() {
            Some(([is_reserved, others], amounts)) if amounts.len() == limits.len() => {
                Ok(Reserving { is_reserved: *is_reserved == 1, others: *others, amounts: amounts.to_vec() })
            }
            _ => Err(StoreError::Broken("an answer of another shape".to_owned())),
        }
    }

    async fn sheets(&self, keys: &[&str], by: Instant) -> Result<Vec<Sheet>, StoreError> {
        let answers = self.hashes(keys, by).await?.into_iter();
        answers.map(|answer| read::<HashMap<String, String>>(answer?).map(sheet)).collect()
    }

    async fn sheet_and_notes(&self, key: &str, notes: &str, by: Instant) -> Result<(Sheet, Notes), StoreError> {
        let mut answers = self.hashes(&[key, notes], by).await?.into_iter();
        let mut next = || answers.next().unwrap_or_else(|| Err(StoreError::Broken("an answer too few".to_owned())));
        let (sheet, notes) = (sheet(read(next()?)?), read::<HashMap<String, Vec<u8>>>(next()?)?);
        Ok((sheet, notes.into_iter().map(|(field, text)| (field, text.into())).collect()))
    }

    async fn note(&self, key: &str, notes: &[(String, String)], by: Instant) -> Result<(), StoreError> {
        self.run(cmd("HSET").arg(key).arg(notes), Repeat::Harmless, by).await.map(drop)
    }

    async fn note_new(&self, key: &str, field: &str, text: &str, by: Instant) -> Result<bool, StoreError> {
        let set = self.run(cmd("HSETNX").arg(key).arg(field).arg(text), Repeat::Never, by).await?;
        Ok(set == Value::Int(1))
    }

    async fn forget(&self, key: &str, fields: &[String], by: Instant) -> Result<(), StoreError> {
        self.run(cmd("HDEL").arg(key).arg(fields), Repeat::Harmless, by).await.map(drop)
    }
}

impl<T: Transport> Redis<T> {
    /// What hashes say, in one round trip.
    async fn hashes(&self, keys: &[&str], by: Instant) -> Result<Vec<Result<Value, StoreError>>, StoreError> {
        let commands: Vec<Cmd> = keys.iter().map(|key| cmd("HGETALL").arg(key).to_owned()).collect();
        self.again(Repeat::Harmless, by, || self.run_all(&commands)).await
    }
}

/// What a hash says. What is neither an amount nor a reservation is someone else's.
fn sheet(fields: HashMap<String, String>) -> Sheet {
    let mut sheet = Sheet::default();
    for (field, value) in fields {
        let parts = value.split_once(':');
        let reservation = parts.and_then(|(amount, until)| Some((amount.parse().ok()?, until.parse().ok()?)));
        if let Some(reservation) = reservation {
            sheet.reservations.insert(field, reservation);
        } else if let Ok(amount) = value.parse() {
            sheet.amounts.insert(field, amount);
        }
    }
    sheet
}
