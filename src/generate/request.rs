//! A question, parsed and resolved: what every layer and provider reads.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{Effort, Fingerprint, MicroDollars, Params, Policy, Purpose, ToolCall};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// Who answers: `openai`, `xai`, `demo` or the `<name>` of `COMPATIBLE_<NAME>_BASE_URL`, in lower case.
    ProviderId
}
id! {
    /// A model's name as its vendor spells it.
    ModelId
}

impl ProviderId {
    /// The name as OpenTelemetry has it (`gen_ai.provider.name`), for who is well known there; its own for everyone else.
    pub fn well_known_name(&self) -> &str {
        match self.as_str() {
            "google" => "gcp.gemini",
            "xai" => "x_ai",
            name => name,
        }
    }
}

/// The demo provider's name.
pub const DEMO: &str = "demo";

/// Everything that decides what the answer is, and how it is wanted.
///
/// No `Debug`: prompts reach no log.
pub struct GenerateRequest {
    /// Who is asked.
    pub target: Target,
    /// The conversation, oldest first; never empty.
    pub messages: Vec<Message>,
    /// How the answer is drawn: what the target takes of `wanted`.
    pub sampling: Sampling,
    /// How the client wants it drawn, for who may answer instead.
    pub wanted: Sampling,
    /// What it must look like.
    pub format: Format,
    /// What the model may call.
    pub tools: Tools,
    /// Whether the caller reads along or waits for the whole.
    pub delivery: Delivery,
    /// Who may answer instead.
    pub failover: Failover,
    /// What the client wants of whoever answers instead.
    pub conditions: Conditions,
    /// What the client wants of the cache.
    pub policy: Policy,
    /// Who alone may be given the answer again. `None`: whoever asks the same.
    pub private_to: Option<Arc<str>>,
    /// How long looking for a stored answer may still take.
    pub lookup_time: Duration,
    /// For whom it is.
    pub purpose: Purpose,
    /// The person behind the client, as a hash by which a vendor can tell who misuses it. `None`: the client does not say.
    pub end_user: Option<Arc<str>>,
}

/// Who may answer instead of the target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Failover {
    /// Nobody.
    Nobody,
    /// Any model that can do what the request needs.
    AnyModel,
    /// These, in this order.
    Among(Arc<[Target]>),
}

/// What a client wants of a model that it has not named.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// What it must be able to do: `tools`, `vision`, `reasoning`, `json`; other words are met by every model.
    pub capabilities: Vec<String>,
    /// The most that the answer may cost, in dollars, by estimate. `None`: anything.
    pub max_cost: Option<f64>,
    /// What is reserved for the answer: nobody stands in who might cost more. `None`: nothing need be.
    pub reserved: Option<MicroDollars>,
}

/// A provider and one of its models.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Who answers.
    pub provider: ProviderId,
    /// The model that is asked for.
    pub model: ModelId,
}

/// One turn of a conversation.
pub enum Message {
    /// Instructions that stand above the conversation.
    System(Cow<'static, str>),
    /// What the person says.
    User(Vec<Part>),
    /// What the model said before.
    Assistant {
        /// Its text; may be empty when it only called tools.
        text: String,
        /// The tools that it called.
        tool_calls: Vec<ToolCall>,
    },
    /// What a tool gave back.
    Tool {
        /// The id of the call that this answers.
        call_id: String,
        /// The result.
        content: String,
    },
}

/// A piece of what the person says.
pub enum Part {
    /// Words.
    Text(String),
    /// A picture, by `https:` or `data:` URL.
    Image {
        /// Where the picture is.
        url: String,
        /// How closely the model looks at it. `None` leaves it to the provider.
        detail: Option<Detail>,
    },
}

/// How closely a model looks at a picture, in `OpenAI`'s words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the vendor's words")]
pub enum Detail {
    Auto,
    Low,
    High,
    Original,
}

/// How the answer is drawn. `None` leaves a value to the provider.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// The longest answer in tokens, reasoning included; at least 1.
    pub max_tokens: Option<u32>,
    /// The same seed makes the same answer more likely.
    pub seed: Option<i64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// Texts before which the answer ends.
    pub stop: Vec<String>,
    /// How much the model should think.
    pub effort: Option<Effort>,
}

/// What the answer must look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// Anything.
    #[default]
    Text,
    /// A JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// The schema's name.
        name: String,
        /// What the answer is for. `None`: the schema says it all.
        description: Option<String>,
        /// JSON Schema.
        schema: Value,
        /// Whether the provider must hold to it exactly. `None` leaves it to the provider.
        strict: Option<bool>,
    },
}

/// What the model may call. No definitions: it may call nothing.
#[derive(Default)]
pub struct Tools {
    /// In the caller's order.
    pub definitions: Vec<Tool>,
    /// Whether it must.
    pub choice: ToolChoice,
    /// Whether several calls may come at once. `None` leaves it to the provider.
    pub parallel: Option<bool>,
}

/// A function that the model may call.
pub struct Tool {
    /// Its name, unique among the definitions.
    pub name: String,
    /// What it is good for.
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub parameters: Value,
    /// Whether the model must hold to the schema exactly. `None` leaves it to the provider.
    pub strict: Option<bool>,
}

/// Whether the model must call a tool.
#[derive(Default)]
pub enum ToolChoice {
    /// It decides.
    #[default]
    Auto,
    /// It must not.
    None,
    /// It must call one.
    Required,
    /// It must call this one.
    Named(String),
}

/// How the caller takes the answer. The answer is the same either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In one piece, when all of it is there.
    Whole,
    /// As it comes.
    Stream,
}

/// A request together with the name under which its answer is known.
pub struct Question {
    /// What the answer depends on, as a hash.
    pub fingerprint: Fingerprint,
    /// The cache's key for it.
    pub key: Arc<str>,
    /// How old the answer may be and still be fresh.
    pub lifetime: Duration,
    /// When the store must have said what it has to say before a call is made.
    pub by: Instant,
    /// The request itself.
    pub request: GenerateRequest,
}

impl GenerateRequest {
    /// Makes it one to `target`, a model that takes `params`, and says which of the client's settings that does not take.
    pub fn turn_to(&mut self, target: Target, params: &Params) -> Vec<&'static str> {
        let (sampling, ignored) = params.fit(self.wanted.clone(), !self.tools.definitions.is_empty());
        (self.sampling, self.target) = (sampling, target);
        ignored
    }
}
