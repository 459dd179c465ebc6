//! The data folder: the journal and checkpoints on disk, and everything as it was before once clickmill is started again.

mod checkpoints;
mod history;
mod inspect;
mod savepoints;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use dataflow::failpoint::{self, Failpoint};
use dataflow::{Error, Micros, Result, SqlState};
use durable::{Claim, Folder, Log, Place};
use engine::journal::{Logged, from_ipc};
use engine::{Change, Core, Entry, Journal, Starts, State};
use sql::ast::Parsed;

use crate::database::Shared;
use crate::ddl::Ddl;
use checkpoints::{Checkpoint, Checkpoints, Id};
pub(crate) use history::{CheckpointStatus, History, RecoveryStatus};
pub use inspect::{Inspection, inspect};
pub(crate) use savepoints::{SavepointStatus, Savepoints};

/// The number of the format of everything in a data folder. Keys of state are bytes of arrow-row, whose format is that of
/// the version of arrow: another one is another format.
const FORMAT: u32 = 4;
/// The journal's folder in it.
const JOURNAL: &str = "journal";
/// Checkpoints may make the engine stand still for one part in so many.
const SHARE: Micros = 20;
/// They may be written for one part in so many.
const WRITING_SHARE: Micros = 4;
/// An orderly end makes none that would take longer, in microseconds: the journal has what it would.
const LAST: Micros = 2 * dataflow::time::SECOND;
/// A file of a folder that begins with a savepoint.
const BEGUN: &str = "from-savepoint";
/// What it holds once the folder is made; nothing before.
const MADE: &[u8] = b"made";
/// The file that tells it from others.
const IDENTITY: &str = "identity";
/// Letters of an identity.
const IDENTITY_LETTERS: usize = 16;
/// The checkpoints' folder in it.
const CHECKPOINTS: &str = "checkpoints";

/// Shortest time between two writes of the journal on a disk.
const DISK_PACE: Duration = Duration::from_millis(5);
/// And in an object store, where each write costs money.
const STORE_PACE: Duration = Duration::from_millis(200);

/// Where state is kept, and how carefully.
#[derive(Clone, Debug)]
pub struct DataDir {
    /// The folder.
    pub place: Place,
    /// Whether what is seen outlives the machine's end, and not only that of the process. In an object store it always does.
    pub sync: bool,
    /// Shortest time from one write of the journal to the next while little comes; `None` for what suits the place.
    pub journal_every: Option<Duration>,
    /// Time from one checkpoint to the next.
    pub checkpoint_every: Duration,
    /// Whether a process that uses it is to end.
    pub take_over: bool,
    /// A savepoint with which it begins; it must be new.
    pub from_savepoint: Option<Place>,
}

/// Whether a folder holds state, or could come to hold some.
///
/// # Errors
/// `0A000` for another format, `55000` for a folder of something else.
pub fn check_data_dir(place: &Place) -> Result<()> {
    durable::check_folder(place, FORMAT)
}

/// A data folder that this process owns.
pub(crate) struct Data {
    log: Log,
    sync: bool,
    pace: Duration,
    every: Micros,
    /// Time to the next checkpoint: longer when the last one made the engine stand still for long.
    spacing: Micros,
    /// The journal's clock at which a checkpoint is due; `None` before the first entry.
    due: Option<Micros>,
    /// The journal's clock at the last entry.
    wall: Micros,
    checkpoints: Checkpoints,
    history: Arc<History>,
    /// The statements that made the catalog, with the times at which they were given.
    statements: Vec<(String, Micros)>,
    /// Tells the folder from all others.
    identity: String,
    /// Owned as long as the journal is written.
    folder: Folder,
}

/// What was done to have everything as it was before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The version of the checkpoint that was taken, if there was one.
    pub checkpoint: Option<u64>,
    /// Ticks that were run again.
    pub ticks: u64,
    /// Records that were read again.
    pub records: u64,
}

impl Recovery {
    /// Whether the folder had been used before.
    pub fn found_something(&self) -> bool {
        self.checkpoint.is_some() || self.ticks > 0
    }
}

