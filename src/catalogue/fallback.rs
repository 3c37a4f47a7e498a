//! Who may answer in place of a model that fails.

use crate::generate::{Conditions, DEMO, Failover, Format, GenerateRequest, Message, MicroDollars, Part, Target};

use super::{Catalogue, Model};

/// The longest answer of a model of which the catalogue does not say how long its answers are, in tokens.
const LONGEST_ANSWER: u32 = 32_768;

impl Catalogue {
    /// Who may answer `request` in place of its target, best first: those that it names itself, or one more model of the same
    /// provider, then one of each other provider that can be called, in the order of lists. All of them read more at once than the
    /// target does, where `must_read_more`. Unless it names them, nobody stands in for the demo provider, nor it for others, and never
    /// does one of `asked`, who have failed.
    pub fn fallbacks(&self, request: &GenerateRequest, must_read_more: bool, asked: &[Target]) -> Vec<Target> {
        let GenerateRequest { target, failover, .. } = request;
        let present = self.model(&target.provider, &target.model);
        let can = |model: &Model| {
            let is_large = !must_read_more || present.is_some_and(|present| model.reads_more(present));
            is_large && fits(model, request) && self.meets(model, request)
        };
        match failover {
            Failover::Nobody => return Vec::new(),
            Failover::Among(targets) => {
                let is_able = |other: &&Target| match self.model(&other.provider, &other.model) {
                    Some(model) => can(model),
                    // Of which only the name is known.
                    None => !must_read_more,
                };
                return targets.iter().filter(|other| !asked.contains(other)).filter(is_able).cloned().collect();
            }
            Failover::AnyModel if target.provider.as_str() == DEMO => return Vec::new(),
            Failover::AnyModel => {}
        }
        let others = self.configured.iter().map(|configured| &configured.id).filter(|id| **id != target.provider);
        let callable = others.filter(|id| id.as_str() != DEMO);
        let providers = std::iter::once(&target.provider).chain(callable);
        let is_other = |other: &Target| other != target && !asked.contains(other);
        let is_able = |model: &Model| is_other(&model.target()) && can(model);
        providers.filter_map(|provider| self.stand_in(provider.as_str(), present, is_able)).map(Model::target).collect()
    }

    /// The most that an answer of the target to `request` can cost; nothing where no price is known.
    pub fn worst_cost(&self, request: &GenerateRequest) -> MicroDollars {
        let model = self.model(&request.target.provider, &request.target.model);
        model.map(|model| self.worst_of(model, request)).unwrap_or_default()
    }

    fn worst_of(&self, model: &Model, request: &GenerateRequest) -> MicroDollars {
        let longest = model.params.longest_answer(request.wanted.max_tokens).unwrap_or(LONGEST_ANSWER);
        self.price_of(model).worst(request.most_tokens(), u64::from(longest))
    }

    /// Whether `model` meets the client's conditions. Of one of which only the name is known, nobody can say so.
    fn meets(&self, model: &Model, request: &GenerateRequest) -> bool {
        let Conditions { capabilities, max_cost, reserved } = &request.conditions;
        let cost = || model.estimated_cost(self.price_of(model), request.estimated_tokens());
        let worst = || self.worst_of(model, request);
        let is_affordable = max_cost.is_none_or(|max| cost() <= max) && reserved.is_none_or(|most| worst() <= most);
        model.can(capabilities) && is_affordable
    }

    /// The able model of `provider` that is most like `asked` in price: its successor if it has one.
    fn stand_in<'a>(
        &'a self,
        provider: &'a str,
        asked: Option<&Model>,
        is_able: impl Fn(&Model) -> bool,
    ) -> Option<&'a Model> {
        let mut fitting = self.on_offer(provider).filter(|model| is_able(model));
        let Some(asked) = asked else { return fitting.next() };
        let (_, price) = asked.per_1k;
        let distance = |model: &&Model| {
            let is_successor = asked.replacement.as_ref() == Some(&model.id) && asked.provider == model.provider;
            if is_successor { -1.0 } else { (model.per_1k.1 - price).abs() }
        };
        fitting.min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }
}

