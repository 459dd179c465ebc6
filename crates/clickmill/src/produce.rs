//! `clickmill produce`: made-up clicks for any Kafka topic.

use clicks::ClickConfig;
use database::Cancel;
use dataflow::time::SECOND;
use dataflow::{Clock, Micros, SystemClock};
use indicatif::{HumanCount, ProgressBar};

use crate::args::ProduceArgs;
use crate::engine::joined;
use crate::feed::{Feeder, Plan, Progress, Times};
use crate::output::Output;
use crate::report::{Failure, Outcome, Report};

/// Time between two lines where nothing can be drawn.
const LINE_EVERY: Micros = 10 * SECOND;
/// A rate that cannot be kept is not made up for.
const CATCH_UP: Micros = SECOND;

/// Sends events until all are sent or `stop`.
pub(crate) async fn produce(args: ProduceArgs, output: &Output, stop: &Cancel) -> Outcome {
    let plan = plan(&args, SystemClock.now())?;
    let (output, stop) = (output.clone(), stop.clone());
    joined(tokio::task::spawn_blocking(move || send(&args, plan, &output, &stop)).await)
}

fn plan(args: &ProduceArgs, now: Micros) -> Outcome<Plan> {
    let seconds = args.seconds.map(micros);
    let paced = args.seconds.filter(|_| args.rate > 0);
    let events = args.events.or(paced.map(|seconds| seconds * args.rate));
    let times = match (args.start_time, args.span, events) {
        (start, Some(span), Some(events)) => {
            let span = Micros::try_from(span.as_micros()).unwrap_or(Micros::MAX);
            let start = start.unwrap_or(now.saturating_sub(span));
            Times::Even {
                start,
                span,
                events,
            }
        }
        (Some(_), _, _) if args.rate == 0 => {
            return Err(Failure::usage(
                "--start-time with --rate 0 does not say how far apart the events are",
                "add --span and --events, or give a rate",
            ));
        }
        (Some(start), _, _) => Times::From {
            start,
            rate: args.rate,
        },
        (None, _, _) => Times::Sending,
    };
    Ok(Plan {
        rate: args.rate,
        events,
        time_limit: seconds.filter(|_| args.rate == 0),
        times,
        begin: None,
        catch_up: CATCH_UP,
    })
}

fn micros(seconds: u64) -> Micros {
    Micros::try_from(seconds)
        .unwrap_or(Micros::MAX)
        .saturating_mul(SECOND)
}

fn send(args: &ProduceArgs, plan: Plan, output: &Output, stop: &Cancel) -> Outcome {
    if let Some(partitions) = args.partitions {
        let created = kafka::admin::create_topic(&args.brokers, &args.topic, partitions);
        if created.map_err(|error| unreachable_brokers(args, error.into()))? {
            output.note(format_args!(
                "created topic {} with {partitions} partitions",
                args.topic
            ));
        }
    }
    let clicks = ClickConfig {
        seed: args.seed,
        mix: args.mix,
        late: args.late,
        bad: args.bad,
        ..ClickConfig::default()
    };
    let properties: Vec<(&str, &str)> = args
        .property
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut feeder =
        Feeder::new(&args.brokers, &args.topic, &properties, &clicks).map_err(plain)?;
    let mut meter = Meter::new(&plan, output);
    let sent = feeder.send(&plan, stop, &mut |progress| meter.show(progress));
    meter.finish();
    let sent = sent.map_err(plain)?;
    output.line(summary(args, &sent));
    let open_end = args.events.is_none() && args.seconds.is_none();
    let lost = sent.delivery.failed + sent.delivery.pending;
    if lost > 0 {
        let reason = sent
            .delivery
            .last_error
            .as_deref()
            .unwrap_or("no answer in time");
        let message = format!("{} events were not delivered: {reason}", HumanCount(lost));
        return Err(unreachable_brokers(args, Report::new(message)));
    }
    match stop.is_cancelled() && !open_end {
        true => Err(Failure::Interrupted),
        false => Ok(()),
    }
}

/// An error of the brokers, not of a statement: its code says nothing.
fn plain(error: dataflow::Error) -> Failure {
    let mut report = Report::from(error);
    report.code = None;
    report.into()
}

fn unreachable_brokers(args: &ProduceArgs, mut report: Report) -> Failure {
    report.code = None;
    let hint = match args.partitions {
        Some(_) => format!(
            "is there a broker at {}? --brokers names another",
            args.brokers
        ),
        None => format!(
            "is there a broker at {} with topic {}? --partitions creates the topic",
            args.brokers, args.topic
        ),
    };
    report.hint.get_or_insert(hint);
    report.into()
}

