//! Chooses a model when the client leaves it open.

use serde_json::Value;
use utoipa::ToSchema;

use crate::generate::{DEMO, ProviderId, Target, Usage};

use super::{Capabilities, Catalogue, Model, Price, Resolved, Routed, Status};

/// How a model is chosen when none is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum RoutingMode {
    /// The default model of the first configured provider, or of the one that the client names.
    #[default]
    Manual,
    /// The one that can do what is asked for and least besides.
    Heuristic,
    /// The cheapest that fits.
    CostAware,
    /// The best for the kind of prompt.
    Orchestrated,
    /// The default model of the provider that the client names.
    SingleModel,
}

impl RoutingMode {
    /// All modes, in the order of the original's list.
    pub const ALL: [Self; 5] = [Self::Manual, Self::Heuristic, Self::CostAware, Self::Orchestrated, Self::SingleModel];

    /// The mode's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Heuristic => "heuristic",
            Self::CostAware => "cost-aware",
            Self::Orchestrated => "orchestrated",
            Self::SingleModel => "single-model",
        }
    }

    /// What lists say about it: a description, and the original's word for how it selects.
    pub fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::Manual => ("The model that the request names, or the provider's default.", "user-choice"),
            Self::Heuristic => {
                ("The model that can do what the request needs, and least besides.", "capability-matching")
            }
            Self::CostAware => ("The cheapest model that fits the request and its `maxCost`.", "cost-optimization"),
            Self::Orchestrated => {
                ("The best model for the kind of prompt: code, reasoning or plain.", "stage-specialization")
            }
            Self::SingleModel => ("The default model of the active provider.", "single-provider"),
        }
    }
}

/// How urgent a question is: it decides among models that fit equally well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Priority {
    /// The cheapest.
    Low,
    /// The one in the middle by price.
    #[default]
    Medium,
    /// The fastest.
    High,
}

/// What a router goes by.
#[derive(Clone, Copy, Default)]
pub struct Route<'a> {
    /// How it chooses.
    pub mode: RoutingMode,
    /// A rough count of the question's tokens.
    pub question_tokens: u64,
    /// What the model must be able to do: `tools`, `vision`, `reasoning`, `json`; other words are met by every model.
    pub capabilities: &'a [String],
    /// What decides among equals.
    pub priority: Priority,
    /// What the person says.
    pub prompt: &'a str,
    /// The most that the answer may cost, in dollars, by estimate. `None`: anything.
    pub max_cost: Option<f64>,
}

/// What a router expects an answer to take.
const EXPECTED_ANSWER_TOKENS: u64 = 1_000;

impl Catalogue {
    /// The best model for `route` among those in service at `provider`, or at any that is configured.
    ///
    /// `None` when none fits.
    pub(super) fn route(&self, provider: Option<&ProviderId>, route: Route<'_>) -> Option<Resolved<'_>> {
        let providers = self.configured.iter().map(|configured| &configured.id).filter(|id| match provider {
            Some(provider) => provider == *id,
            None => id.as_str() != DEMO,
        });
        let mut fitting: Vec<(&Model, f64)> = providers
            .flat_map(|id| self.on_offer(id.as_str()))
            .filter(|model| model.status == Status::Active && route.fits(model))
            .map(|model| (model, model.estimated_cost(self.price_of(model), route.question_tokens)))
            .filter(|(_, cost)| route.max_cost.is_none_or(|max| *cost <= max))
            .collect();
        // Stable: of equals the catalogue's first wins.
        fitting.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        let count = fitting.len();
        let (best, reason) = match route.mode {
            RoutingMode::CostAware => (0, "the cheapest".to_owned()),
            RoutingMode::Orchestrated => {
                let kind = PromptKind::of(route.prompt);
                (kind.best(&fitting)?, format!("the best for {}", kind.as_str()))
            }
            RoutingMode::Heuristic | RoutingMode::Manual | RoutingMode::SingleModel => {
                let surplus = |(model, _): &(&Model, f64)| route.surplus(model);
                let least = fitting.iter().map(surplus).min()?;
                let equals: Vec<usize> = (0..count).filter(|&at| fitting.get(at).map(surplus) == Some(least)).collect();
                let (at, how) = route.priority.among(&equals, &fitting)?;
                (at, format!("{how} of those that can do what is needed and least besides"))
            }
        };
        let (model, estimated_cost) = fitting.get(best).copied()?;
        let nearby = fitting.iter().enumerate().filter(|(at, _)| *at != best);
        let mut nearby: Vec<(usize, Target)> =
            nearby.map(|(at, (model, _))| (at.abs_diff(best), model.target())).collect();
        nearby.sort_by_key(|(distance, _)| *distance);
        let alternatives = nearby.into_iter().take(3).map(|(_, target)| target).collect();
        let reason = format!("Of {count} models that fit the request, {} is {reason}.", model.display_name);
        Some(Resolved { routed: Some(Routed { reason, estimated_cost, alternatives }), ..Resolved::plain(model) })
    }
}

impl Priority {
    /// One of `equals`, which are places in `fitting` by rising price, and why.
    fn among(self, equals: &[usize], fitting: &[(&Model, f64)]) -> Option<(usize, &'static str)> {
        match self {
            Priority::Low => Some((*equals.first()?, "the cheapest")),
            Priority::Medium => Some((*equals.get(equals.len() / 2)?, "in the middle by price")),
            // Nobody publishes speeds. Who does not reason is faster, and in every vendor's family the cheaper.
            Priority::High => {
                let is_reasoning =
                    |at: &&usize| fitting.get(**at).is_some_and(|(model, _)| model.capabilities.reasoning);
                Some((*equals.iter().min_by_key(is_reasoning)?, "the fastest"))
            }
        }
    }
}

/// What a prompt is about, by its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PromptKind {
    Code,
    Reasoning,
    Plain,
}

