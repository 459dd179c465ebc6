//! The command line: what there is to say, and what it means when it is left out.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clicks::Mix;
use dataflow::Micros;
use dataflow::options::parse_duration;

/// Streaming SQL over Kafka, read with psql.
#[derive(Debug, Parser)]
#[command(
    name = "clickmill",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Environment: CLICKMILL_LOG=info (or debug, or a filter such as kafka=debug) shows the log; \
                  NO_COLOR=1 turns colour off."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoArgs),
    Serve(ServeArgs),
    Run(RunArgs),
    Produce(ProduceArgs),
    State(StateArgs),
}

/// Look at a folder of state without changing it; exit code 1 when something in it is damaged
#[derive(Args, Debug)]
pub(crate) struct StateArgs {
    /// What to tell: what is there, what it holds, or only what is wrong
    #[arg(value_enum)]
    pub(crate) what: StateWhat,
    /// The folder or address of `serve --data-dir`
    #[arg(value_name = "DIR")]
    pub(crate) folder: String,
}

/// What to tell of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateWhat {
    /// Checkpoints and journal
    Ls,
    /// Also the catalog's statements, tables, views and reads
    Inspect,
    /// Whether all of it is sound
    Verify,
}

/// Try everything in one process: a broker, clicks for ever, the example queries, and a port for psql
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Events a second
    #[arg(long, default_value_t = 1_000, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) rate: u64,
    /// Port for psql; 0 takes any [default: 5433, or the next free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) pg_port: Option<u16>,
    /// Port of the embedded broker; 0 takes any [default: 9092, or the next free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) kafka_port: Option<u16>,
    /// The same seed gives the same visitors
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Run the .sql files of this folder instead of the example queries
    #[arg(long, value_name = "DIR")]
    pub(crate) queries: Option<PathBuf>,
}

/// Run the engine and open a port for psql, until Ctrl-C or SIGTERM
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Port for psql; 0 takes any
    #[arg(long, default_value_t = 5433, value_name = "PORT")]
    pub(crate) pg_port: u16,
    /// Address to listen on for psql
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub(crate) pg_host: IpAddr,
    /// Let clients of other hosts in, without authentication
    #[arg(long)]
    pub(crate) trust_remote: bool,
    /// Start a small broker too, for trials; with --data-dir what it has lasts. ${BROKERS} in --init files is its address
    #[arg(long)]
    pub(crate) embedded_broker: bool,
    /// Port of the embedded broker; 0 takes any
    #[arg(
        long,
        default_value_t = 9092,
        value_name = "PORT",
        requires = "embedded_broker"
    )]
    pub(crate) kafka_port: u16,
    /// Keep state in this folder, or in an object store (s3://BUCKET/PATH, gs://…, az://…): started again, everything is as it was
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Shortest time from one write of the journal to the next while little comes [default: 5ms, in an object store 200ms]
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "data_dir")]
    pub(crate) journal_interval: Option<Duration>,
    /// Time from one checkpoint of the state to the next
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, requires = "data_dir")]
    pub(crate) checkpoint_interval: Duration,
    /// Do not wait for the disk: what was seen outlives clickmill's end, but perhaps not the machine's
    #[arg(long, requires = "data_dir")]
    pub(crate) no_sync: bool,
    /// Take the folder of state over from another clickmill, which ends
    #[arg(long, requires = "data_dir")]
    pub(crate) take_over: bool,
    /// Begin a new folder of state with a savepoint (CREATE SAVEPOINT makes one)
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    pub(crate) from_savepoint: Option<String>,
    /// Run these files at the start, unless the folder of state has been used before
    #[arg(long, value_name = "FILE.sql", num_args = 1..)]
    pub(crate) init: Vec<PathBuf>,
}

/// Run files of statements, in an engine of their own or in one that is running
#[derive(Args, Debug)]
#[command(
    after_help = "${NAME} and ${NAME:default} in a file are replaced from the environment; \\${ stands for ${ itself.\n\
                  Rows of SELECT are drawn as tables, those of SUBSCRIBE as lines of tab-separated values."
)]
pub(crate) struct RunArgs {
    /// Files, run in this order
    #[arg(required = true, value_name = "FILE.sql")]
    pub(crate) files: Vec<PathBuf>,
    /// Run in the engine there: HOST:PORT or postgres://…
    #[arg(long, value_name = "SERVER", conflicts_with_all = ["serve", "pg_port"])]
    pub(crate) connect: Option<String>,
    /// Keep running after the last statement, with a port for psql
    #[arg(long)]
    pub(crate) serve: bool,
    /// Like --serve, with this port; 0 takes any [default: 5433, or the next free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) pg_port: Option<u16>,
}

