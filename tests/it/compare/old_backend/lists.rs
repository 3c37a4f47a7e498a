//! What does not depend on a question.

use serde_json::{Value, json};

pub(super) const OFFERED: [&str; 4] = ["gpt-4o", "gpt-4-turbo", "gpt-4", "gpt-3.5-turbo"];

fn modes() -> Value {
    let mode = |selection: &str| json!({"description": "How it is chosen.", "selection": selection});
    json!({
        "manual": mode("user-choice"),
        "heuristic": mode("capability-matching"),
        "cost-aware": mode("cost-optimization"),
        "orchestrated": mode("stage-specialization"),
        "single-model": mode("single-provider"),
    })
}

/// An id, the name that is shown, context and output in tokens, and prices of 1000 tokens.
type Model = (&'static str, &'static str, u32, u32, f64, f64);

const CATALOGUE: [(&str, &[Model]); 6] = [
    (
        "OpenAI",
        &[
            ("gpt-4o", "GPT-4o", 128_000, 4096, 0.005, 0.015),
            ("gpt-4-turbo", "GPT-4 Turbo", 128_000, 4096, 0.01, 0.03),
            ("gpt-4", "GPT-4", 8192, 2048, 0.03, 0.06),
            ("gpt-3.5-turbo", "GPT-3.5 Turbo", 16_385, 4096, 0.0015, 0.002),
        ],
    ),
    (
        "Anthropic",
        &[
            ("claude-3-5-sonnet-20241022", "Claude 3.5 Sonnet", 200_000, 8192, 0.003, 0.015),
            ("claude-3-opus-20240229", "Claude 3 Opus", 200_000, 4096, 0.015, 0.075),
            ("claude-3-sonnet-20240229", "Claude 3 Sonnet", 200_000, 4096, 0.003, 0.015),
            ("claude-3-5-haiku-20241022", "Claude 3.5 Haiku", 200_000, 8192, 0.001, 0.005),
        ],
    ),
    (
        "Google AI",
        &[
            ("gemini-pro", "Gemini Pro", 32_768, 2048, 0.0005, 0.0015),
            ("gemini-2.5-pro", "Gemini 2.5 Pro", 2_097_152, 8192, 0.00125, 0.005),
            ("gemini-2.5-flash", "Gemini 2.5 Flash", 1_048_576, 8192, 0.000_075, 0.0003),
            ("gemini-2.5-flash-lite", "Gemini 2.5 Flash Lite", 1_048_576, 8192, 0.000_037_5, 0.000_15),
        ],
    ),
    (
        "Ollama (Local)",
        &[
            ("llama2", "Llama 2 7B", 4096, 2048, 0.0, 0.0),
            ("codellama", "Code Llama", 4096, 2048, 0.0, 0.0),
            ("mistral", "Mistral 7B", 4096, 2048, 0.0, 0.0),
        ],
    ),
    (
        "xAI",
        &[
            ("grok-4-fast-reasoning", "Grok 4 Fast Reasoning", 2_000_000, 4096, 0.0002, 0.0005),
            ("grok-4-fast-non-reasoning", "Grok 4 Fast Non-Reasoning", 2_000_000, 4096, 0.0002, 0.0005),
            ("grok-4-0709", "Grok 4 0709", 256_000, 4096, 0.003, 0.015),
            ("grok-code-fast-1", "Grok Code Fast 1", 256_000, 4096, 0.0002, 0.0015),
            ("grok-3", "Grok 3", 131_072, 4096, 0.003, 0.015),
            ("grok-3-mini", "Grok 3 Mini", 131_072, 4096, 0.0003, 0.0005),
            ("grok-2-vision-1212us-east-1", "Grok 2 Vision US East", 32_768, 4096, 0.002, 0.01),
            ("grok-2-vision-1212eu-west-1", "Grok 2 Vision EU West", 32_768, 4096, 0.002, 0.01),
        ],
    ),
    ("Supernova AI", &[("supernova-fast", "Supernova Fast", 32_768, 4096, 0.001, 0.001)]),
];

fn catalogue() -> Value {
    let model = |&(id, name, window, most, input, output): &Model| {
        let model = json!({
            "name": name, "contextWindow": window, "maxTokens": most, "inputCostPer1k": input, "outputCostPer1k": output,
            "capabilities": ["text-generation", "code-generation"], "strengths": ["code-generation"],
            "routing": {"priority": 1, "fallback": true, "loadBalance": true},
            "limits": {"requestsPerMinute": 60, "requestsPerHour": 1000, "dailyBudget": 50}
        });
        (id.to_owned(), model)
    };
    let provider = |(name, models): (&str, &[Model])| {
        let models: serde_json::Map<_, _> = models.iter().map(model).collect();
        json!({"name": name, "apiBaseUrl": "https://api.example.com", "models": models})
    };
    CATALOGUE.map(provider).into_iter().collect()
}

pub(super) fn usage() -> Value {
    json!({"totalRequests": 2, "totalCost": 0.1, "totalInputTokens": 9, "totalOutputTokens": 0, "averageCostPerRequest": 0.05})
}

pub(super) fn models() -> Value {
    json!({"providers": catalogue(), "routingModes": modes(), "usageStats": usage()})
}

pub(super) fn providers() -> Value {
    let status = json!({"configured": true, "available": true, "models": OFFERED});
    json!({
        "providers": catalogue(),
        "routingModes": modes(),
        "providerStatuses": [{"name": "openai", "status": status, "models": OFFERED}],
        "allModels": [{"provider": "openai", "models": OFFERED}],
    })
}

pub(super) fn stats(hits: u32, misses: u32) -> Value {
    let all = (hits + misses).max(1);
    let rate = (f64::from(hits) / f64::from(all) * 10_000.0).round() / 100.0;
    json!({"hits": hits, "misses": misses, "hitRate": rate, "estimatedSavings": format!("${:.2}", f64::from(hits) / 100.0)})
}

/// The three periods, with `amount` used; `null` once an amount was none.
pub(super) fn periods(amount: &Value) -> Value {
    let period = |name: &str, limit: u32, date: &str| {
        let left = amount.as_f64().map(|used| f64::from(limit) - used);
        json!({"period": name, "used": amount, "limit": limit, "remaining": left, "percentage": amount,
               "isOverLimit": false, "isNearLimit": false, "resetDate": date})
    };
    json!({
        "daily": period("daily", 50, "2026-11-25T00:00:00.000Z"),
        "weekly": period("weekly", 300, "2026-11-29T01:55:06.112Z"),
        "monthly": period("monthly", 1000, "2026-12-01T00:00:00.000Z"),
    })
}

pub(super) fn config() -> Value {
    json!({"dailyLimit": 50, "weeklyLimit": 300, "monthlyLimit": 1000,
           "alertThresholds": {"daily": 80, "weekly": 75, "monthly": 70}, "enableAlerts": true, "hardLimit": false})
}

pub(super) fn analytics() -> Value {
    json!({"totalRequests": 2, "totalCost": 0.1, "totalTokens": 9, "averageCostPerRequest": 0.05, "topModels": [],
           "costByPeriod": {"today": 0.01, "thisWeek": 0.03, "thisMonth": 0.1},
           "trends": {"dailyChange": 0, "weeklyChange": 0}})
}
