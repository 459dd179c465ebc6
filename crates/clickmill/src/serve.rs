//! `clickmill serve`: the engine with a port for psql, until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use broker::Broker;
use database::{Cancel, DataDir, Database, Place, Recovery};

use crate::args::ServeArgs;
use crate::engine::{self, Port};
use crate::execute::Runner;
use crate::output::Output;
use crate::queries::load_all;
use crate::report::{Failure, Outcome};
use crate::script::{Script, Variables};

/// Partitions of topics that clients of the embedded broker ask for.
const AUTO_PARTITIONS: i32 = 4;

/// The embedded broker's folder in that of the state.
const BROKER: &str = "broker";

/// Serves until `stop`.
pub(crate) async fn serve(args: &ServeArgs, output: &Output, stop: &Cancel) -> Outcome {
    check(args)?;
    let place = args.data_dir.as_deref().map(Place::parse).transpose()?;
    if let Some(place) = &place {
        check_place(args, place)?;
        // Before the broker puts its own into it.
        database::check_data_dir(place)?;
    }
    let broker = match args.embedded_broker {
        true => Some(start_broker(args, place.as_ref(), output).await?),
        false => None,
    };
    let mut variables = Variables::environment();
    if let Some(broker) = &broker {
        variables.set("BROKERS", broker.address().to_string());
    }
    let result = match load_all(&args.init, &variables) {
        Ok(scripts) => with_engine(args, place, &scripts, output, stop).await,
        Err(failure) => Err(failure),
    };
    if let Some(broker) = broker {
        broker.shutdown().await;
    }
    result
}

fn check(args: &ServeArgs) -> Outcome {
    if !args.pg_host.is_loopback() && !args.trust_remote {
        return Err(Failure::usage(
            format!(
                "--pg-host {} opens the port to other hosts, and there is no authentication yet",
                args.pg_host
            ),
            "add --trust-remote to let everybody in who can reach the port",
        ));
    }
    Ok(())
}

/// Refuses what an object store does not do.
fn check_place(args: &ServeArgs, place: &Place) -> Outcome {
    if place.on_disk().is_some() {
        return Ok(());
    }
    if args.no_sync {
        return Err(Failure::usage(
            format!("--no-sync does not go with --data-dir {place}"),
            "an object store has what it has acknowledged; --no-sync is for folders on disks",
        ));
    }
    if args.embedded_broker {
        return Err(Failure::usage(
            format!("--embedded-broker does not go with --data-dir {place}"),
            "the embedded broker keeps its records on a disk: name a folder, or use a Kafka cluster",
        ));
    }
    Ok(())
}

async fn start_broker(args: &ServeArgs, place: Option<&Place>, output: &Output) -> Outcome<Broker> {
    let port = Port::Exactly(args.kafka_port);
    let folder = place.and_then(Place::on_disk).map(|dir| dir.join(BROKER));
    let folder = folder.map(|folder| (folder, args.take_over));
    let broker = engine::start_broker(port, Some(AUTO_PARTITIONS), folder).await?;
    output.line(format_args!("broker on {}", broker.address()));
    Ok(broker)
}

async fn with_engine(
    args: &ServeArgs,
    place: Option<Place>,
    scripts: &[Script],
    output: &Output,
    stop: &Cancel,
) -> Outcome {
    let Some(database) = start(args, place, output, stop).await? else {
        return Ok(());
    };
    let result = with_port(args, &database, scripts, output, stop).await;
    engine::stop(database).await;
    result
}

/// Starts the engine, with what was there before; `None` when it was told to stop meanwhile.
async fn start(
    args: &ServeArgs,
    place: Option<Place>,
    output: &Output,
    stop: &Cancel,
) -> Outcome<Option<Database>> {
    let savepoint = args.from_savepoint.as_deref();
    let from_savepoint = savepoint.map(Place::parse).transpose()?;
    let data_dir = place.map(|place| DataDir {
        place,
        sync: !args.no_sync,
        journal_every: args.journal_interval,
        checkpoint_every: args.checkpoint_interval,
        take_over: args.take_over,
        from_savepoint,
    });
    let begun = Instant::now();
    let stopped = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stopped);
    let mut starting = tokio::task::spawn_blocking(move || engine::start(data_dir, &told));
    let started = tokio::select! {
        started = &mut starting => started,
        () = stop.cancelled() => {
            stopped.store(true, Ordering::Relaxed);
            // Nothing has begun that would have to be ended.
            return match starting.await {
                Ok(Ok(database)) => {
                    engine::stop(database).await;
                    Ok(None)
                }
                _ => Ok(None),
            };
        }
    };
    let database = engine::joined(started)?;
    if let Some(recovery) = database.recovery().filter(|r| r.found_something()) {
        output.line(recovered(recovery, begun.elapsed()));
    }
    Ok(Some(database))
}

fn recovered(recovery: &Recovery, took: Duration) -> String {
    let Recovery { ticks, records, .. } = recovery;
    let from = match recovery.checkpoint {
        Some(version) => format!("checkpoint of version {version}, "),
        None => String::new(),
    };
    format!(
        "recovered in {:.1} s: {from}{ticks} ticks run again with {records} records",
        took.as_secs_f64()
    )
}

async fn with_port(
    args: &ServeArgs,
    database: &Database,
    scripts: &[Script],
    output: &Output,
    stop: &Cancel,
) -> Outcome {
    let port = Port::Exactly(args.pg_port);
    let server = engine::open_pg(database, args.pg_host, port, args.trust_remote).await?;
    let mut runner = Runner::new(engine::session(database)?, output, stop, true);
    let is_new = !database.recovery().is_some_and(Recovery::found_something);
    if !is_new && !scripts.is_empty() {
        output.line("the files of --init are not run: the folder of state has been used before");
    }
    for script in scripts.iter().filter(|_| is_new) {
        let ran = match runner.run(script).await {
            Ok(_) => runner.finish().await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = ran {
            server.shutdown().await;
            return match failure {
                // To be stopped is how serving ends, also while it begins.
                Failure::Interrupted => Ok(()),
                other => Err(other),
            };
        }
    }
    drop(runner);
    output.line(format_args!(
        "clickmill {} listens on {}: {}",
        engine::VERSION,
        server.address(),
        engine::psql_line(server.address())
    ));
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        error = database.failed() => Err(engine::failure(error)),
    };
    server.shutdown().await;
    if ended.is_ok() {
        output.line("stopped");
    }
    ended
}
