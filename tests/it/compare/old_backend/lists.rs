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

fn catalogue() -> Value {
    let model = |name: &str| {
        json!({"name": name, "contextWindow": 128_000, "maxTokens": 4096, "inputCostPer1k": 0.005, "outputCostPer1k": 0.015,
               "capabilities": ["text-generation"], "strengths": ["code-generation"],
               "routing": {"priority": 1, "fallback": true, "loadBalance": true},
               "limits": {"requestsPerMinute": 60, "requestsPerHour": 1000, "dailyBudget": 50}})
    };
    let provider = |name: &str, models: &[(&str, &str)]| {
        let models: serde_json::Map<_, _> = models.iter().map(|(id, name)| ((*id).to_owned(), model(name))).collect();
        json!({"name": name, "apiBaseUrl": "https://api.example.com", "models": models})
    };
    json!([
        provider(
            "OpenAI",
            &[
                ("gpt-4o", "GPT-4o"),
                ("gpt-4-turbo", "GPT-4 Turbo"),
                ("gpt-4", "GPT-4"),
                ("gpt-3.5-turbo", "GPT-3.5 Turbo"),
            ]
        ),
        provider(
            "Anthropic",
            &[("claude-3-5-sonnet-20241022", "Claude 3.5 Sonnet"), ("claude-3-opus-20240229", "Claude 3 Opus")]
        ),
        provider("Google AI", &[("gemini-pro", "Gemini Pro"), ("gemini-2.5-pro", "Gemini 2.5 Pro")]),
        provider("Ollama (Local)", &[("llama2", "Llama 2 7B"), ("codellama", "Code Llama"), ("mistral", "Mistral 7B")]),
        provider("xAI", &[("grok-3", "Grok 3"), ("grok-3-mini", "Grok 3 Mini")]),
        provider("Supernova AI", &[("supernova-fast", "Supernova Fast")]),
    ])
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
