//! Values that are never twice the same, and what they have to look like all the same.

use serde_json::Value;

use super::{Strictness, errors::ALERT, look::Look};

/// What a free value has to be.
#[derive(Clone, Copy)]
enum Free {
    /// What looks like this.
    Is(Look),
    /// A list whose entries are told apart by this field, in any order.
    Keyed(&'static str),
    /// An object whose names are free: those of the old are compared, and others look like its first.
    Map,
    /// An object whose fields come in this order.
    Ordered,
}

use Free::{Is, Keyed, Map, Ordered};

const AMOUNT: Free = Is(Look::Amount);
const ALERTS: Free = Is(Look::List(ALERT));
const COUNT: Free = Is(Look::Count);
const FLAG: Free = Is(Look::Flag);
const TEXT: Free = Is(Look::Text);
const TIME: Free = Is(Look::Time);

const TOP_MODELS: Free = Is(Look::List(&[
    ("model", Look::Text),
    ("provider", Look::Text),
    ("requests", Look::Count),
    ("cost", Look::Amount),
]));

/// A route, a path in its replies, and what stands there. `*` stands for any one name, `[]` for an entry of a list.
const FREE: &[(&str, &str, Free)] = &[
    ("/llm/generate", "metadata.estimatedTokens", COUNT),
    ("/llm/generate", "metadata.estimatedCost", AMOUNT),
    ("/llm/generate", "budget.alerts", ALERTS),
    ("/llm/generate", "budget.status.*.used", AMOUNT),
    ("/llm/generate", "budget.status.*.remaining", AMOUNT),
    ("/llm/generate", "budget.status.*.percentage", AMOUNT),
    ("/llm/generate", "budget.status.*.isOverLimit", FLAG),
    ("/llm/generate", "budget.status.*.isNearLimit", FLAG),
    ("/llm/generate", "budget.status.*.resetDate", TIME),
    ("/llm/generate", "alerts", ALERTS),
    ("/llm/generate", "code", TEXT),
    ("/llm/generate", "ts", Is(Look::Clock)),
    ("/llm/generate", "items", Is(Look::Lines)),
    ("/llm/budget/status", "*.used", AMOUNT),
    ("/llm/budget/status", "*.remaining", AMOUNT),
    ("/llm/budget/status", "*.percentage", AMOUNT),
    ("/llm/budget/status", "*.isOverLimit", FLAG),
    ("/llm/budget/status", "*.isNearLimit", FLAG),
    ("/llm/budget/status", "*.resetDate", TIME),
    ("/llm/budget/analytics", "totalRequests", COUNT),
    ("/llm/budget/analytics", "totalCost", AMOUNT),
    ("/llm/budget/analytics", "totalTokens", COUNT),
    ("/llm/budget/analytics", "averageCostPerRequest", AMOUNT),
    ("/llm/budget/analytics", "topModels", TOP_MODELS),
    ("/llm/budget/analytics", "costByPeriod.*", AMOUNT),
    ("/llm/budget/analytics", "trends.*", Is(Look::Number)),
    ("/llm/budget/alerts", "alerts", ALERTS),
    ("/llm/usage", "totalCost", AMOUNT),
    ("/llm/usage", "averageCostPerRequest", AMOUNT),
    ("/llm/usage", "*", COUNT),
    ("/llm/models", "usageStats.totalCost", AMOUNT),
    ("/llm/models", "usageStats.averageCostPerRequest", AMOUNT),
    ("/llm/models", "usageStats.*", COUNT),
    ("/llm/models", "routingModes.*.description", TEXT),
    ("/llm/providers", "routingModes.*.description", TEXT),
    ("/llm/cache/stats", "", Ordered),
    ("/llm/cache/stats", "hits", COUNT),
    ("/llm/cache/stats", "misses", COUNT),
    ("/llm/cache/stats", "hitRate", Is(Look::Percent)),
    ("/llm/cache/stats", "estimatedSavings", Is(Look::Dollars)),
    ("/llm/test-provider", "responseTime", AMOUNT),
    ("/llm/models", "providers[].models", Map),
    ("/llm/providers", "providers[].models", Map),
    ("/llm/models", "providers", Keyed("name")),
    ("/llm/providers", "providers", Keyed("name")),
    ("/llm/providers", "providerStatuses", Keyed("name")),
    ("/llm/providers", "allModels", Keyed("provider")),
];

/// How both values at a place that is free are compared.
pub(super) enum Freedom {
    /// They are what they have to be.
    Kept,
    /// The new one is not.
    Broken,
    /// Its entries belong to those of the old that have the same in this field.
    Keyed(&'static str),
    /// Those of the old are compared, and others look like its first.
    Map,
    /// They are compared, and come in the same order.
    Ordered,
}

/// Whether the value at `path` of `route`'s replies is free, and what that means for `new`. `None`: it has to be equal.
pub(super) fn freedom(route: &str, path: &str, new: &Value, strictness: Strictness) -> Option<Freedom> {
    if strictness.same_text && path == "code" {
        return None;
    }
    let kept = |is_kept: bool| if is_kept { Freedom::Kept } else { Freedom::Broken };
    // Each service gives ids of its own.
    if ["requestId", "metadata.requestId"].contains(&path) {
        return Some(kept(Look::Text.fits(new)));
    }
    Some(match free(route, path)? {
        Is(look) => kept(look.fits(new)),
        Keyed(field) => Freedom::Keyed(field),
        Map => Freedom::Map,
        Ordered => Freedom::Ordered,
    })
}

fn free(route: &str, path: &str) -> Option<Free> {
    let found = FREE.iter().find(|(of, pattern, _)| *of == route && is_meant(pattern, path));
    found.map(|(.., free)| *free)
}

/// Whether an amount or a count stands at `path` of `route`'s replies, and `new` is one.
pub(super) fn is_amount(route: &str, path: &str, new: &Value) -> bool {
    matches!(free(route, path), Some(Is(look @ (Look::Amount | Look::Count))) if look.fits(new))
}

/// Whether `path` is one that `pattern` means.
pub(super) fn is_meant(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut names) = (pattern.split('.'), path.split('.'));
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(name))
                if (pattern == "*" && !name.is_empty()) || pattern == name || is_entry(pattern, name) => {}
            _ => return false,
        }
    }
}

/// `models[]` means every entry, and some are named: `providers[OpenAI]`.
fn is_entry(pattern: &str, name: &str) -> bool {
    let list = pattern.strip_suffix("[]").and_then(|list| name.strip_prefix(list));
    list.is_some_and(|entry| entry.starts_with('[') && entry.ends_with(']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_the_paths_that_it_has_names_for() {
        assert!(is_meant("budget.status.*.used", "budget.status.daily.used"));
        assert!(is_meant("", "") && is_meant("a[].b", "a[x].b"));
        assert!(
            !is_meant("budget.status.*.used", "budget.status.daily.limit")
                && !is_meant("*", "a.b")
                && !is_meant("*", "")
        );
        assert!(is_amount("/llm/usage", "totalInputTokens", &2.into()) && !is_amount("/llm/usage", "a.b", &2.into()));
    }
}
