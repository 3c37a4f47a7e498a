//! Figures of what was booked.

use std::collections::HashMap;

use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::{
    generate::{MicroDollars, ModelId, ProviderId, Target},
    stores::StoreError,
};

use super::{
    Kind, Ledger, Period,
    batch::{ALL, sheet},
    lines::{Amounts, Lines, read},
};

/// How many models are named as those that cost most.
const TOP_MODELS: usize = 10;

/// What was paid for, in dollars and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageStats {
    /// Calls that were paid for, those that brought no answer aside.
    pub total_requests: u64,
    /// What they cost, and what failed attempts did.
    pub total_cost: f64,
    /// What they read.
    pub total_input_tokens: u64,
    /// What they wrote.
    pub total_output_tokens: u64,
    /// 0 where there were none.
    pub average_cost_per_request: f64,
}

/// What was paid for, where it went, and what it is compared with before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Analytics {
    total_requests: u64,
    total_cost: f64,
    total_tokens: u64,
    average_cost_per_request: f64,
    top_models: Vec<TopModel>,
    cost_by_period: CostByPeriod,
    trends: Trends,
    spent: Spent,
    avoided: Avoided,
    /// Of the total cost, what is known by estimates alone.
    estimated_cost: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct TopModel {
    #[schema(value_type = String)]
    model: ModelId,
    #[schema(value_type = String)]
    provider: ProviderId,
    requests: u64,
    cost: f64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CostByPeriod {
    today: f64,
    this_week: f64,
    this_month: f64,
}

/// In per cent of the day, and of the week, before. 0 where there is nothing to compare with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Trends {
    daily_change: f64,
    weekly_change: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Spent {
    clients: Share,
    refreshes: Share,
    abandoned: Share,
    failed: Share,
}

#[derive(Debug, Serialize, ToSchema)]
struct Avoided {
    hits: Share,
    joined: Share,
    stale: Share,
}

#[derive(Debug, Serialize, ToSchema)]
struct Share {
    requests: u64,
    cost: f64,
}

type Models = HashMap<Target, Lines>;

impl Ledger {
    /// What was paid for models that `is_meant`.
    ///
    /// # Errors
    /// When the store does not say `by` then.
    pub async fn usage(&self, is_meant: impl Fn(&Target) -> bool, by: Instant) -> Result<UsageStats, StoreError> {
        let sheets = self.sheets(vec![ALL.to_owned()], by).await?;
        let models = sheets.first().map(read).unwrap_or_default();
        Ok(usage(models.iter().filter(|(target, _)| is_meant(target)).map(|(_, lines)| lines)))
    }

    /// Figures of all that was booked.
    ///
    /// # Errors
    /// When the store does not say `by` then.
    pub async fn analytics(&self, by: Instant) -> Result<Analytics, StoreError> {
        let today = super::period::day(self.clock.epoch_ms());
        let [day, week, month] = Period::ALL.map(|period| sheet(period, today));
        let before = |period: Period| sheet(period, period.day_before(today));
        let keys = vec![ALL.to_owned(), day, before(Period::Daily), week, before(Period::Weekly), month];
        let mut sheets = self.sheets(keys, by).await?.iter().map(read).collect::<Vec<_>>().into_iter();
        let all = sheets.next().unwrap_or_default();
        let costs: Vec<u64> = sheets.map(|models| spent(&models)).collect();
        let cost = |at: usize| costs.get(at).copied().unwrap_or_default();
        let dollars = |at| MicroDollars(cost(at)).dollars();
        let stats = usage(all.values());
        Ok(Analytics {
            total_requests: stats.total_requests,
            total_cost: stats.total_cost,
            total_tokens: stats.total_input_tokens.saturating_add(stats.total_output_tokens),
            average_cost_per_request: stats.average_cost_per_request,
            top_models: top_models(&all),
            cost_by_period: CostByPeriod { today: dollars(0), this_week: dollars(2), this_month: dollars(4) },
            trends: Trends { daily_change: change(cost(1), cost(0)), weekly_change: change(cost(3), cost(2)) },
            spent: Spent {
                clients: share(&all, Kind::Client),
                refreshes: share(&all, Kind::Refresh),
                abandoned: share(&all, Kind::Abandoned),
                failed: share(&all, Kind::Failed),
            },
            avoided: Avoided {
                hits: share(&all, Kind::Hit),
                joined: share(&all, Kind::Joined),
                stale: share(&all, Kind::Stale),
            },
            estimated_cost: MicroDollars(all.values().map(|lines| paid(lines).1.estimated).sum()).dollars(),
        })
    }
}

/// Answers that were paid for, and everything that was spent.
fn paid(lines: &Lines) -> (u64, Amounts) {
    let (mut answers, mut all) = (0, Amounts::default());
    for (kind, amounts) in Kind::ALL.into_iter().zip(lines).filter(|(kind, _)| kind.is_spent()) {
        answers += if kind == Kind::Failed { 0 } else { amounts.requests };
        all.add(*amounts);
    }
    (answers, all)
}

fn spent(models: &Models) -> u64 {
    models.values().map(|lines| paid(lines).1.cost).sum()
}

fn usage<'a>(models: impl Iterator<Item = &'a Lines>) -> UsageStats {
    let (mut answers, mut all) = (0, Amounts::default());
    for lines in models {
        let (requests, amounts) = paid(lines);
        answers += requests;
        all.add(amounts);
    }
    let cost = MicroDollars(all.cost).dollars();
    UsageStats {
        total_requests: answers,
        total_cost: cost,
        total_input_tokens: all.input,
        total_output_tokens: all.output,
        average_cost_per_request: ratio(cost, answers),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an average for display")]
fn ratio(cost: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { cost / count as f64 }
}

fn share(models: &Models, kind: Kind) -> Share {
    let lines = models.values().filter_map(|lines| lines.get(kind as usize));
    let (requests, cost) = lines.fold((0, 0), |(requests, cost), line| (requests + line.requests, cost + line.cost));
    Share { requests, cost: MicroDollars(cost).dollars() }
}

/// Those that cost most, the dearest first.
fn top_models(models: &Models) -> Vec<TopModel> {
    let mut top: Vec<_> = models.iter().map(|(target, lines)| (target, paid(lines))).collect();
    top.retain(|(_, (requests, amounts))| *requests > 0 || amounts.cost > 0);
    top.sort_by(|(a, (a_requests, a_paid)), (b, (b_requests, b_paid))| {
        let by_cost = b_paid.cost.cmp(&a_paid.cost).then(b_requests.cmp(a_requests));
        by_cost.then_with(|| a.model.cmp(&b.model))
    });
    let named = top.into_iter().take(TOP_MODELS).map(|(target, (requests, amounts))| TopModel {
        model: target.model.clone(),
        provider: target.provider.clone(),
        requests,
        cost: MicroDollars(amounts.cost).dollars(),
    });
    named.collect()
}

/// By how much `now` is more than `before`, in per cent, two decimals.
#[expect(clippy::cast_precision_loss, reason = "a share for display")]
fn change(before: u64, now: u64) -> f64 {
    if before == 0 {
        return 0.0;
    }
    ((now as f64 / before as f64 - 1.0) * 10_000.0).round() / 100.0
}
