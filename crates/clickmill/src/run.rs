//! `clickmill run`: files of statements, in an engine of their own or in one that is running.

mod remote;

use std::net::{IpAddr, Ipv4Addr};

use database::{Cancel, Database};

use crate::args::RunArgs;
use crate::engine::{self, PG_PORT, Port};
use crate::execute::{Done, Runner};
use crate::output::Output;
use crate::queries::load_all;
use crate::report::Outcome;
use crate::script::{Script, Variables};

/// Runs the files; all of them are read before the first statement is run.
pub(crate) async fn run(args: &RunArgs, output: &Output, stop: &Cancel) -> Outcome {
    let scripts = load_all(&args.files, &Variables::environment())?;
    if let Some(server) = &args.connect {
        return remote::run(server, &scripts, output, stop).await;
    }
    let database = engine::start(None, &std::sync::Arc::default())?;
    let result = run_here(args, &database, &scripts, output, stop).await;
    engine::stop(database).await;
    result
}

async fn run_here(
    args: &RunArgs,
    database: &Database,
    scripts: &[Script],
    output: &Output,
    stop: &Cancel,
) -> Outcome {
    let serve = args.serve || args.pg_port.is_some();
    let server = if serve {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let port = Port::or_next(args.pg_port, PG_PORT);
        let server = engine::open_pg(database, host, port, false).await?;
        output.line(format_args!("{}", engine::psql_line(server.address())));
        Some(server)
    } else {
        None
    };
    let result = run_scripts(database, scripts, output, stop).await;
    let Some(server) = server else {
        let done = result?;
        if done.views > 0 && !done.stopped {
            output.note("the views end with this command");
            output.hint(
                "--serve keeps them running, --connect runs the file in an engine that is running",
            );
        }
        return Ok(());
    };
    if result.as_ref().is_ok_and(|done| !done.stopped) {
        output.note("serving until Ctrl-C");
        stop.cancelled().await;
    }
    server.shutdown().await;
    result.map(|_| ())
}

/// Runs the files one after the other, each as one batch.
async fn run_scripts(
    database: &Database,
    scripts: &[Script],
    output: &Output,
    stop: &Cancel,
) -> Outcome<Done> {
    let mut runner = Runner::new(engine::session(database)?, output, stop, true);
    let mut all = Done::default();
    for script in scripts {
        let done = runner.run(script).await?;
        runner.finish().await?;
        all.statements += done.statements;
        all.views += done.views;
        all.stopped = done.stopped;
        say_done(script, done.statements, output);
        if done.stopped {
            break;
        }
    }
    Ok(all)
}

fn say_done(script: &Script, statements: usize, output: &Output) {
    let plural = if statements == 1 { "" } else { "s" };
    output.note(format_args!(
        "{}: {statements} statement{plural} done",
        script.name()
    ));
}
