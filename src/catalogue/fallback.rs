//! Who may answer in place of a model that fails.

use crate::generate::{DEMO, Format, GenerateRequest, Message, Part, Target};

use super::{Catalogue, Model};

impl Catalogue {
    /// Who may answer `request` in place of its target, best first: one more model of the same provider, then one of each
    /// other provider that can be called, in the order of lists. Nobody stands in for the demo provider, nor it for others.
    pub fn fallbacks(&self, request: &GenerateRequest) -> Vec<Target> {
        let GenerateRequest { target, .. } = request;
        if target.provider.as_str() == DEMO {
            return Vec::new();
        }
        let asked = self.model(&target.provider, &target.model);
        let others = self.configured.iter().map(|configured| &configured.id).filter(|id| **id != target.provider);
        let callable = others.filter(|id| id.as_str() != DEMO);
        let providers = std::iter::once(&target.provider).chain(callable);
        providers.filter_map(|provider| self.stand_in(provider.as_str(), asked, request)).map(Model::target).collect()
    }

    /// Whether `target` reads more at once than `other`.
    pub fn reads_more(&self, target: &Target, other: &Target) -> bool {
        let window = |target: &Target| self.model(&target.provider, &target.model)?.context_window;
        window(target).zip(window(other)).is_some_and(|(window, other)| window > other)
    }

    /// The model of `provider` that is most like `asked` in price: its successor if it has one.
    fn stand_in<'a>(
        &'a self,
        provider: &'a str,
        asked: Option<&Model>,
        request: &GenerateRequest,
    ) -> Option<&'a Model> {
        let on_offer = self.on_offer(provider);
        let mut fitting = on_offer.filter(|model| model.target() != request.target && fits(model, request));
        let Some(asked) = asked else { return fitting.next() };
        let (_, price) = asked.per_1k;
        let distance = |model: &&Model| {
            let is_successor = asked.replacement.as_ref() == Some(&model.id) && asked.provider == model.provider;
            if is_successor { -1.0 } else { (model.per_1k.1 - price).abs() }
        };
        fitting.min_by(|a, b| distance(a).total_cmp(&distance(b)))
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
    // Of a model of which only the name is known, nobody can say what it cannot do.
    let is_unknown = model.context_window.is_none();
    let is_able = (can.tools || request.tools.definitions.is_empty())
        && (can.vision || !has_images)
        && (can.json || request.format == Format::Text)
        && model.context_window.is_none_or(|window| request.estimated_tokens() < window);
    is_unknown || is_able
}
