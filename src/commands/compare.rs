//! Sends recorded requests to both services, and says what is not the same.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use llm_gateway::{
    client::{HttpClient, client},
    compare::{Recorded, Service, Strictness, compare as replay},
};

use super::{complain, failed, said};

/// What was given on the command line cannot be used.
const EXIT_USAGE: u8 = 2;
/// One of both services did not answer.
const EXIT_UNREACHED: u8 = 3;

const NOTES: &str = "\
The file holds a JSON object a line: {\"name\"?, \"method\", \"path\", \"headers\"?, \"body\"?}; `text` in place of `body` is \
sent as it stands. They are sent as they are, in order, each to both services: generations cost money, twice, and what \
changes something changes it. Nothing but the file decides what is sent. docs/compare.md explains file and rules.

Exit status: 0 nothing but same and intended, 1 a difference, or no generation of the file was answered by both, 2 wrong arguments, 3 a service did not answer.";

#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct CompareArguments {
    /// The address of the old backend
    #[arg(long, value_name = "URL")]
    old: String,
    /// The address of this service
    #[arg(long, value_name = "URL")]
    new: String,
    /// The recorded requests
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,
    /// A header that only the old is sent, such as `Authorization: Bearer …`; may be repeated
    #[arg(long, value_name = "HEADER")]
    old_header: Vec<String>,
    /// A header that only the new is sent; may be repeated
    #[arg(long, value_name = "HEADER")]
    new_header: Vec<String>,
    /// Wants the texts of answers to be equal: only with a model that says the same twice, or from caches
    #[arg(long)]
    same_text: bool,
    /// How long each reply may take
    #[arg(long, value_name = "SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Prints one JSON object in place of the table
    #[arg(long)]
    json: bool,
}

pub(crate) async fn compare(arguments: &CompareArguments) -> ExitCode {
    let Ok(client) = client(None) else { return failed("the client cannot be built") };
    let patience = Duration::from_secs(arguments.timeout);
    let service = |flag, url, headers: &[String]| service(flag, url, headers, &client, patience);
    let old = service("old", &arguments.old, &arguments.old_header);
    let new = service("new", &arguments.new, &arguments.new_header);
    let (old, new, requests) = match (old, new, requests(arguments)) {
        (Ok(old), Ok(new), Ok(requests)) => (old, new, requests),
        (Err(problem), ..) | (_, Err(problem), _) | (.., Err(problem)) => {
            complain(&format!("error: {problem}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let report = replay(&old, &new, &requests, Strictness { same_text: arguments.same_text }).await;
    let code = said(&if arguments.json { report.to_json().to_string() } else { report.table() });
    match (report.count("unreached"), report.count("difference")) {
        (0, 0) if report.is_proof() => code,
        (0, _) => ExitCode::FAILURE,
        _ => ExitCode::from(EXIT_UNREACHED),
    }
}

fn requests(arguments: &CompareArguments) -> Result<Vec<Recorded>, String> {
    let file = arguments.requests.display();
    let text =
        std::fs::read_to_string(&arguments.requests).map_err(|error| format!("{file} cannot be read: {error}"))?;
    let requests = Recorded::read(&text).map_err(|error| format!("{file}, {error}"))?;
    if requests.is_empty() { Err(format!("{file} holds no request")) } else { Ok(requests) }
}

fn service(
    flag: &str,
    url: &str,
    headers: &[String],
    client: &HttpClient,
    patience: Duration,
) -> Result<Service, String> {
    let service = Service::new(client.clone(), url, patience).map_err(|error| format!("--{flag} is {error}"))?;
    headers.iter().try_fold(service, |service, header| {
        service.with_header(header).map_err(|error| format!("--{flag}-header is {error}"))
    })
}
