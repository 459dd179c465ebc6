//! The program `clickmill`: reads the command line, runs the command, and says how it went.

mod args;
mod demo;
mod engine;
mod execute;
mod feed;
mod output;
mod produce;
mod queries;
mod report;
mod run;
mod script;
mod serve;
mod signals;
mod state;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};
use crate::output::Output;
use crate::report::{Failure, Outcome};

/// Variable that says what to log.
const LOG_VARIABLE: &str = "CLICKMILL_LOG";
/// How long background work may take to end after the command has.
const RUNTIME_GRACE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors and have exit code 0; what cannot be printed cannot be told.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new();
    let result = log(&output).and_then(|()| run(cli, &output));
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    if let Failure::Failed(report) | Failure::Usage(report) = &failure {
        output.report(report);
    }
    ExitCode::from(failure.exit_code())
}

/// Warnings are shown unless the environment says otherwise.
fn log(output: &Output) -> Outcome {
    let wanted = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| "warn".to_owned());
    let filter = EnvFilter::try_new(&wanted).map_err(|error| {
        Failure::usage(
            format!("{LOG_VARIABLE}={wanted} is no filter: {error}"),
            "write info, debug, or a list such as warn,kafka=debug",
        )
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(output.clone())
        .with_ansi(output.has_colour())
        .init();
    Ok(())
}

fn run(cli: Cli, output: &Output) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let result = runtime.block_on(async {
        let stop = signals::listen()?;
        match cli.command {
            Command::Demo(args) => demo::demo(&args, output, &stop).await,
            Command::Serve(args) => serve::serve(&args, output, &stop).await,
            Command::Run(args) => run::run(&args, output, &stop).await,
            Command::Produce(args) => produce::produce(args, output, &stop).await,
            Command::State(args) => state::state(&args, output),
        }
    });
    runtime.shutdown_timeout(RUNTIME_GRACE);
    result
}
