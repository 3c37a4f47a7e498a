//! Chooses a model when the client leaves it open.

use serde_json::Value;

use crate::generate::{DEMO, ProviderId, Target, Usage};

use super::{Catalogue, Model, Price, Resolved, Routed, Status};

/// How a model is chosen when none is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoutingMode {
    /// The default model of the first configured provider, or of the one that the client names.
    #[default]
    Manual,
    /// By what the question needs and how urgent it is.
    Heuristic,
    /// The cheapest that fits.
    CostAware,
    /// The strongest that fits.
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
            Self::Heuristic => ("A model by the length, needs and priority of the request.", "capability-matching"),
            Self::CostAware => ("The cheapest model that fits the request.", "cost-optimization"),
            Self::Orchestrated => ("The strongest model that fits the request.", "stage-specialization"),
            Self::SingleModel => ("The default model of the active provider.", "single-provider"),
        }
    }
}

/// How much a question matters to who asks it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Cheap comes first.
    Low,
    /// Between the two.
    #[default]
    Medium,
    /// Good comes first.
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
    /// For [`RoutingMode::Heuristic`].
    pub priority: Priority,
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
        let callable = |model: &&Model| match provider {
            Some(provider) => model.provider == *provider,
            None => model.provider.as_str() != DEMO && self.is_configured(model.provider.as_str()),
        };
        let mut fitting: Vec<(&Model, f64)> = self
            .models
            .iter()
            .filter(callable)
            .filter(|model| model.status == Status::Active && !self.is_retired(model) && route.fits(model))
            .map(|model| (model, route.estimated_cost(self.price_of(model))))
            .filter(|(_, cost)| route.max_cost.is_none_or(|max| *cost <= max))
            .collect();
        // Stable: of equals the catalogue's first wins.
        fitting.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        let (best, reason) = match (route.mode, route.priority) {
            (RoutingMode::Orchestrated, _) | (_, Priority::High) => (fitting.len().checked_sub(1)?, "the strongest"),
            (RoutingMode::CostAware, _) | (_, Priority::Low) => (0, "the cheapest"),
            (RoutingMode::Heuristic | RoutingMode::Manual | RoutingMode::SingleModel, Priority::Medium) => {
                (fitting.len() / 2, "in the middle")
            }
        };
        let count = fitting.len();
        let (model, estimated_cost) = fitting.get(best).copied()?;
        let nearby = fitting.iter().enumerate().filter(|(at, _)| *at != best);
        let mut nearby: Vec<(usize, Target)> =
            nearby.map(|(at, (model, _))| (at.abs_diff(best), model.target())).collect();
        nearby.sort_by_key(|(distance, _)| *distance);
        let alternatives = nearby.into_iter().take(3).map(|(_, target)| target).collect();
        let reason = format!("Of {count} models that fit the request, {} is {reason} by price.", model.display_name);
        Some(Resolved { routed: Some(Routed { reason, estimated_cost, alternatives }), ..Resolved::plain(model) })
    }
}

impl Route<'_> {
    fn fits(&self, model: &Model) -> bool {
        let can = |capability: &String| match capability.as_str() {
            "tools" | "function-calling" => model.capabilities.tools,
            "vision" => model.capabilities.vision,
            "reasoning" => model.capabilities.reasoning,
            "json" => model.capabilities.json,
            _ => true,
        };
        let fits_in = model.context_window.is_none_or(|window| self.question_tokens + EXPECTED_ANSWER_TOKENS <= window);
        fits_in && self.capabilities.iter().all(can)
    }

    fn estimated_cost(&self, price: Price) -> f64 {
        let usage =
            Usage { input_tokens: self.question_tokens, output_tokens: EXPECTED_ANSWER_TOKENS, ..Usage::default() };
        price.cost(&usage).dollars()
    }
}

impl Model {
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
