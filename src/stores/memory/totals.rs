//! Totals within this process.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::stores::{StoreError, TotalStore};

/// Totals by their keys, of which there are as many as the code names.
#[derive(Default)]
pub struct MemoryTotals(Mutex<HashMap<String, u64>>);

#[async_trait]
impl TotalStore for MemoryTotals {
    async fn add(&self, amounts: &[(&str, u64)], _by: Instant) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, amount) in amounts {
            let total = totals.entry((*key).to_owned()).or_default();
            *total = total.saturating_add(*amount);
        }
        Ok(vec![Ok(()); amounts.len()])
    }

    async fn read(&self, keys: &[&str], _by: Instant) -> Result<Vec<u64>, StoreError> {
        let totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.iter().map(|key| totals.get(*key).copied().unwrap_or_default()).collect())
    }
}
