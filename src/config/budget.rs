//! What may be spent.

use secrecy::SecretString;
use url::Url;

use super::{
    address::{is_link_local, is_loopback},
    read::Reader,
};

/// What may be spent, in dollars, and who is told.
pub struct BudgetConfig {
    /// `BUDGET_DAILY_USD`.
    pub daily: f64,
    /// `BUDGET_WEEKLY_USD`.
    pub weekly: f64,
    /// `BUDGET_MONTHLY_USD`.
    pub monthly: f64,
    /// `BUDGET_HARD_LIMIT`: whether a generation that might exceed a budget is refused.
    pub hard_limit: bool,
    /// `BUDGET_WEBHOOK_URL`: where alerts are posted. It may hold a secret. `None`: nowhere.
    pub webhook_url: Option<SecretString>,
}

const WEBHOOK_URL: &str = "BUDGET_WEBHOOK_URL";

pub(super) fn read_budget(read: &mut Reader) -> BudgetConfig {
    BudgetConfig {
        daily: read.dollars("BUDGET_DAILY_USD", 50.0),
        weekly: read.dollars("BUDGET_WEEKLY_USD", 300.0),
        monthly: read.dollars("BUDGET_MONTHLY_USD", 1000.0),
        hard_limit: read.boolean("BUDGET_HARD_LIMIT", false),
        webhook_url: webhook_url(read),
    }
}

fn webhook_url(read: &mut Reader) -> Option<SecretString> {
    let text = read.text(WEBHOOK_URL)?;
    let url = text.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    // It may hold a secret, so it is not repeated; and a password would be sent to nobody.
    let Some(url) = url.filter(|url| url.has_host() && url.username().is_empty() && url.password().is_none()) else {
        read.problem(WEBHOOK_URL, "is not an address to post to", "https://…, or http://…");
        return None;
    };
    if is_link_local(&url) {
        read.problem(WEBHOOK_URL, "is a link-local address", "one that a chat service can have");
        return None;
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        read.warn(format!("{WEBHOOK_URL} is not https: alerts travel in the clear"));
    }
    Some(url.as_str().into())
}