fn per_second(events: u64, elapsed: Micros) -> HumanCount {
    let rate = u128::from(events) * SECOND as u128 / u128::try_from(elapsed.max(1)).unwrap_or(1);
    HumanCount(u64::try_from(rate).unwrap_or(u64::MAX))
}

fn summary(args: &ProduceArgs, sent: &Progress) -> String {
    format!(
        "{} events delivered to topic {} in {:.1} s ({}/s), {} failed",
        HumanCount(sent.delivery.delivered),
        args.topic,
        sent.elapsed as f64 / SECOND as f64,
        per_second(sent.delivery.delivered, sent.elapsed),
        HumanCount(sent.delivery.failed + sent.delivery.pending),
    )
}

/// Shows how far sending is: a bar on a terminal, else a line now and then.
struct Meter<'a> {
    output: &'a Output,
    bar: Option<ProgressBar>,
    whole: Option<u64>,
    line_at: Micros,
}

impl<'a> Meter<'a> {
    fn new(plan: &Plan, output: &'a Output) -> Self {
        let bar = match plan.events {
            Some(events) => output.bar(events),
            None => output.spinner(),
        };
        Self {
            output,
            bar: output.is_live().then_some(bar),
            whole: plan.events,
            line_at: LINE_EVERY,
        }
    }

    fn show(&mut self, progress: &Progress) {
        let rate = per_second(progress.sent, progress.elapsed);
        let failed = match progress.delivery.failed {
            0 => String::new(),
            failed => format!(", {} failed", HumanCount(failed)),
        };
        if let Some(bar) = &self.bar {
            bar.set_position(progress.sent);
            bar.set_message(format!(
                "{} events, {rate}/s{failed}",
                HumanCount(progress.sent)
            ));
        } else if progress.elapsed >= self.line_at {
            self.line_at = progress.elapsed + LINE_EVERY;
            let of = self.whole.map(|whole| format!(" of {}", HumanCount(whole)));
            self.output.line(format_args!(
                "{}{} events sent, {rate}/s{failed}",
                HumanCount(progress.sent),
                of.unwrap_or_default(),
            ));
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    const NOW: Micros = 1_000 * SECOND;

    fn planned(words: &[&str]) -> Outcome<Plan> {
        let cli = Cli::try_parse_from(["clickmill", "produce"].iter().chain(words)).unwrap();
        let Command::Produce(args) = cli.command else {
            return Err(Failure::new("another command"));
        };
        plan(&args, NOW)
    }

    #[test]
    fn seconds_at_a_rate_are_a_number_of_events() {
        let plan = planned(&["--rate", "50", "--seconds", "3"]).unwrap();
        assert_eq!(
            (plan.events, plan.time_limit, plan.times),
            (Some(150), None, Times::Sending)
        );
        let plan = planned(&["--rate", "0", "--seconds", "3"]).unwrap();
        assert_eq!((plan.events, plan.time_limit), (None, Some(3 * SECOND)));
        let plan = planned(&[]).unwrap();
        assert_eq!(
            (plan.events, plan.time_limit, plan.rate),
            (None, None, 1_000)
        );
    }

    #[test]
    fn a_span_ends_now_unless_its_start_is_given() {
        let (events, span) = (10, 60 * SECOND);
        let plan = planned(&["--events", "10", "--span", "1min"]).unwrap();
        assert_eq!(
            plan.times,
            Times::Even {
                start: NOW - span,
                span,
                events
            }
        );
        let words = [
            "--events",
            "10",
            "--span",
            "1min",
            "--start-time",
            "1970-01-01T00:00:00Z",
        ];
        assert_eq!(
            planned(&words).unwrap().times,
            Times::Even {
                start: 0,
                span,
                events
            }
        );
        let words = ["--rate", "5", "--start-time", "1970-01-01T00:00:00Z"];
        assert_eq!(
            planned(&words).unwrap().times,
            Times::From { start: 0, rate: 5 }
        );
    }

    #[test]
    fn a_start_without_distances_is_refused() {
        let failure = planned(&[
            "--rate",
            "0",
            "--events",
            "9",
            "--start-time",
            "2026-01-01T00:00:00Z",
        ]);
        assert_eq!(failure.unwrap_err().exit_code(), 2);
    }
}
