//! What has come of a comparison, for people and for scripts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Difference, Rule};

/// A request and what came of it.
pub struct Compared {
    /// What the request is called.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether both gave an answer. `None`: it was no generation.
    pub answered: Option<bool>,
}

/// What came of a request.
pub enum Outcome {
    /// Both answered, and this is not the same.
    Answered(Vec<Difference>),
    /// One of both did not answer: which, and why.
    Unreached(String),
}

impl Outcome {
    /// Its word in tables.
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Answered(found) if found.iter().all(Difference::is_of_every_reply) => "same",
            Outcome::Answered(found) if found.iter().all(|difference| difference.rule.is_some()) => "intended",
            Outcome::Answered(_) => "difference",
            Outcome::Unreached(_) => "unreached",
        }
    }
}

/// All requests, in their order.
pub struct Report {
    /// What came of each.
    pub compared: Vec<Compared>,
}

impl Report {
    /// How many came to this word.
    pub fn count(&self, word: &str) -> usize {
        self.compared.iter().filter(|compared| compared.outcome.as_str() == word).count()
    }

    /// Whether it says something of generations, if there were any: that both refuse them alike is no proof.
    pub fn is_proof(&self) -> bool {
        let mut generations = self.compared.iter().filter_map(|compared| compared.answered).peekable();
        generations.peek().is_none() || generations.any(|answered| answered)
    }

    /// A line for each request, below it what is no intended difference, then the reasons of those that are, and a closing sentence.
    pub fn table(&self) -> String {
        let names: Vec<_> = self.compared.iter().map(|compared| printable(&compared.name)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default().max(7);
        let mut lines = vec![format!("{:width$}  {:10}  {}", "request", "outcome", "by which rules")];
        let mut used: BTreeMap<&str, &Rule> = BTreeMap::new();
        for (name, Compared { outcome, .. }) in names.iter().zip(&self.compared) {
            let said = match outcome {
                Outcome::Answered(found) => {
                    let mut names: Vec<&str> = Vec::new();
                    for rule in found.iter().filter_map(|difference| difference.rule) {
                        used.insert(rule.name, rule);
                        if !rule.is_of_every_reply() && !names.contains(&rule.name) {
                            names.push(rule.name);
                        }
                    }
                    names.join(", ")
                }
                Outcome::Unreached(why) => why.clone(),
            };
            lines.push(format!("{name:width$}  {:10}  {said}", outcome.as_str()).trim_end().to_owned());
            if let Outcome::Answered(found) = outcome {
                let unexplained = found.iter().filter(|difference| difference.rule.is_none());
                lines.extend(
                    unexplained.map(|Difference { place, what, .. }| format!("    {}: {what}", printable(place))),
                );
            }
        }
        if !used.is_empty() {
            lines.push(String::new());
            let everywhere = |rule: &Rule| if rule.is_of_every_reply() { "every reply, " } else { "" };
            let explained =
                |rule: &&Rule| format!("{} ({}{}): {}", rule.name, everywhere(rule), rule.number, rule.reason);
            lines.extend(used.values().map(explained));
        }
        lines.push(String::new());
        lines.push(self.closing());
        lines.join("\n")
    }

    fn closing(&self) -> String {
        let [same, intended, difference, unreached] =
            ["same", "intended", "difference", "unreached"].map(|word| self.count(word));
        let all = self.compared.len();
        let requests = if all == 1 { "request" } else { "requests" };
        let unproved =
            if self.is_proof() { "" } else { "No generation was answered by both, so that this proves nothing.\n" };
        format!(
            "{unproved}{all} {requests}: {same} same, {intended} intended, {difference} with a difference, {unreached} unreached."
        )
    }

    /// The same as one JSON object.
    pub fn to_json(&self) -> Value {
        let difference = |Difference { place, what, rule }: &Difference| {
            json!({
                "place": place,
                "what": what,
                "rule": rule.map(|rule| rule.name),
                "number": rule.map(|rule| rule.number),
                "reason": rule.map(|rule| rule.reason),
            })
        };
        let compared = |Compared { name, outcome, .. }: &Compared| match outcome {
            Outcome::Answered(found) => {
                let found: Vec<_> = found.iter().map(difference).collect();
                json!({"name": name, "outcome": outcome.as_str(), "differences": found})
            }
            Outcome::Unreached(why) => json!({"name": name, "outcome": outcome.as_str(), "why": why}),
        };
        let words = ["same", "intended", "difference", "unreached"];
        let counts: serde_json::Map<_, _> =
            words.map(|word| (word.to_owned(), self.count(word).into())).into_iter().collect();
        json!({"counts": counts, "proof": self.is_proof(), "requests": self.compared.iter().map(compared).collect::<Vec<_>>()})
    }
}

/// A name, of a request or a field, in which nothing steers a terminal.
fn printable(name: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    name.chars().map(shown).collect()
}
