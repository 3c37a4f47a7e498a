//! What the binary can do: a file for each command, and how each of them speaks.

mod check;
mod compare;
mod health;
mod serve;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use llm_gateway::config::{Config, Sources};

pub(crate) use check::{CheckArguments, check};
pub(crate) use compare::{CompareArguments, compare};
pub(crate) use health::health;
pub(crate) use serve::serve;

/// `EX_CONFIG` of `sysexits.h`.
const EXIT_CONFIG: u8 = 78;

/// The settings of this process.
///
/// # Errors
/// The exit status, once each problem is told.
fn configuration() -> Result<Config, ExitCode> {
    settings().map_err(|problems| misconfigured(&problems))
}

/// The settings of this process.
///
/// # Errors
/// What is wrong with them, a line each.
fn settings() -> Result<Config, Vec<String>> {
    Config::read(Sources::environment()).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// Ends with the problems that the settings have.
fn misconfigured(problems: &[String]) -> ExitCode {
    for problem in problems {
        complain(problem);
    }
    ExitCode::from(EXIT_CONFIG)
}

/// Ends with a problem.
pub(crate) fn failed(problem: &str) -> ExitCode {
    complain(problem);
    ExitCode::FAILURE
}

/// Ends with what was asked for.
fn said(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(line: &str) {
    // If nobody can be told, the exit status still does.
    drop(writeln!(io::stderr(), "{line}"));
}
