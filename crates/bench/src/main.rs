//! The benchmark: CPU, rate and memory of the reference queries over a topic, and the latency from produce to SUBSCRIBE.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its figures"
)]

mod latency;
mod produce;
mod queries;
mod recovery;
mod throughput;
mod usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures clickmill against a Kafka broker.
#[derive(Parser)]
#[command(name = "clickmill-bench", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fill a topic with seeded click events over an hour of event time.
    Produce(produce::ProduceArgs),
    /// Run one query over the whole topic and print its figures as one line of JSON.
    Query(throughput::QueryArgs),
    /// Run all queries, each in a process of its own, and print a table.
    All(throughput::AllArgs),
    /// Measure the time from produce to the row in a SUBSCRIBE client.
    Latency(latency::LatencyArgs),
    /// Measure checkpoints of a large state, and the start on it.
    Recovery(recovery::RecoveryArgs),
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Produce(args) => produce::run(&args),
        Command::Query(args) => throughput::query(&args).map(|line| println!("{line}")),
        Command::All(args) => throughput::all(&args).map(|table| println!("{table}")),
        Command::Latency(args) => latency::run(&args).map(|line| println!("{line}")),
        Command::Recovery(args) => recovery::run(&args).map(|line| println!("{line}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