impl Model {
    /// Whether it is known to read more at once than `other`.
    fn reads_more(&self, other: &Self) -> bool {
        self.context_window.zip(other.context_window).is_some_and(|(window, other)| window > other)
    }
}

/// Whether `model` can do what `request` needs.
fn fits(model: &Model, request: &GenerateRequest) -> bool {
    let is_image = |part: &Part| matches!(part, Part::Image { .. });
    let has_images = request.messages.iter().any(|message| match message {
        Message::User(parts) => parts.iter().any(is_image),
        Message::System(_) | Message::Assistant { .. } | Message::Tool { .. } => false,
    });
    let can = model.capabilities;
    let is_able = (can.tools || request.tools.definitions.is_empty())
        && (can.vision || !has_images)
        && (can.json || request.format == Format::Text)
        && model.context_window.is_none_or(|window| request.estimated_tokens() < window);
    // Of a model of which only the name is known, nobody can say what it cannot do.
    model.is_unknown() || is_able
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        catalogue::Configured,
        generate::{Delivery, Policy, Purpose, Sampling, Tools},
    };

    fn request(model: &str) -> GenerateRequest {
        GenerateRequest {
            target: Target { provider: "openai".into(), model: model.into() },
            messages: vec![Message::User(vec![Part::Text("x".repeat(984))])],
            sampling: Sampling::default(),
            wanted: Sampling { max_tokens: Some(1_000), ..Sampling::default() },
            format: Format::Text,
            tools: Tools::default(),
            delivery: Delivery::Whole,
            failover: Failover::AnyModel,
            conditions: Conditions::default(),
            policy: Policy::default(),
            private_to: None,
            lookup_time: Duration::ZERO,
            purpose: Purpose::default(),
            end_user: None,
        }
    }

    #[test]
    fn who_is_named_and_not_known_stands_in_unless_it_has_to_be_known_for_more() {
        let catalogue = Catalogue::built_in(Vec::new());
        let unknown = Target { provider: "local".into(), model: "rocket".into() };
        let request = GenerateRequest { failover: Failover::Among([unknown.clone()].into()), ..request("gpt-4o") };
        assert_eq!(catalogue.fallbacks(&request, false, &[]), [unknown]);
        assert_eq!(catalogue.fallbacks(&request, true, &[]), []);
    }

    #[test]
    fn nobody_stands_in_who_might_cost_more_than_what_is_reserved() {
        let configured = ["openai", "anthropic", "google", "xai"].map(|id| Configured {
            id: id.into(),
            base_url: String::new(),
            models: Vec::new(),
            lists_itself: false,
        });
        let catalogue = Catalogue::built_in(configured.into());
        let mut request = request("gpt-4o");
        // 984 bytes and what stands around them are at most 1,000 tokens; $2.50 and $10 for a million.
        assert_eq!(catalogue.worst_cost(&request), MicroDollars(2_500 + 10_000));
        let anyone = catalogue.fallbacks(&request, false, &[]);
        let worst = |target: &Target| {
            let request = GenerateRequest { target: target.clone(), ..self::request("gpt-4o") };
            catalogue.worst_cost(&request)
        };
        let dearest = anyone.iter().map(&worst).max().unwrap();
        assert_eq!(anyone.len(), 4);
        assert!(dearest > MicroDollars(10_000), "{dearest:?}");

        request.conditions.reserved = Some(MicroDollars(10_000));
        let cheaper = catalogue.fallbacks(&request, false, &[]);
        assert_eq!(cheaper.len(), 4, "another of their models");
        assert!(cheaper.iter().all(|target| worst(target) <= MicroDollars(10_000)), "{cheaper:?}");
        request.conditions.reserved = Some(MicroDollars(0));
        assert_eq!(catalogue.fallbacks(&request, false, &[]), []);
    }
}
