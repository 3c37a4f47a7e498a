//! The binary: its arguments, and which command they mean.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

use commands::{CheckArguments, CompareArguments, failed};

/// What one thread takes is given back by another as often as not. glibc's arenas make them wait for one another then, for a third of
/// what a miss takes (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A gateway in front of LLM providers: cached, coalesced, rate limited. Without a command it serves.
#[derive(Parser)]
#[command(version, after_help = NOTES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Tries the store and every provider's key with calls that cost nothing, and says what is wrong and how to mend it
    Check(CheckArguments),
    /// Sends recorded requests to the old backend and to this service, and says what is not the same, and why
    Compare(CompareArguments),
    /// Asks the service of this machine whether it serves, for HEALTHCHECK
    Health,
}

const NOTES: &str = "\
Settings are environment variables, each with a default; `.env.local` and `.env` in the working directory are read
too. `.env.example` in the repository explains them all, README.md and docs/ what they are for.

Exit status: 0 done, 1 failed, 2 wrong arguments, 3 nobody to compare with, 78 wrong settings (one line for each problem).";

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return told(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("The runtime cannot start: {error}")),
    };
    let code = runtime.block_on(async {
        match arguments.command {
            None => commands::serve().await,
            Some(Command::Check(arguments)) => commands::check(&arguments).await,
            Some(Command::Compare(arguments)) => commands::compare(&arguments).await,
            Some(Command::Health) => commands::health().await,
        }
    });
    // A look-up of a name may still block a thread, and nobody waits for it any more.
    runtime.shutdown_background();
    code
}

/// What clap has to say, which may also be the help that was asked for.
fn told(error: &clap::Error) -> ExitCode {
    if let Err(unwritten) = error.print() {
        return failed(&unwritten.to_string());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
