//! The engine's thread, and the handle by which sessions speak to it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use dataflow::wake::Waker;
use dataflow::{Clock, Error, Result, SqlState};
use parking_lot::Mutex;

use crate::command::{Change, Command};
use crate::core::{Core, Limits, Publication};
use crate::journal::NoJournal;
use crate::status::Status;

/// Commands that wait for the engine.
const QUEUE: usize = 1024;
/// Longest sleep between ticks when nothing is due.
const MAX_SLEEP: Duration = Duration::from_millis(500);

/// A running engine.
pub struct Engine {
    commands: Sender<Command>,
    waker: Waker,
    published: Publication,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// An engine that does nothing yet, and what is to be given to [`Engine::start`].
    pub fn prepare(clock: Arc<dyn Clock>, limits: Limits) -> (Self, Idle) {
        let (commands, received) = bounded(QUEUE);
        let waker = Waker::default();
        let journal = Box::new(NoJournal);
        let core = Core::new(clock, journal, waker.clone(), limits);
        let engine = Self {
            commands,
            waker,
            published: core.published(),
            thread: Mutex::new(None),
        };
        (engine, Idle { core, received })
    }

    /// Starts the engine's thread.
    /// `on_end` is called once, on that thread, when it ends: with an error when nobody told it to.
    pub fn start(
        &self,
        idle: Idle,
        on_end: impl FnOnce(Option<Error>) + Send + 'static,
    ) -> Result<()> {
        let sleeper = self.waker.clone();
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                let Idle { core, received } = idle;
                let ended = crate::panic::guarded(|| run(core, &received, &sleeper));
                on_end(ended.err());
            })
            .map_err(|e| Error::internal(format!("the engine's thread did not start: {e}")))?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Changes what runs, all at one tick. The receiver gets the version at which the changes can be seen.
    pub fn apply(&self, changes: Vec<Change>) -> Result<Receiver<Result<u64>>> {
        let (reply, answer) = bounded(1);
        self.send(Command::Apply(changes, reply))?;
        Ok(answer)
    }

    /// Asks for the status.
    pub fn status(&self) -> Result<Receiver<Status>> {
        let (reply, answer) = bounded(1);
        self.send(Command::Status(reply))?;
        Ok(answer)
    }

    /// Readers of several relations at one version hold this shared.
    pub fn published(&self) -> &Publication {
        &self.published
    }

    /// Makes the engine look again at what waits, such as for a sink.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn send(&self, command: Command) -> Result<()> {
        let gone = |_| Error::new(SqlState::ADMIN_SHUTDOWN, "the engine has stopped");
        self.commands.send(command).map_err(gone)?;
        self.waker.wake();
        Ok(())
    }

    /// Stops the engine and waits for its thread.
    pub fn stop(&self) {
        let _ = self.send(Command::Stop);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

/// An engine before it runs: what happened before can be run again on it.
pub struct Idle {
    /// Its state.
    pub core: Core,
    received: Receiver<Command>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sleeps until a tick may follow, or somebody asks for something.
fn linger(pace: Duration, commands: &Receiver<Command>, waker: &Waker) {
    let begun = Instant::now();
    loop {
        let left = pace.saturating_sub(begun.elapsed());
        if left.is_zero() || !commands.is_empty() {
            return;
        }
        waker.sleep(left);
    }
}

fn run(mut core: Core, commands: &Receiver<Command>, waker: &Waker) -> Result<()> {
    loop {
        while let Ok(command) = commands.try_recv() {
            match command {
                Command::Apply(changes, reply) => core.apply(changes, reply),
                Command::Status(reply) => {
                    let _ = reply.send(core.status());
                }
                Command::Stop => return core.keep_state(true),
            }
        }
        let step = core.step()?;
        core.keep_state(false)?;
        if step.records >= core.limits.tick_records {
            continue;
        }
        if step.records > 0 {
            // More is likely on its way: gather it instead of ticking for every few records.
            linger(core.pace(), commands, waker);
            continue;
        }
        let sleep = core.next_deadline().map_or(MAX_SLEEP, |at| {
            let left = at.saturating_sub(core.clock.now());
            Duration::from_micros(u64::try_from(left).unwrap_or(0))
                .clamp(Duration::from_millis(1), MAX_SLEEP)
        });
        waker.sleep(sleep);
    }
}