impl PromptKind {
    fn of(prompt: &str) -> Self {
        const CODE: [&str; 22] = [
            "code",
            "function",
            "component",
            "implement",
            "refactor",
            "bug",
            "class",
            "api",
            "typescript",
            "javascript",
            "react",
            "python",
            "rust",
            "sql",
            "html",
            "css",
            "test",
            "tests",
            "endpoint",
            "script",
            "compile",
            "regex",
        ];
        const REASONING: [&str; 14] = [
            "why",
            "prove",
            "proof",
            "analyse",
            "analyze",
            "plan",
            "compare",
            "derive",
            "explain",
            "reason",
            "estimate",
            "architecture",
            "strategy",
            "trade-offs",
        ];
        let has = |words: &[&str]| {
            let mut said = prompt.split(|c: char| !(c.is_alphanumeric() || c == '-'));
            said.any(|word| words.iter().any(|known| known.eq_ignore_ascii_case(word)))
        };
        match () {
            () if prompt.contains("```") || has(&CODE) => PromptKind::Code,
            () if has(&REASONING) => PromptKind::Reasoning,
            () => PromptKind::Plain,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            PromptKind::Code => "code",
            PromptKind::Reasoning => "reasoning",
            PromptKind::Plain => "a plain question",
        }
    }

    /// The place of the best in `fitting`, by rising price: for code and reasoning the strongest, which price stands for; a
    /// plain question needs no more than the middle.
    fn best(self, fitting: &[(&Model, f64)]) -> Option<usize> {
        let last_with = |can: fn(&Model) -> bool| fitting.iter().rposition(|(model, _)| can(model));
        let strongest = fitting.len().checked_sub(1)?;
        match self {
            PromptKind::Code => Some(last_with(|model| model.capabilities.tools).unwrap_or(strongest)),
            PromptKind::Reasoning => Some(last_with(|model| model.capabilities.reasoning).unwrap_or(strongest)),
            PromptKind::Plain => Some(fitting.len() / 2),
        }
    }
}

impl Route<'_> {
    /// How many special capabilities `model` has that are not asked for.
    fn surplus(&self, model: &Model) -> usize {
        // Of a model of which only the name is known, everything may be besides.
        if model.is_unknown() {
            return usize::MAX;
        }
        let Capabilities { tools, vision, reasoning, json } = model.capabilities;
        [tools, vision, reasoning, json].into_iter().filter(|can| *can).count().saturating_sub(self.capabilities.len())
    }

    fn fits(&self, model: &Model) -> bool {
        let fits_in = model.context_window.is_none_or(|window| self.question_tokens + EXPECTED_ANSWER_TOKENS <= window);
        fits_in && model.can(self.capabilities)
    }
}

impl Model {
    /// Whether it can do all that `capabilities` name; words that mean nothing are met by every model.
    pub(super) fn can(&self, capabilities: &[String]) -> bool {
        capabilities.iter().all(|capability| match capability.as_str() {
            "tools" | "function-calling" => self.capabilities.tools,
            "vision" => self.capabilities.vision,
            "reasoning" => self.capabilities.reasoning,
            "json" => self.capabilities.json,
            _ => true,
        })
    }

    /// What a question of so many tokens would cost at `price`, in dollars. Infinite where no price is known.
    pub(super) fn estimated_cost(&self, price: Price, question_tokens: u64) -> f64 {
        if self.is_unknown() && self.provider.as_str() != "ollama" {
            return f64::INFINITY;
        }
        let usage = Usage { input_tokens: question_tokens, output_tokens: EXPECTED_ANSWER_TOKENS, ..Usage::default() };
        price.cost(&usage).dollars()
    }

