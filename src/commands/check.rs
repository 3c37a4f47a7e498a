//! Tries what the settings name, and says how to mend it.

use std::process::ExitCode;

use serde_json::json;

use llm_gateway::check::{State, check as try_out};

use super::{misconfigured, said, settings};

#[derive(clap::Args)]
pub(crate) struct CheckArguments {
    /// Prints one JSON object in place of the table
    #[arg(long)]
    json: bool,
}

pub(crate) async fn check(arguments: &CheckArguments) -> ExitCode {
    let config = match settings() {
        Ok(config) => config,
        Err(problems) => return refused(arguments, &problems),
    };
    let report = match try_out(&config).await {
        Ok(report) => report,
        Err(error) => return refused(arguments, &[error.to_string()]),
    };
    let code = said(&if arguments.json { report.to_json().to_string() } else { report.table() });
    if report.count(State::Failed) > 0 { ExitCode::FAILURE } else { code }
}

/// Ends with the problems that the settings have, told to scripts too.
fn refused(arguments: &CheckArguments, problems: &[String]) -> ExitCode {
    let code = misconfigured(problems);
    if arguments.json {
        // Written or not, the settings are wrong.
        said(&json!({"problems": problems}).to_string());
    }
    code
}
