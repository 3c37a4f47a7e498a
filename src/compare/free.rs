//! Values that are never twice the same, and what they have to look like all the same.

use serde_json::Value;

use super::Strictness;

/// What a free value has to be.
#[derive(Clone, Copy)]
enum Form {
    /// A number that is not below zero.
    Amount,
    /// A number.
    Number,
    /// A text that is not empty.
    Text,
    /// `$` and an amount with two decimals.
    Dollars,
    /// A moment in ISO 8601, in UTC.
    Time,
    /// A clock time such as `01:55 AM`.
    Clock,
    /// True or false.
    Flag,
    /// A list of any number of objects, which all look like those of the old.
    List,
    /// A list of texts that is not empty.
    Lines,
    /// A list whose entries are told apart by this field, in any order.
    Keyed(&'static str),
    /// An object whose names are free, and whose values all look like the first of the old.
    Map,
}

/// A route, a path in its replies, and what stands there. `*` stands for any one name, `[]` for an entry of a list; a route that ends
/// in `/` means all below it.
const FREE: &[(&str, &str, Form)] = &[
    ("/llm/generate", "metadata.estimatedTokens", Form::Amount),
    ("/llm/generate", "metadata.estimatedCost", Form::Amount),
    ("/llm/generate", "budget.alerts", Form::List),
    ("/llm/generate", "budget.alerts[].id", Form::Text),
    ("/llm/generate", "budget.alerts[].message", Form::Text),
    ("/llm/generate", "budget.alerts[].timestamp", Form::Time),
    ("/llm/generate", "budget.status.*.used", Form::Amount),
    ("/llm/generate", "budget.status.*.remaining", Form::Amount),
    ("/llm/generate", "budget.status.*.percentage", Form::Amount),
    ("/llm/generate", "budget.status.*.isOverLimit", Form::Flag),
    ("/llm/generate", "budget.status.*.isNearLimit", Form::Flag),
    ("/llm/generate", "budget.status.*.resetDate", Form::Time),
    ("/llm/generate", "alerts", Form::List),
    ("/llm/generate", "code", Form::Text),
    ("/llm/generate", "ts", Form::Clock),
    ("/llm/generate", "items", Form::Lines),
    ("/llm/generate", "items[]", Form::Text),
    ("/llm/budget/status", "*.used", Form::Amount),
    ("/llm/budget/status", "*.remaining", Form::Amount),
    ("/llm/budget/status", "*.percentage", Form::Amount),
    ("/llm/budget/status", "*.isOverLimit", Form::Flag),
    ("/llm/budget/status", "*.isNearLimit", Form::Flag),
    ("/llm/budget/status", "*.resetDate", Form::Time),
    ("/llm/budget/analytics", "totalRequests", Form::Amount),
    ("/llm/budget/analytics", "totalCost", Form::Amount),
    ("/llm/budget/analytics", "totalTokens", Form::Amount),
    ("/llm/budget/analytics", "averageCostPerRequest", Form::Amount),
    ("/llm/budget/analytics", "topModels", Form::List),
    ("/llm/budget/analytics", "costByPeriod.*", Form::Amount),
    ("/llm/budget/analytics", "trends.*", Form::Number),
    ("/llm/budget/alerts", "alerts", Form::List),
    ("/llm/budget/alerts", "alerts[].id", Form::Text),
    ("/llm/budget/alerts", "alerts[].message", Form::Text),
    ("/llm/budget/alerts", "alerts[].timestamp", Form::Time),
    ("/llm/budget/alerts", "alerts[].acknowledged", Form::Flag),
    ("/llm/usage", "*", Form::Amount),
    ("/llm/models", "usageStats.*", Form::Amount),
    ("/llm/models", "routingModes.*.description", Form::Text),
    ("/llm/providers", "routingModes.*.description", Form::Text),
    ("/llm/cache/stats", "hits", Form::Amount),
    ("/llm/cache/stats", "misses", Form::Amount),
    ("/llm/cache/stats", "hitRate", Form::Amount),
    ("/llm/cache/stats", "estimatedSavings", Form::Dollars),
    ("/llm/test-provider", "responseTime", Form::Amount),
    ("/llm/models", "providers[].models", Form::Map),
    ("/llm/providers", "providers[].models", Form::Map),
    ("/llm/models", "providers", Form::Keyed("name")),
    ("/llm/providers", "providers", Form::Keyed("name")),
    ("/llm/providers", "providerStatuses", Form::Keyed("name")),
    ("/llm/providers", "allModels", Form::Keyed("provider")),
];

/// How both values at a place that is free are compared.
pub(super) enum Freedom {
    /// They are what they have to be.
    Kept,
    /// The new one is not.
    Broken,
    /// Its entries have to look like those of the old.
    Entries,
    /// Its entries belong to those of the old that have the same in this field.
    Keyed(&'static str),
}

/// Whether the value at `path` of `route`'s replies is free, and what that means for `new`. `None`: it has to be equal.
pub(super) fn freedom(route: &str, path: &str, new: &Value, strictness: Strictness) -> Option<Freedom> {
    if strictness.same_text && path == "code" {
        return None;
    }
    // Each service gives ids of its own.
    if ["requestId", "metadata.requestId"].contains(&path) {
        return Some(Form::Text.judge(new));
    }
    let (.., form) = FREE.iter().find(|(of, pattern, _)| *of == route && is_meant(pattern, path))?;
    Some(form.judge(new))
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

impl Form {
    fn judge(self, new: &Value) -> Freedom {
        let is_kept = match self {
            Form::Keyed(field) => return Freedom::Keyed(field),
            Form::Map => return Freedom::Entries,
            Form::List if new.as_array().is_none_or(|list| list.iter().all(Value::is_object)) => {
                return Freedom::Entries;
            }
            Form::Lines if new.as_array().is_some_and(|lines| !lines.is_empty()) => return Freedom::Entries,
            Form::List | Form::Lines => false,
            Form::Amount => new.as_f64().is_some_and(|number| number >= 0.0),
            Form::Number => new.is_number(),
            Form::Flag => new.is_boolean(),
            Form::Text => new.as_str().is_some_and(|text| !text.is_empty()),
            Form::Dollars => new.as_str().is_some_and(is_dollars),
            Form::Time => new.as_str().is_some_and(is_time),
            Form::Clock => new.as_str().is_some_and(is_clock),
        };
        if is_kept { Freedom::Kept } else { Freedom::Broken }
    }
}

fn is_dollars(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let amount = text.strip_prefix('$').and_then(|amount| amount.split_once('.'));
    amount.is_some_and(|(whole, cents)| digits(whole) && digits(cents) && cents.len() == 2)
}

/// Whether `text` has the form of `pattern`, in which `0` stands for any digit.
fn looks_like(pattern: &str, text: &str) -> bool {
    let is_same = |(pattern, byte): (u8, u8)| if pattern == b'0' { byte.is_ascii_digit() } else { pattern == byte };
    pattern.len() == text.len() && pattern.bytes().zip(text.bytes()).all(is_same)
}

fn is_time(text: &str) -> bool {
    let is_within = |at: usize, least: u8, most: u8| {
        text.get(at..at + 2).and_then(|digits| digits.parse().ok()).is_some_and(|part| (least..=most).contains(&part))
    };
    looks_like("0000-00-00T00:00:00.000Z", text)
        && [(5, 1, 12), (8, 1, 31), (11, 0, 23), (14, 0, 59), (17, 0, 59)]
            .into_iter()
            .all(|(at, least, most)| is_within(at, least, most))
}

pub(super) fn is_clock(text: &str) -> bool {
    ["00:00 AM", "00:00 PM"].iter().any(|pattern| looks_like(pattern, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_takes_what_it_names_and_nothing_else() {
        assert!(is_dollars("$0.01") && !is_dollars("$0.1") && !is_dollars("0.01") && !is_dollars("$.01"));
        assert!(is_time("2026-11-24T01:55:06.112Z") && !is_time("2026-11-24T01:55:06Z") && !is_time("tomorrow"));
        assert!(!is_time("9999-99-99T99:99:99.999Z") && !is_time("2026-11-24T24:00:00.000Z"));
        assert!(is_clock("01:55 AM") && !is_clock("13:55") && !is_clock("1:55 AM"));
        assert!(is_meant("budget.status.*.used", "budget.status.daily.used"));
        assert!(
            !is_meant("budget.status.*.used", "budget.status.daily.limit")
                && !is_meant("*", "a.b")
                && !is_meant("*", "")
        );
    }
}