/// Send made-up click events to a topic
#[derive(Args, Debug)]
#[command(
    after_help = "Without --seconds and --events it goes on until Ctrl-C. Events bear the time of sending unless \
                  --start-time or --span says otherwise."
)]
pub(crate) struct ProduceArgs {
    /// Brokers, HOST:PORT separated by commas
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub(crate) brokers: String,
    /// Topic
    #[arg(long, default_value = "click-stream")]
    pub(crate) topic: String,
    /// Events a second; 0 is as fast as possible
    #[arg(long, default_value_t = 1_000, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    pub(crate) rate: u64,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "events", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub(crate) seconds: Option<u64>,
    /// Stop after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    pub(crate) events: Option<u64>,
    /// Weights of the kinds of event
    #[arg(long, default_value_t = Mix::default(), value_name = "KIND=WEIGHT,…")]
    pub(crate) mix: Mix,
    /// The same seed gives the same events
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Share of events, 0 to 1, that come more than five seconds late
    #[arg(long, default_value_t = 0.001, value_name = "SHARE", value_parser = share)]
    pub(crate) late: f64,
    /// Share of records, 0 to 1, that are no valid events
    #[arg(long, default_value_t = 0.0005, value_name = "SHARE", value_parser = share)]
    pub(crate) bad: f64,
    /// Create the topic with so many partitions when it does not exist
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub(crate) partitions: Option<i32>,
    /// Event time of the first event, as 2026-01-31T12:00:00Z; the others follow at --rate, or as --span says
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) start_time: Option<Micros>,
    /// Spread the --events evenly over so much event time, as 30s, 12min, 24h; it ends now unless --start-time is given
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "events")]
    pub(crate) span: Option<Duration>,
    /// A setting of librdkafka, such as security.protocol=SASL_SSL; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = property)]
    pub(crate) property: Vec<(String, String)>,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it is not a number from 0 to 1".to_owned())
}

fn time(text: &str) -> Result<Micros, String> {
    let time = chrono::DateTime::parse_from_rfc3339(text);
    time.map(|time| time.timestamp_micros())
        .map_err(|_| "it is not a time such as 2026-01-31T12:00:00Z".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "it is not a number and a unit: ms, s, min, h or d".to_owned())
}

fn property(text: &str) -> Result<(String, String), String> {
    let pair = text
        .split_once('=')
        .filter(|(name, _)| !name.trim().is_empty());
    let (name, value) = pair.ok_or_else(|| "it is not of the form NAME=VALUE".to_owned())?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn produce(words: &[&str]) -> Result<ProduceArgs, String> {
        let words = ["clickmill", "produce"].iter().chain(words);
        match Cli::try_parse_from(words) {
            Ok(Cli {
                command: Command::Produce(args),
            }) => Ok(args),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_and_spans_are_read() {
        let args = produce(&[
            "--events",
            "5",
            "--start-time",
            "1970-01-01T01:00:00+01:00",
            "--span",
            "12 min",
        ]);
        let args = args.unwrap();
        assert_eq!(
            (args.start_time, args.span),
            (Some(0), Some(Duration::from_secs(720)))
        );
        assert_eq!((args.rate, args.topic.as_str()), (1_000, "click-stream"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        for (words, reason) in [
            (["--span", "5 min"], "--events"),
            (["--mix", "views=1"], "unknown event type 'views'"),
            (["--late", "2"], "it is not a number from 0 to 1"),
            (["--start-time", "yesterday"], "2026-01-31T12:00:00Z"),
            (["--property", "x"], "NAME=VALUE"),
            (["--partitions", "0"], "1..=10000"),
        ] {
            let error = produce(&words).unwrap_err();
            assert!(error.contains(reason), "{words:?}: {error}");
        }
        let both = produce(&["--seconds", "1", "--events", "1"]).unwrap_err();
        assert!(both.contains("cannot be used with"), "{both}");
    }
}