impl Data {
    /// Claims the folder, and opens its journal.
    pub(crate) fn open(
        place: &DataDir,
        history: &Arc<History>,
        on_lost: impl FnOnce(Error) + Send + 'static,
    ) -> Result<Self> {
        let folder = Folder::claim(&place.place, FORMAT, place.take_over, on_lost)?;
        // Somebody who stood still may have its last file open, whoever owned the folder since.
        let log = Log::owned(&folder, JOURNAL)?;
        let checkpoints = folder.place().join(CHECKPOINTS);
        if let Some(savepoint) = &place.from_savepoint {
            begin_with(savepoint, &folder, &log, &checkpoints)?;
        } else if was_made(folder.place())? == Some(false) {
            let message = format!("{} was not made to its end", folder.place());
            return Err(Error::new(SqlState::OBJECT_NOT_READY, message)
                .hint("it begins with a savepoint: say --from-savepoint once more"));
        }
        history.lasts_in(folder.place())?;
        let every = Micros::try_from(place.checkpoint_every.as_micros()).unwrap_or(Micros::MAX);
        Ok(Self {
            log,
            checkpoints: Checkpoints::open(
                &checkpoints,
                history,
                folder.owned(),
                folder.generation(),
            )?,
            identity: identity(folder.place())?,
            history: Arc::clone(history),
            sync: place.sync,
            pace: place.journal_every.unwrap_or(match place.place.on_disk() {
                Some(_) => DISK_PACE,
                None => STORE_PACE,
            }),
            every,
            spacing: every,
            due: None,
            wall: Micros::MIN,
            statements: Vec::new(),
            folder,
        })
    }

    /// What knows whether the folder is still owned.
    pub(crate) fn claim(&self) -> Claim {
        self.folder.owned()
    }

    /// Tells the folder from all others.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// Takes the newest checkpoint, and runs what the journal has after it again.
    pub(crate) fn recover(
        &mut self,
        shared: &Shared,
        core: &mut Core,
        stop: &Arc<AtomicBool>,
    ) -> Result<Recovery> {
        let mut recovery = Recovery::default();
        let first = self.log.first()?;
        let taken = self.checkpoints.newest(first)?;
        let from = taken.as_ref().map_or(0, |(number, _)| *number);
        // One that begins with a savepoint has nothing without it.
        let begins_without = taken.is_none() && was_made(self.folder.place())?.is_some();
        if begins_without || from < first || from > self.log.next() {
            let message = format!(
                "the journal has the ticks from {first} to {}, and there is no checkpoint to go on from",
                self.log.next()
            );
            return Err(Error::new(SqlState::DATA_CORRUPTED, message)
                .hint("start with an empty folder and run the CREATE statements again: views are built from their topics"));
        }
        let mut starts = Starts::default();
        let mut reading = self.log.read(from)?;
        while let Some(bytes) = reading.next()? {
            starts.note(&Entry::from_bytes(bytes)?);
        }
        core.begin_replay(starts, Arc::clone(stop));
        if let Some((_, checkpoint)) = taken {
            recovery.checkpoint = Some(checkpoint.state.version());
            self.take(shared, core, checkpoint)?;
            failpoint::reached(Failpoint::CheckpointTaken);
        }
        let mut reading = self.log.read(from)?;
        while let Some(bytes) = reading.next()? {
            let entry = Entry::from_bytes(bytes)?;
            core.tick_again(&entry, |logged| changes_of(shared, logged))?;
            self.note(&entry);
            recovery.ticks += 1;
            recovery.records += entry.records();
            failpoint::reached(Failpoint::Replaying);
        }
        core.end_replay();
        failpoint::reached(Failpoint::Replayed);
        // What was run again need not be the next time.
        self.due = (recovery.ticks > 0).then_some(Micros::MIN);
        Ok(recovery)
    }

    fn take(&mut self, shared: &Shared, core: &mut Core, checkpoint: Checkpoint) -> Result<()> {
        for (text, at) in &checkpoint.statements {
            let statement = Logged::Statement {
                text: text.clone(),
                at: *at,
            };
            let mut changes = changes_of(shared, &statement)?;
            // The state has what became of these.
            changes.retain(|change| !matches!(change, Change::Suspend(_) | Change::Resume { .. }));
            core.change_again(changes)?;
        }
        self.statements = checkpoint.statements;
        core.load(checkpoint.state)
    }

