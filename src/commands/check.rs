//! Tries what the settings name, and says how to mend it.

use std::process::ExitCode;

use llm_gateway::check::{State, check as try_out};

use super::{configuration, misconfigured, said};

#[derive(clap::Args)]
pub(crate) struct CheckArguments {
    /// Prints one JSON object in place of the table
    #[arg(long)]
    json: bool,
}

pub(crate) async fn check(arguments: &CheckArguments) -> ExitCode {
    let config = match configuration() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let report = match try_out(&config).await {
        Ok(report) => report,
        Err(error) => return misconfigured(&error.to_string()),
    };
    let code = said(&if arguments.json { report.to_json().to_string() } else { report.table() });
    if report.count(State::Failed) > 0 { ExitCode::FAILURE } else { code }
}
