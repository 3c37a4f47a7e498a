//! Requests that mean the same share an entry; others never do.

use llm_gateway::generate::{
    Conditions, Delivery, Failover, Fingerprint, Format, GenerateRequest, Message, Part, Policy, Purpose, Sampling,
    Target, Tool, ToolCall, ToolChoice, Tools,
};
use proptest::{collection::vec, option, prelude::*};
use serde_json::{Map, Value, json};

/// A request as plain data: two that are equal mean the same.
#[derive(Clone, Debug, PartialEq)]
struct Meaning {
    provider: String,
    model: String,
    messages: Vec<Turn>,
    /// Tenths.
    temperature: Option<u8>,
    max_tokens: Option<u32>,
    tools: Vec<ToolMeaning>,
    choice: u8,
    parallel: Option<bool>,
    private_to: Option<String>,
}

/// A tool's name, its description, and the fields of its schema.
type ToolMeaning = (String, Option<String>, Vec<(String, u8)>);

#[derive(Clone, Debug, PartialEq)]
enum Turn {
    System(String),
    User(Vec<Result<String, String>>),
    Assistant(String, Vec<(String, String, String)>),
    Tool(String, String),
}

/// Few letters, so that texts often differ only in where one ends and the next begins.
fn word() -> impl Strategy<Value = String> {
    "[ab:]{0,3}"
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        word().prop_map(Turn::System),
        vec(prop_oneof![word().prop_map(Ok), word().prop_map(Err)], 0..3).prop_map(Turn::User),
        (word(), vec((word(), word(), word()), 0..2)).prop_map(|(text, calls)| Turn::Assistant(text, calls)),
        (word(), word()).prop_map(|(id, content)| Turn::Tool(id, content)),
    ]
}

fn meaning() -> impl Strategy<Value = Meaning> {
    let schema = prop::collection::btree_map(word(), any::<u8>(), 0..3).prop_map(|map| map.into_iter().collect());
    let tools = vec((word(), option::of(word()), schema), 0..2);
    (
        word(),
        word(),
        vec(turn(), 0..3),
        option::of(0..3_u8),
        option::of(1..3_u32),
        tools,
        0..4_u8,
        option::of(any::<bool>()),
        option::of("[ab]?"),
    )
        .prop_map(|(provider, model, messages, temperature, max_tokens, tools, choice, parallel, private_to)| {
            Meaning { provider, model, messages, temperature, max_tokens, tools, choice, parallel, private_to }
        })
}

impl Meaning {
    /// The request, with what does not count as `other` has it.
    fn request(&self, other: bool) -> GenerateRequest {
        let messages = self.messages.iter().map(|turn| match turn.clone() {
            Turn::System(text) => Message::System(text.into()),
            Turn::User(parts) => Message::User(
                parts
                    .into_iter()
                    .map(|part| part.map_or_else(|url| Part::Image { url, detail: None }, Part::Text))
                    .collect(),
            ),
            Turn::Assistant(text, calls) => Message::Assistant {
                text,
                tool_calls: calls
                    .into_iter()
                    .map(|(id, name, arguments)| ToolCall { id, name, arguments, signature: None })
                    .collect(),
            },
            Turn::Tool(call_id, content) => Message::Tool { call_id, content },
        });
        let definitions = self.tools.iter().map(|(name, description, schema)| {
            let fields = schema.iter().map(|(key, value)| (key.clone(), json!(value)));
            let parameters = Value::Object(fields.collect::<Map<_, _>>());
            Tool { name: name.clone(), description: description.clone(), parameters, strict: None }
        });
        GenerateRequest {
            target: Target { provider: self.provider.as_str().into(), model: self.model.as_str().into() },
            messages: messages.collect(),
            sampling: Sampling {
                temperature: self
                    .temperature
                    .map(|tenths| if other && tenths == 0 { -0.0 } else { f64::from(tenths) / 10.0 }),
                max_tokens: self.max_tokens,
                ..Sampling::default()
            },
            format: Format::Text,
            tools: Tools {
                definitions: definitions.collect(),
                choice: match self.choice {
                    0 => ToolChoice::Auto,
                    1 => ToolChoice::None,
                    2 => ToolChoice::Required,
                    _ => ToolChoice::Named("a".to_owned()),
                },
                parallel: self.parallel,
            },
            delivery: if other { Delivery::Stream } else { Delivery::Whole },
            wanted: Sampling::default(),
            failover: if other { Failover::AnyModel } else { Failover::Nobody },
            conditions: Conditions::default(),
            policy: Policy { no_cache: other, ..Policy::default() },
            private_to: self.private_to.as_deref().map(Into::into),
            lookup_time: std::time::Duration::ZERO,
            purpose: Purpose::default(),
            end_user: other.then(|| 'x'.to_string().into()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn the_same_meaning_has_the_same_fingerprint(meaning in meaning()) {
        prop_assert_eq!(Fingerprint::of(&meaning.request(false)), Fingerprint::of(&meaning.request(true)));
    }

    #[test]
    fn another_meaning_has_another(a in meaning(), b in meaning()) {
        prop_assume!(a != b);
        prop_assert_ne!(Fingerprint::of(&a.request(false)), Fingerprint::of(&b.request(false)));
    }

    #[test]
    fn a_change_of_any_one_field_is_noticed(a in meaning(), b in meaning(), field in 0..9) {
        let mut changed = a.clone();
        match field {
            0 => changed.provider = b.provider,
            1 => changed.model = b.model,
            2 => changed.messages = b.messages,
            3 => changed.temperature = b.temperature,
            4 => changed.max_tokens = b.max_tokens,
            5 => changed.tools = b.tools,
            6 => changed.choice = b.choice,
            7 => changed.parallel = b.parallel,
            _ => changed.private_to = b.private_to,
        }
        let same = Fingerprint::of(&a.request(false)) == Fingerprint::of(&changed.request(false));
        prop_assert_eq!(same, a == changed);
    }
}

#[test]
fn it_is_written_as_64_hex_digits() {
    let meaning = Meaning {
        provider: "openai".into(),
        model: "gpt-4o".into(),
        messages: vec![Turn::User(vec![Ok("x".into())])],
        temperature: None,
        max_tokens: None,
        tools: Vec::new(),
        choice: 0,
        parallel: None,
        private_to: None,
    };
    let hex = Fingerprint::of(&meaning.request(false)).to_hex();
    assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)), "{hex}");
}
