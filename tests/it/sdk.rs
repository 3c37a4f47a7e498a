//! The SDKs that clients use, the real packages, against the service, with every vendor's dialect behind it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::support::{Binary, Check, KEY, Received, SIGNATURE, Sdk, Vendors, until};

const SDKS: [Sdk; 4] = [
    Sdk::Python("openai_sdk.py"),
    Sdk::Python("langchain_sdk.py"),
    Sdk::JavaScript("openai_sdk.mjs"),
    Sdk::JavaScript("ai_sdk.mjs"),
];

/// Scripts at once. Each waits most of its time.
const AT_ONCE: usize = 8;

/// What differs from vendor to vendor, for the scripts.
#[derive(Clone, Serialize)]
struct Expected {
    is_gateway: bool,
    /// The `model` of a reply.
    answers_as: &'static str,
    /// Its id in the list of models.
    listed_as: &'static str,
    missing_model: String,
    /// Whether every question has tools, because the vendor is then asked in another dialect.
    tools_always: bool,
    /// Input, output, and of these what was cached and what was reasoning.
    usage: [u64; 4],
    /// A model that sees.
    picture_model: &'static str,
    /// Whether the vendor fetches pictures.
    https_images: bool,
    /// Finish reason, content and refusal.
    refusal: Value,
    /// What is left of the settings that the scripts send.
    sampling: Value,
    /// What `X-Gateway-Dropped` says of the others. `None`: nobody drops anything.
    dropped: Option<Vec<&'static str>>,
    embedding_model: Option<&'static str>,
    /// The field that is named when a temperature is out of its range.
    wrong_param: Option<&'static str>,
    /// Status and code when the vendor refuses the service's key.
    bad_key: (u16, &'static str),
}

impl Expected {
    fn of(model: &'static str) -> Self {
        let (provider, name) = model.split_once('/').expect("a model with its provider");
        Self {
            is_gateway: true,
            answers_as: name,
            // The shortest name that means it.
            listed_as: name,
            missing_model: format!("{provider}/no-such-model"),
            tools_always: false,
            usage: [14, 29, 4, 18],
            picture_model: model,
            https_images: true,
            refusal: json!(["content_filter", null, "I cannot help with that."]),
            sampling: json!({"max_tokens": 64}),
            dropped: Some(Vec::new()),
            embedding_model: None,
            wrong_param: Some("temperature"),
            bad_key: (502, "upstream_authentication"),
        }
    }
}

/// One model for each dialect.
fn models() -> [(&'static str, Expected); 7] {
    let all = json!({"temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 7, "max_tokens": 64});
    [
        (
            "openai/gpt-4o",
            Expected {
                sampling: all.clone(),
                embedding_model: Some("openai/text-embedding-3-small"),
                ..Expected::of("openai/gpt-4o")
            },
        ),
        (
            "openai/gpt-6.2-sol",
            Expected {
                tools_always: true,
                dropped: Some(vec!["temperature", "top_p", "stop", "seed"]),
                ..Expected::of("openai/gpt-6.2-sol")
            },
        ),
        (
            "anthropic/claude-sonnet-5-5",
            Expected {
                sampling: json!({"stop": ["END"], "max_tokens": 64}),
                dropped: Some(vec!["temperature", "top_p", "seed"]),
                ..Expected::of("anthropic/claude-sonnet-5-5")
            },
        ),
        (
            "google/gemini-3.8-flash",
            Expected {
                https_images: false,
                // It gives no reason in words.
                refusal: json!(["content_filter", null, null]),
                sampling: json!({"stop": ["END"], "seed": 7, "max_tokens": 64}),
                dropped: Some(vec!["temperature", "top_p"]),
                embedding_model: Some("google/gemini-embedding-001"),
                ..Expected::of("google/gemini-3.8-flash")
            },
        ),
        (
            "xai/grok-4.7",
            Expected {
                sampling: json!({"temperature": 0.5, "top_p": 0.9, "seed": 7, "max_tokens": 64}),
                dropped: Some(vec!["stop"]),
                ..Expected::of("xai/grok-4.7")
            },
        ),
        (
            "ollama/llama3.2",
            Expected {
                usage: [14, 29, 0, 0],
                picture_model: "ollama/gemma4",
                https_images: false,
                // It has no refusals.
                refusal: json!(["stop", "I cannot help with that.", null]),
                sampling: all.clone(),
                embedding_model: Some("ollama/nomic-embed-text"),
                ..Expected::of("ollama/llama3.2")
            },
        ),
        (
            "local/any",
            Expected { sampling: all, embedding_model: Some("local/any-embedding"), ..Expected::of("local/any") },
        ),
    ]
}

/// Runs every script for every model at `base_url`, some at once, and gives back what all of them saw.
async fn run(vendors: &Vendors, base_url: &str, models: &[(&'static str, Expected)]) -> Vec<(String, Check)> {
    let (places, mut scripts) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for sdk in SDKS {
        for (model, expected) in models {
            let (model, expected) = (*model, serde_json::to_string(expected).unwrap());
            let (places, base_url) = (Arc::clone(&places), base_url.to_owned());
            scripts.spawn(async move {
                let _place = places.acquire().await.unwrap();
                let who = format!("{} {model}", sdk.script());
                (who, sdk.run(&[&base_url, model, &expected], KEY).await)
            });
        }
    }
    let (mut seen, mut complaints) = (Vec::new(), Vec::new());
    for (who, checks) in scripts.join_all().await {
        match checks {
            Ok(checks) => seen.extend(checks.into_iter().map(|check| (who.clone(), check))),
            Err(complaint) => complaints.push(complaint),
        }
    }
    let refused = vendors.refused();
    assert!(complaints.is_empty(), "{}\nWhat no vendor would take: {refused:#?}", complaints.join("\n"));
    seen
}

/// That all conversations are the same, whoever had them with whom.
fn assert_same_conversations(seen: &[(String, Check)]) {
    let conversations: BTreeMap<String, &Value> = seen
        .iter()
        .filter(|(_, check)| check.check.ends_with("tools") || check.check.ends_with("tools streamed"))
        .filter(|(_, check)| !check.seen.is_null())
        .map(|(who, check)| (format!("{who}: {}", check.check), &check.seen))
        .collect();
    let (first, expected) = conversations.first_key_value().expect("some conversations");
    assert_eq!(expected.as_array().map(Vec::len), Some(10), "{expected}");
    for (who, conversation) in &conversations {
        assert_eq!(conversation, expected, "{who}, and {first}");
    }
}

/// That the vendors hear of every client who leaves in the middle.
async fn assert_vendors_noticed(vendors: &Vendors, seen: &[(String, Check)]) {
    let aborted: Vec<_> = seen.iter().filter(|(_, check)| check.check.ends_with("abort")).collect();
    assert!(!aborted.is_empty());
    for (who, check) in aborted {
        let text = check.seen.as_str().unwrap();
        until(&format!("a vendor notices that {who} left"), async || vendors.left(text) > 0).await;
    }
}

/// That all vendors were asked, each in every dialect that it has, and heard the same conversation from everybody.
fn assert_asked_alike(vendors: &Vendors) {
    let (mut paths, mut conversations) = (BTreeSet::new(), BTreeMap::new());
    for Received { path, headers, asked, .. } in vendors.seen() {
        assert!(!headers.contains_key("x-stainless-lang"), "{path} got what is the SDK's own");
        let Some(asked) = asked else { continue };
        if asked.text() == "later" {
            let conversation = serde_json::to_value((&asked.system, &asked.turns)).unwrap();
            conversations.entry(asked.turns.len()).or_insert_with(BTreeSet::new).insert(conversation.to_string());
        }
        paths.insert(path);
    }
    let expected = [
        "/anthropic/v1/messages",
        "/google/v1/models/gemini-3.8-flash:generateContent",
        "/google/v1/models/gemini-3.8-flash:streamGenerateContent",
        "/local/v1/chat/completions",
        "/ollama/api/chat",
        "/openai/v1/chat/completions",
        "/openai/v1/responses",
        "/xai/v1/chat/completions",
    ];
    assert_eq!(paths, expected.map(str::to_owned).into());
    // With the second question, and with the result of its call.
    assert_eq!(conversations.keys().copied().collect::<Vec<_>>(), [6, 8]);
    for alike in conversations.values() {
        assert_eq!(alike.len(), 1, "{alike:#?}");
    }
}

/// That clients bring back what Gemini signed, so that it need not be told that the signature is lost.
fn assert_signatures_came_back(vendors: &Vendors) {
    let bodies: Vec<String> = vendors
        .seen()
        .iter()
        .filter(|seen| seen.path.starts_with("/google/"))
        .map(|seen| seen.body.to_string())
        .filter(|body| body.contains("functionCall\""))
        .collect();
    let signed = bodies.iter().filter(|body| body.contains(SIGNATURE)).count();
    // LangChain and the AI SDK's provider for OpenAI keep nothing that they do not know.
    assert!(signed * 2 > bodies.len(), "{signed} of {}", bodies.len());
}

fn gateway(vendors: &Vendors) -> Binary {
    let mut settings = vendors.settings();
    let more = [
        ("RATE_LIMIT_MAX", "0"),
        // Every script asks the same.
        ("CACHE_ENABLED", "false"),
        ("COALESCE", "off"),
        ("ON_ABANDON", "cancel"),
        // The vendors fail on purpose, again and again.
        ("PROVIDER_BREAKER_FAILURES", "0"),
        ("PROVIDER_RETRIES", "1"),
        // So that they are listed.
        ("COMPATIBLE_LOCAL_MODELS", "any,any-embedding"),
    ];
    settings.extend(more.map(|(name, value)| (name, value.to_owned())));
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Binary::start(&settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sdk_does_everything_with_every_dialect_behind_it() {
    let vendors = Vendors::start().await;
    let gateway = gateway(&vendors);
    let seen = run(&vendors, &gateway.url("/v1"), &models()).await;
    assert_same_conversations(&seen);
    assert_vendors_noticed(&vendors, &seen).await;
    assert_asked_alike(&vendors);
    assert_signatures_came_back(&vendors);
    assert_eq!(vendors.refused(), Vec::<String>::new(), "what no vendor would take");
}

/// What the scripts check is what `OpenAI` does: they are as content with a vendor that speaks its dialect.
#[tokio::test(flavor = "multi_thread")]
async fn every_sdk_does_everything_without_the_gateway() {
    let vendors = Vendors::start().await;
    let expected = Expected {
        is_gateway: false,
        listed_as: "gpt-4o",
        picture_model: "gpt-4o",
        missing_model: "no-such-model".to_owned(),
        // It does not see it as the filter's work.
        refusal: json!(["stop", null, "I cannot help with that."]),
        sampling: json!({"temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 7, "max_tokens": 64}),
        dropped: None,
        embedding_model: Some("text-embedding-3-small"),
        wrong_param: None,
        bad_key: (401, "invalid_api_key"),
        ..Expected::of("openai/gpt-4o")
    };
    let seen = run(&vendors, &format!("{}/v1", vendors.url("openai")), &[("gpt-4o", expected)]).await;
    assert_same_conversations(&seen);
    assert_vendors_noticed(&vendors, &seen).await;
}

#[tokio::test]
async fn every_field_that_a_request_can_have_is_in_the_documents_table() {
    let seen = Sdk::Python("schema_fields.py").run(&["", ""], KEY).await.unwrap().remove(0).seen;
    let fields: Vec<&str> = seen.as_array().unwrap().iter().map(|field| field.as_str().unwrap()).collect();
    assert!(fields.len() > 30 && fields.contains(&"stream") && fields.contains(&"messages"), "{fields:?}");
    let document = include_str!("../../docs/openai.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let named: Vec<String> =
        rows.flat_map(|row| row.split(", ")).map(|name| name.trim_matches('`').to_owned()).collect();
    for field in fields {
        assert!(named.iter().any(|name| name == field), "docs/openai.md does not say what becomes of `{field}`");
    }
}