    fn note(&mut self, entry: &Entry) {
        for change in &entry.changes {
            if let Logged::Statement { text, at } = change {
                self.statements.push((text.clone(), *at));
            }
        }
        self.wall = entry.wall;
        // Also when the clock has jumped back.
        let next = entry.wall.saturating_add(self.spacing);
        self.due = Some(self.due.map_or(next, |due| due.min(next)));
    }
}

/// Has a new folder of state begin with a savepoint.
fn begin_with(savepoint: &Place, folder: &Folder, log: &Log, checkpoints: &Place) -> Result<()> {
    checkpoints.make_folder()?;
    let is_begun = was_made(folder.place())? == Some(false) && log.next() == 0;
    let is_empty = log.next() == 0 && !checkpoints::are_in(checkpoints)?;
    if !is_empty && !is_begun {
        let message = format!("{} holds state already", folder.place());
        return Err(Error::new(SqlState::OBJECT_NOT_READY, message)
            .hint("--from-savepoint begins a new folder; without it this one is started again"));
    }
    let Some(bytes) = savepoint.read()? else {
        let message = format!("there is no savepoint {savepoint}");
        return Err(Error::new(SqlState::UNDEFINED_FILE, message)
            .hint("CREATE SAVEPOINT makes one in the folder savepoints of the folder of state"));
    };
    let checkpoint = checkpoints::of_bytes(savepoint, &bytes)?;
    if checkpoint.format != FORMAT {
        let what = format!("a savepoint of format {}", checkpoint.format);
        return Err(Error::unsupported(what)
            .detail(format!("this clickmill reads format {FORMAT}"))
            .hint("use the clickmill that wrote it, or build the views from their topics"));
    }
    // With one and not the other it would be another state of the same identity, or the same of another.
    let begun = folder.place().join(BEGUN);
    begun.write(&[])?;
    // An attempt before may have been with another one.
    for (id, _) in checkpoints::list(checkpoints, checkpoints::SUFFIX)? {
        checkpoints::path(checkpoints, id).remove()?;
    }
    checkpoints::path(checkpoints, Id::new(0, folder.generation())).write(&bytes)?;
    failpoint::reached(Failpoint::SavepointTaken);
    let identity = checkpoint.identity.as_bytes();
    folder.place().join(IDENTITY).write(identity)?;
    begun.write(MADE)
}

/// Whether a folder that begins with a savepoint was made to its end; `None` for others.
fn was_made(folder: &Place) -> Result<Option<bool>> {
    let text = folder.join(BEGUN).read()?;
    Ok(text.map(|text| text == MADE))
}

/// Tells the folder from all others; made when it is asked for first.
fn identity(folder: &Place) -> Result<String> {
    let file = folder.join(IDENTITY);
    if let Some(found) = file.read()? {
        let text = String::from_utf8(found).unwrap_or_default();
        if text.len() == IDENTITY_LETTERS && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(text);
        }
        let message = format!("{file} is damaged");
        return Err(Error::new(SqlState::DATA_CORRUPTED, message)
            .hint("it names what sinks have written: put it back from a copy"));
    }
    let made = new_identity()?;
    file.write(made.as_bytes())?;
    Ok(made)
}

