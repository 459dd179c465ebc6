//! `clickmill demo`: a broker, clicks for ever, the example queries and a port for psql, in one process.

mod status;

use std::net::{IpAddr, Ipv4Addr};

use broker::Broker;
use clicks::ClickConfig;
use database::{Cancel, Database};
use dataflow::time::{MINUTE, SECOND};
use dataflow::{Clock, Micros, SystemClock};
use indicatif::{HumanCount, ProgressBar};
use pg::PgServer;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::args::DemoArgs;
use crate::engine::{self, KAFKA_PORT, PG_PORT, Port, joined};
use crate::execute::Runner;
use crate::feed::{Feeder, Plan, Times};
use crate::output::Output;
use crate::queries;
use crate::report::{Failure, Outcome};
use crate::script::{Script, Variables};

const TOPIC: &str = "click-stream";
const PARTITIONS: i32 = 4;
/// Event time of the clicks that are there at the start. More than 15 minutes, so that visits have ended.
const BACKLOG: Micros = 20 * MINUTE;
/// Most clicks that are there at the start.
const MAX_BACKLOG_EVENTS: u64 = 1_000_000;
/// How long the computer may sleep or be busy before the clicks of that time are left out.
const CATCH_UP: Micros = 30 * SECOND;
/// A visitor does something every so many seconds.
const SECONDS_BETWEEN_EVENTS: u64 = 5;
/// Users for every visit that is going on.
const USERS_PER_VISIT: u32 = 20;

/// What runs; each part is stopped before those that it uses.
struct Demo {
    feeder: JoinHandle<Outcome>,
    server: PgServer,
    database: Database,
    broker: Broker,
    /// Stops the feeder.
    stop_feeder: Cancel,
}

/// Runs the demo until `stop`.
pub(crate) async fn demo(args: &DemoArgs, output: &Output, stop: &Cancel) -> Outcome {
    let kafka_port = Port::or_next(args.kafka_port, KAFKA_PORT);
    let broker = engine::start_broker(kafka_port, None, None).await?;
    broker.create_topic(TOPIC, PARTITIONS)?;
    let mut variables = Variables::environment();
    variables.set("BROKERS", broker.address().to_string());
    variables.set("TOPIC", TOPIC);
    let scripts = match &args.queries {
        Some(folder) => queries::of_folder(folder, &variables)?,
        None => queries::examples(&variables)?,
    };
    let database = engine::start(None, &std::sync::Arc::default())?;
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let pg_port = Port::or_next(args.pg_port, PG_PORT);
    let server = engine::open_pg(&database, host, pg_port, false).await?;
    let stop_feeder = stop.child_token();
    let (ready, backlog) = oneshot::channel();
    let feeder = start_feeder(args, &broker, stop_feeder.clone(), ready);
    let mut demo = Demo {
        feeder,
        server,
        database,
        broker,
        stop_feeder,
    };
    let result = demo.run(args, &scripts, backlog, output, stop).await;
    demo.shut_down(result, output).await
}

impl Demo {
    async fn run(
        &mut self,
        args: &DemoArgs,
        scripts: &[Script],
        backlog: oneshot::Receiver<()>,
        output: &Output,
        stop: &Cancel,
    ) -> Outcome {
        let line = output.is_live().then(|| output.spinner());
        let said = |text: String| line.iter().for_each(|line| line.set_message(text.clone()));
        said(format!("making {} minutes of clicks", BACKLOG / MINUTE));
        tokio::select! {
            // Without a sender the feeder has failed, which shows below.
            _ = backlog => {}
            () = stop.cancelled() => return Ok(()),
        }
        said("reading them".to_owned());
        let mut runner = Runner::new(engine::session(&self.database)?, output, stop, false);
        for script in scripts {
            match runner.run(script).await {
                Err(Failure::Interrupted) => return Ok(()),
                other => other?,
            };
        }
        runner.finish().await?;
        drop(runner);
        tokio::select! {
            caught_up = status::caught_up(&self.database) => caught_up?,
            failed = &mut self.feeder => return feeder_ended(failed),
            () = stop.cancelled() => return Ok(()),
        }
        output.line(self.banner(args));
        self.watch(line, output, stop).await
    }

    /// Shows the status until the end.
    async fn watch(
        &mut self,
        line: Option<ProgressBar>,
        output: &Output,
        stop: &Cancel,
    ) -> Outcome {
        let result = tokio::select! {
            shown = status::show(&self.database, line.as_ref(), output) => shown,
            failed = &mut self.feeder => feeder_ended(failed),
            error = self.database.failed() => Err(engine::failure(error)),
            () = stop.cancelled() => Ok(()),
        };
        if let Some(line) = line {
            line.finish_and_clear();
        }
        result
    }

