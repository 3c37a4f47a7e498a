//! Whether what the provider has answered is what the gateway has booked, and nothing was asked for twice.

use std::{collections::HashMap, path::Path, time::Duration};

use llm_gateway::generate::MicroDollars;
use serde_json::Value;

use super::{
    Soak,
    chaos::Kill,
    phases::Phase,
    provider::{Call, End},
};

/// What an instance that is killed may take with it: five seconds of bookings (`docs/money.md`), and the time that a posting and the
/// end of a call may be on their way.
const LOST_WITHIN: Duration = Duration::from_secs(7);
/// The kinds of what was answered.
const ANSWERED: [&str; 3] = ["client", "refresh", "abandoned"];
const ALL: &str = "llm:{ledger}:all";

/// Answers, what they cost, and their tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) answers: u64,
    pub(super) micro_dollars: u64,
    pub(super) input: u64,
    pub(super) output: u64,
}

/// What tokens cost, by model, in millionths of a micro-dollar.
pub(super) struct Prices(HashMap<String, (u64, u64)>);

impl Prices {
    /// Those of the catalogue that is built in.
    pub(super) fn of_the_catalogue() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalogue/models.json");
        let catalogue: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let rate = |dollars: &Value| MicroDollars::of(dollars.as_f64().unwrap_or_default()).0;
        let price = |model: &Value| {
            let rates = (rate(&model["input_price"]), rate(&model["output_price"]));
            Some((model["id"].as_str()?.to_owned(), rates))
        };
        Self(catalogue["models"].as_array().unwrap().iter().filter_map(price).collect())
    }

    /// Rounded to the nearest, each answer once (`docs/money.md`).
    fn micro_dollars(&self, call: &Call) -> u64 {
        // Vectors stand in another list, and so few tokens of them round to nothing.
        let (input, output) = self.0.get(&call.model).copied().unwrap_or_default();
        (call.tokens.0 * input + call.tokens.1 * output + 500_000) / 1_000_000
    }
}

/// What both sides say of one pair.
#[derive(Debug)]
pub(super) struct Account {
    /// What the provider has answered to the last byte.
    pub(super) provider: Amounts,
    /// What is booked for answers, but for the costs and with the number of those that are a guess: of a call that was cancelled, nobody
    /// knows what it cost.
    pub(super) booked: Amounts,
    /// Calls whose end the gateway did not wait for: so many may be booked by a guess.
    pub(super) cancelled: u64,
    /// Of what the provider has answered, what an instance had asked for that was killed within seconds from then.
    pub(super) at_risk: Amounts,
    /// What is booked, by kind.
    pub(super) requests: HashMap<String, u64>,
}

impl Account {
    /// Of `calls`, and of the sheet of all that was ever booked.
    pub(super) fn of(prices: &Prices, calls: &[Call], kills: &[&Kill], sheet: &HashMap<String, u64>) -> Self {
        let is_cancelled = |call: &&Call| call.end == End::Left && kills.iter().all(|kill| kill.key != call.key);
        let is_at_risk = |call: &&Call| {
            let kill = kills.iter().find(|kill| kill.key == call.key);
            kill.is_some_and(|kill| call.ended.is_some_and(|ended| ended + LOST_WITHIN > kill.at))
        };
        let whole = || calls.iter().filter(|call| call.end == End::Whole);
        let mut requests = HashMap::new();
        let (mut booked, mut guessed) = (Amounts::default(), 0);
        for (field, amount) in sheet {
            let mut parts = field.split(':');
            let (Some(kind), Some(name)) = (parts.next(), parts.next()) else { continue };
            if name == "requests" {
                *requests.entry(kind.to_owned()).or_default() += amount;
            }
            if ANSWERED.contains(&kind) {
                match name {
                    "requests" => booked.answers += amount,
                    "cost" => booked.micro_dollars += amount,
                    "estimated" => guessed += amount,
                    "input" => booked.input += amount,
                    "output" => booked.output += amount,
                    _ => {}
                }
            }
        }
        booked.micro_dollars -= guessed;
        let cancelled = calls.iter().filter(is_cancelled).count() as u64;
        let (provider, at_risk) = (total(prices, whole()), total(prices, whole().filter(is_at_risk)));
        Self { provider, booked, cancelled, at_risk, requests }
    }

    /// Everything is booked, but for what a killed instance may have taken with it; and nothing twice.
    pub(super) fn judge(&self, store: &str) -> Option<String> {
        let Self { provider, booked, cancelled, at_risk, requests: _ } = self;
        let costs = provider.micro_dollars - at_risk.micro_dollars..=provider.micro_dollars;
        let answers = provider.answers - at_risk.answers..=provider.answers + cancelled;
        let is_right = costs.contains(&booked.micro_dollars) && answers.contains(&booked.answers);
        (!is_right).then(|| format!("{store}: what was answered is not what is booked: {self:?}"))
    }
}

fn total<'a>(prices: &Prices, calls: impl Iterator<Item = &'a Call>) -> Amounts {
    calls.fold(Amounts::default(), |sum, call| Amounts {
        answers: sum.answers + 1,
        micro_dollars: sum.micro_dollars + prices.micro_dollars(call),
        input: sum.input + call.tokens.0,
        output: sum.output + call.tokens.1,
    })
}

/// What is booked for good, by fields.
pub(super) async fn sheet(soak: &Soak, pair: usize) -> HashMap<String, u64> {
    let mut connection = soak.pairs[pair].redis.connection().await;
    redis::cmd("HGETALL").arg(ALL).query_async(&mut connection).await.unwrap()
}

/// How many questions were asked first while nothing was wrong, and which of them the provider was asked twice. What was asked in a quiet
/// time in which the machine itself let the store fail an instance does not count.
pub(super) fn asked_twice(soak: &Soak, pair: usize, calls: &[Call]) -> (usize, Vec<String>) {
    let mut times: HashMap<&str, Vec<&Call>> = HashMap::new();
    for call in calls {
        times.entry(&call.question).or_default().push(call);
    }
    let healthy = soak.healthy.lock().unwrap();
    let (mut asked, mut twice) = (0, Vec::new());
    for (question, first) in &soak.tally.lock().unwrap().asked[pair] {
        let Some(calls) = times.get(question.as_str()) else { continue };
        let last = calls.iter().filter_map(|call| call.ended).max().unwrap_or(*first);
        let is_healthy = healthy.iter().any(|(at, begun, ended)| *at == pair && begun <= first && last <= *ended);
        let is_quiet = soak.timeline.between(*first, last).iter().all(|phase| *phase == Phase::Quiet);
        if is_healthy && is_quiet {
            asked += 1;
            if calls.len() > 1 {
                twice.push(format!(
                    "{}: the provider was asked «{question}» {} times: {calls:?}",
                    soak.pairs[pair].name,
                    calls.len()
                ));
            }
        }
    }
    (asked, twice)
}