/// A new identity of state: 64 random bits.
pub(crate) fn new_identity() -> Result<String> {
    let mut bytes = [0; IDENTITY_LETTERS / 2];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::internal(format!("no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The changes that the journal has one of; a statement changes the catalog, too.
fn changes_of(shared: &Shared, logged: &Logged) -> Result<Vec<Change>> {
    Ok(match logged {
        Logged::Statement { text, at } => {
            let again = || {
                let mut changes = Vec::new();
                for parsed in sql::parse::parse(text)? {
                    statement_again(shared, &parsed, *at, &mut changes)?;
                }
                Ok(changes)
            };
            again().map_err(|error: Error| {
                let message = format!(
                    "cannot carry out again what the catalog holds: {}",
                    error.message()
                );
                Error::new(error.state(), message)
                    .detail(text.clone())
                    .hint(
                        "this clickmill understands less than the one that wrote it: use that one",
                    )
            })?
        }
        Logged::Insert { table, rows } => vec![Change::Insert {
            table: table.clone(),
            rows: from_ipc(&rows.0)?,
        }],
        Logged::AdvanceWatermark { table, to } => vec![Change::AdvanceWatermark {
            table: table.clone(),
            to: *to,
        }],
    })
}

fn statement_again(
    shared: &Shared,
    parsed: &Parsed,
    at: Micros,
    changes: &mut Vec<Change>,
) -> Result<()> {
    let mut catalog = shared.catalog.read().clone();
    let mut ddl = Ddl {
        shared,
        catalog: &mut catalog,
        changes,
        notices: &mut Vec::new(),
        now: at,
    };
    ddl.carry_out(parsed)?;
    *shared.catalog.write() = catalog;
    Ok(())
}

impl Journal for Data {
    fn append(&mut self, entry: &Entry) -> Result<()> {
        self.log.append(&entry.to_bytes()?)?;
        // Also what is not shown: what is written later must not be on the disk without it.
        if self.sync || self.log.is_fenced() || !entry.changes.is_empty() {
            self.log.sync()?;
        }
        // What is shown must be in the journal of whoever owns it.
        if !self.log.is_fenced() {
            self.folder.check()?;
        }
        failpoint::reached(Failpoint::JournalSynced);
        if entry.has_statement() {
            failpoint::reached(Failpoint::StatementSynced);
        }
        self.note(entry);
        Ok(())
    }

    fn pace(&self) -> Duration {
        self.pace
    }

    fn wants_state(&mut self) -> bool {
        if self.folder.check().is_err() {
            return false;
        }
        self.checkpoints.finished(&self.log, false);
        let is_due = self.due.is_some_and(|due| self.wall >= due);
        let is_wanted = self.history.savepoints().is_some_and(Savepoints::is_wanted);
        !self.checkpoints.is_busy() && (is_due || is_wanted)
    }

    fn keep_state(&mut self, state: State, pause: Micros, last: bool) -> Result<()> {
        // What is written or removed from here on may be another's; at the end there is no time to wait for a store that is away.
        let owned = match last {
            true => self.claim().ask(),
            false => self.folder.check(),
        };
        match owned {
            Err(error) if error.state() != SqlState::OBJECT_IN_USE && self.log.is_fenced() => {
                tracing::warn!(%error, "no checkpoint is made");
                self.due = Some(self.wall.saturating_add(self.every));
                return Ok(());
            }
            owned => owned?,
        }
        let number = self.log.next();
        let wanted = self.history.savepoints().map(Savepoints::take);
        let wanted = self
            .checkpoints
            .keep_newest(number, wanted.unwrap_or_default());
        let takes_long = self.checkpoints.is_busy() || self.checkpoints.took() > LAST;
        if wanted.is_empty() && (self.checkpoints.is_newest(number) || last && takes_long) {
            return Ok(());
        }
        match self.log.rotate() {
            Err(error) if error.state() == SqlState::DISK_FULL => {
                savepoints::refuse(wanted, &error);
                tracing::warn!(%error, "no checkpoint is made");
                self.due = Some(self.wall.saturating_add(self.every));
                return Ok(());
            }
            rotated => rotated?,
        }
        self.due = None;
        let cost = pause.saturating_mul(SHARE);
        let cost = cost.max(self.checkpoints.took().saturating_mul(WRITING_SHARE));
        self.spacing = self.every.max(cost);
        self.history.begin(CheckpointStatus {
            id: number,
            version: state.version(),
            begun: self.wall,
            pause,
            took: None,
            bytes: None,
            failure: None,
        });
        let checkpoint = Checkpoint {
            statements: self.statements.clone(),
            state,
            identity: self.identity.clone(),
            format: FORMAT,
        };
        self.checkpoints.begin(number, checkpoint, last, wanted);
        if last {
            self.checkpoints.finished(&self.log, true);
        }
        Ok(())
    }
}