    /// What to type next, in less than twelve lines.
    fn banner(&self, args: &DemoArgs) -> String {
        let statements = match &args.queries {
            None => {
                "  SELECT rank, page_url, views FROM trending\n    \
                     WHERE window_end = (SELECT max(window_end) FROM trending) ORDER BY rank;\n  \
                 SELECT * FROM filter_stats;\n  \
                 SUBSCRIBE (SELECT * FROM page_views WHERE page_url = '/home');"
            }
            Some(_) => "  SHOW JOBS;",
        };
        format!(
            "clickmill {}: {} clicks a second in topic {TOPIC} on {}\n\n\
             Type in another terminal\n  {}\nand there\n{statements}\n\n\
             Ctrl-C ends the demo.",
            engine::VERSION,
            HumanCount(args.rate),
            self.broker.address(),
            engine::psql_line(self.server.address()),
        )
    }

    async fn shut_down(mut self, result: Outcome, output: &Output) -> Outcome {
        self.stop_feeder.cancel();
        let fed = match self.feeder.is_finished() {
            true => Ok(()), // Its end is why the demo ends, or it was told to stop.
            false => joined((&mut self.feeder).await),
        };
        self.server.shutdown().await;
        engine::stop(self.database).await;
        self.broker.shutdown().await;
        if result.is_ok() && fed.is_ok() {
            output.line("stopped");
        }
        result.and(fed)
    }
}

/// The feeder ends by itself only when something is wrong.
fn feeder_ended(ended: Result<Outcome, tokio::task::JoinError>) -> Outcome {
    joined(ended).and(Err(Failure::new("the clicks have ended")))
}

/// Sends the backlog, says so, and goes on for ever.
fn start_feeder(
    args: &DemoArgs,
    broker: &Broker,
    stop: Cancel,
    ready: oneshot::Sender<()>,
) -> JoinHandle<Outcome> {
    let brokers = broker.address().to_string();
    let rate = args.rate;
    let visits = u32::try_from(rate * SECONDS_BETWEEN_EVENTS)
        .unwrap_or(u32::MAX)
        .clamp(50, 50_000);
    let clicks = ClickConfig {
        seed: args.seed,
        active_sessions: visits,
        users: visits * USERS_PER_VISIT,
        ..ClickConfig::default()
    };
    tokio::task::spawn_blocking(move || {
        let mut feeder = Feeder::new(&brokers, TOPIC, &[], &clicks)?;
        let now = SystemClock.now();
        let backlog = backlog(rate, now);
        delivered(feeder.send(&backlog, &stop, &mut |_| {})?, &stop)?;
        // That nobody waits any more means that the demo is over.
        let _ = ready.send(());
        let live = Plan {
            rate,
            events: None,
            time_limit: None,
            times: Times::Sending,
            begin: Some(now),
            catch_up: CATCH_UP,
        };
        delivered(feeder.send(&live, &stop, &mut |_| {})?, &stop)
    })
}

/// Clicks up to now, fewer and fewer the farther back they are: a shop that wakes up.
fn backlog(rate: u64, now: Micros) -> Plan {
    let seconds = u64::try_from(BACKLOG / SECOND).unwrap_or(0);
    let events = (rate * seconds / 2).clamp(1, MAX_BACKLOG_EVENTS);
    Plan {
        rate: 0,
        events: Some(events),
        time_limit: None,
        times: Times::Rising {
            start: now.saturating_sub(BACKLOG),
            span: BACKLOG,
            events,
        },
        begin: None,
        catch_up: 0,
    }
}

fn delivered(sent: crate::feed::Progress, stop: &Cancel) -> Outcome {
    let lost = sent.delivery.failed + sent.delivery.pending;
    if lost == 0 || stop.is_cancelled() {
        return Ok(());
    }
    let reason = sent.delivery.last_error.unwrap_or_default();
    Err(Failure::new(format!(
        "{lost} clicks were not delivered: {reason}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_ends_now_at_the_live_rate() {
        let plan = backlog(1_000, 10 * BACKLOG);
        let Times::Rising {
            start,
            span,
            events,
        } = plan.times
        else {
            unreachable!("the backlog rises")
        };
        assert_eq!((start + span, events), (10 * BACKLOG, 600_000));
        assert_eq!(backlog(1_000_000, 0).events, Some(MAX_BACKLOG_EVENTS));
    }
}
