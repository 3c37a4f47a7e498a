//! Whether what the provider has answered is what the gateway has booked, and nothing was asked for twice.

use std::{collections::HashMap, time::Duration};

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

/// Answers and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) answers: u64,
    pub(super) input: u64,
    pub(super) output: u64,
}

/// What both sides say of one pair.
#[derive(Debug)]
pub(super) struct Account {
    /// What the provider has answered to the last byte.
    pub(super) provider: Amounts,
    /// What is booked for answers.
    pub(super) booked: Amounts,
    /// Of what the provider has answered, what an instance had asked for that was killed within seconds from then.
    pub(super) at_risk: Amounts,
    /// What is booked, by kind.
    pub(super) requests: HashMap<String, u64>,
}

impl Account {
    /// Of `calls`, and of the sheet of all that was ever booked.
    pub(super) fn of(calls: &[Call], kills: &[&Kill], sheet: &HashMap<String, u64>) -> Self {
        let is_at_risk = |call: &&Call| {
            let kill = kills.iter().find(|kill| kill.key == call.key);
            kill.is_some_and(|kill| call.ended.is_some_and(|ended| ended + LOST_WITHIN > kill.at))
        };
        let whole = || calls.iter().filter(|call| call.end == End::Whole);
        let mut requests = HashMap::new();
        let mut booked = Amounts::default();
        for (field, amount) in sheet {
            let mut parts = field.split(':');
            let (Some(kind), Some(name)) = (parts.next(), parts.next()) else { continue };
            if name == "requests" {
                *requests.entry(kind.to_owned()).or_default() += amount;
            }
            if ANSWERED.contains(&kind) {
                match name {
                    "requests" => booked.answers += amount,
                    "input" => booked.input += amount,
                    "output" => booked.output += amount,
                    _ => {}
                }
            }
        }
        Self { provider: total(whole()), booked, at_risk: total(whole().filter(is_at_risk)), requests }
    }

    /// Everything is booked, but for what a killed instance may have taken with it; and nothing twice.
    pub(super) fn judge(&self, store: &str) -> Option<String> {
        let Self { provider, booked, at_risk, .. } = self;
        let is_within = |provider: u64, booked: u64, at_risk: u64| booked <= provider && provider - booked <= at_risk;
        let is_right = is_within(provider.answers, booked.answers, at_risk.answers)
            && is_within(provider.input, booked.input, at_risk.input)
            && is_within(provider.output, booked.output, at_risk.output);
        (!is_right).then(|| format!("{store}: what was answered is not what is booked: {self:?}"))
    }
}

fn total<'a>(calls: impl Iterator<Item = &'a Call>) -> Amounts {
    calls.fold(Amounts::default(), |sum, call| Amounts {
        answers: sum.answers + 1,
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
                twice.push(format!("{}: the provider was asked «{question}» {} times: {calls:?}", soak.pairs[pair].name, calls.len()));
            }
        }
    }
    (asked, twice)
}
