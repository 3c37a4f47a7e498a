//! The scripted vendors against the gateway's own translation: what they say is read as they meant it.

use serde_json::json;

use crate::support::{Gateway, Vendors, post};

/// A model of each vendor.
const MODELS: [&str; 7] = [
    "openai:gpt-4o",
    "openai:gpt-6.2-sol",
    "anthropic:claude-sonnet-5-5",
    "google:gemini-3.8-flash",
    "xai:grok-4.7",
    "ollama:llama3.2",
    "local:any",
];

fn gateway(vendors: &Vendors, retries: &str) -> Gateway {
    let mut settings = vendors.settings();
    let more =
        [("PROVIDER_RETRIES", retries), ("PROMPT_STYLE", "plain"), ("CACHE_ENABLED", "false"), ("RATE_LIMIT_MAX", "0")];
    settings.extend(more.map(|(name, value)| (name, value.to_owned())));
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Gateway::configured_by(&settings)
}

#[tokio::test]
async fn every_scripted_vendor_says_hello_in_its_dialect() {
    let vendors = Vendors::start().await;
    let gateway = gateway(&vendors, "1");
    for model in MODELS {
        for prompt in ["hello", "fail-once"] {
            let question = json!({"prompt": prompt, "model": model, "allowFailover": false});
            let whole = gateway.send(post("/llm/generate", &question)).await;
            let mut streaming = question.clone();
            streaming["streaming"] = true.into();
            let streamed = gateway.send(post("/llm/generate", &streaming)).await;
            let hello = "Hello, wörld — naïve 東京 🦀👩\u{200d}🚀 \"quoted\"\n";
            assert_eq!(whole.expect(200).json()["code"], hello, "{model}");
            assert_eq!(streamed.deltas(), hello, "{model}: {}", streamed.body);
        }
    }
    assert_eq!(vendors.refused(), Vec::<String>::new());
}

#[tokio::test]
async fn every_scripted_vendor_fails_in_its_dialect() {
    let vendors = Vendors::start().await;
    let gateway = gateway(&vendors, "0");
    for model in MODELS {
        for (prompt, status) in [("rate-limited", 429), ("overloaded", 503), ("bad-key", 502), ("cut", 502)] {
            let question = json!({"prompt": prompt, "model": model, "allowFailover": false});
            let reply = gateway.send(post("/llm/generate", &question)).await;
            assert_eq!(reply.status, status, "{model} {prompt}: {}", reply.body);
        }
        let question = json!({"prompt": "cut", "model": model, "allowFailover": false, "streaming": true});
        let reply = gateway.send(post("/llm/generate", &question)).await;
        assert_eq!(reply.last()["type"], "ERROR", "{model}: {}", reply.body);
    }
    assert_eq!(vendors.refused(), Vec::<String>::new());
}