    /// Whether only its name is known.
    pub fn is_unknown(&self) -> bool {
        self.context_window.is_none()
    }

    /// The model as a target.
    pub fn target(&self) -> Target {
        Target { provider: self.provider.clone(), model: self.id.clone() }
    }
}

impl Routed {
    /// What the header `X-Routing-Decision` says.
    pub fn to_json(&self, target: &Target) -> Value {
        let name = |target: &Target| format!("{}:{}", target.provider, target.model);
        serde_json::json!({
            "selectedModel": target.model,
            "provider": target.provider,
            "reason": self.reason,
            "estimatedCost": self.estimated_cost,
            "fallbackOptions": self.alternatives.iter().map(name).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Configured, Wanted};

    fn chosen(route: Route<'_>) -> (Model, String) {
        let configured = ["openai", "google", "xai"].map(|id| Configured {
            id: id.into(),
            base_url: String::new(),
            models: Vec::new(),
            lists_itself: false,
        });
        let catalogue = Catalogue::built_in(configured.into());
        let wanted = Wanted { model: None, provider: None, routing: route };
        let resolved = catalogue.resolve(&wanted).unwrap_or_else(|_| panic!("one fits"));
        (resolved.model.unwrap().clone(), resolved.routed.unwrap().reason)
    }

    #[test]
    fn each_mode_chooses_by_what_it_says() {
        let route = |mode| Route { mode, question_tokens: 100, ..Route::default() };
        let (cheapest, _) = chosen(route(RoutingMode::CostAware));
        let code = Route { prompt: "Write a React component", ..route(RoutingMode::Orchestrated) };
        let plain = Route { prompt: "Greet my aunt", ..route(RoutingMode::Orchestrated) };
        let ((code, why), (plain, _)) = (chosen(code), chosen(plain));
        assert!(cheapest.per_1k.1 < plain.per_1k.1 && plain.per_1k.1 < code.per_1k.1);
        assert!(why.contains("best for code"), "{why}");

        let capabilities = ["vision".to_owned(), "tools".to_owned()];
        let heuristic = Route { capabilities: &capabilities, ..route(RoutingMode::Heuristic) };
        let (urgent, why) = chosen(Route { priority: Priority::High, ..heuristic });
        assert!(urgent.capabilities.vision && urgent.capabilities.tools && why.contains("the fastest"), "{why}");
        let (low, _) = chosen(Route { priority: Priority::Low, ..heuristic });
        let (medium, _) = chosen(heuristic);
        assert!(low.per_1k.1 <= medium.per_1k.1);
    }

    #[test]
    fn what_is_asked_for_decides_which_models_come_into_question() {
        let route = |mode| Route { mode, question_tokens: 100, ..Route::default() };
        let reasoning = Route { prompt: "Why is the sky blue?", ..route(RoutingMode::Orchestrated) };
        let (model, why) = chosen(reasoning);
        assert!(model.capabilities.reasoning && why.contains("best for reasoning"), "{why}");
        // Words that mean nothing rule nobody out.
        for (word, can) in [
            ("reasoning", (|model| model.capabilities.reasoning) as fn(&Model) -> bool),
            ("json", |model| model.capabilities.json),
            ("telepathy", |_| true),
        ] {
            let capabilities = [word.to_owned()];
            let (model, _) = chosen(Route { capabilities: &capabilities, ..route(RoutingMode::CostAware) });
            assert!(can(&model), "{word}: {}", model.id);
        }
    }

    #[test]
    fn of_whom_only_the_name_is_known_is_chosen_where_there_is_nobody_else() {
        let configured = |id: &str| Configured {
            id: id.into(),
            base_url: String::new(),
            models: if id == "local" { vec!["rocket".into()] } else { Vec::new() },
            lists_itself: false,
        };
        let catalogue = Catalogue::built_in(["local", "xai"].map(configured).into());
        for mode in [RoutingMode::Heuristic, RoutingMode::CostAware] {
            for (provider, max_cost, expected) in
                [(None, None, Some("xai")), (Some("local"), None, Some("local")), (Some("local"), Some(1.0), None)]
            {
                let routing = Route { mode, max_cost, ..Route::default() };
                let found = catalogue.resolve(&Wanted { model: None, provider, routing }).ok();
                let found = found.map(|resolved| resolved.target.provider.to_string());
                assert_eq!(found.as_deref(), expected, "{mode:?} {provider:?} {max_cost:?}");
            }
        }
    }

    #[test]
    fn a_limit_of_cost_is_kept() {
        let route =
            Route { mode: RoutingMode::Orchestrated, prompt: "code", max_cost: Some(0.005), ..Route::default() };
        let (model, _) = chosen(route);
        assert!(model.per_1k.1 <= 0.005, "{}", model.id);
    }
}
