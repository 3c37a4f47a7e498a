//! What was found, for people and for scripts.

use std::time::Duration;

use serde_json::{Value, json};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// How it is.
    pub state: State,
    /// How long it took to find out. `None`: nobody was asked.
    pub took: Option<Duration>,
    /// What is the matter and what can be done about it, in one line. Holds no secret.
    pub said: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// To be thought about, or not to be told for now.
    Warning,
    /// Broken until somebody mends it.
    Failed,
}

impl State {
    /// Its word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Failed => "failed",
        }
    }
}

impl Finding {
    pub(super) fn new(what: impl Into<String>, state: State, said: impl Into<String>) -> Self {
        Self { what: what.into(), state, took: None, said: said.into() }
    }

    pub(super) fn after(self, took: Duration) -> Self {
        Self { took: Some(took), ..self }
    }
}

/// Everything that was looked at.
pub struct Report {
    /// In the order in which it is told.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many are in this state.
    pub fn count(&self, state: State) -> usize {
        self.findings.iter().filter(|finding| finding.state == state).count()
    }

    /// A line for each finding under a line of headings, and a closing sentence.
    pub fn table(&self) -> String {
        let took =
            |finding: &Finding| finding.took.map_or_else(|| "-".to_owned(), |took| format!("{} ms", took.as_millis()));
        let width = self.findings.iter().map(|finding| finding.what.len()).max().unwrap_or_default();
        let row =
            |what: &str, state: &str, took: &str, said: &str| format!("{what:width$}  {state:7}  {took:>7}  {said}\n");
        let head = row("what", "state", "took", "what is wrong, and how to mend it");
        let rows = self
            .findings
            .iter()
            .map(|finding| row(&finding.what, finding.state.as_str(), &took(finding), &finding.said));
        head + &rows.collect::<String>() + &self.closing()
    }

    /// The whole in one sentence.
    fn closing(&self) -> String {
        let warnings = match self.count(State::Warning) {
            0 => "no warning".to_owned(),
            1 => "1 warning".to_owned(),
            several => format!("{several} warnings"),
        };
        match self.count(State::Failed) {
            0 => format!("Everything that was tried works, with {warnings}."),
            failed => format!("{failed} of {} failed, with {warnings}: mend that first.", self.findings.len()),
        }
    }

    /// The same as one JSON object.
    pub fn to_json(&self) -> Value {
        let finding = |finding: &Finding| {
            let Finding { what, state, took, said } = finding;
            let milliseconds = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
            json!({"what": what, "state": state.as_str(), "milliseconds": milliseconds, "said": said})
        };
        let (failed, warnings) = (self.count(State::Failed), self.count(State::Warning));
        let checks: Vec<_> = self.findings.iter().map(finding).collect();
        json!({"ok": failed == 0, "failed": failed, "warnings": warnings, "checks": checks})
    }
}
