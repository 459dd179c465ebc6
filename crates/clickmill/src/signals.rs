//! Ctrl-C and SIGTERM: the first asks the command to end, a second one ends the process at once.

use database::Cancel;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::report::{Failure, Outcome};

/// Exit code of a process that was told twice to end.
const EXIT_INTERRUPTED: i32 = 130;

/// Listens from now on; the token is cancelled by the first signal.
pub(crate) fn listen() -> Outcome<Cancel> {
    let failed = |error| Failure::new(format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let stop = Cancel::new();
    let told = stop.clone();
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        told.cancel();
        either(&mut interrupt, &mut terminate).await;
        #[expect(
            clippy::exit,
            reason = "the user does not want to wait for the orderly end"
        )]
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(stop)
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
