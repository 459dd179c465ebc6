//! Named moments at which a test has the process end, as by `kill -9`. Builds for release have none of them.
//!
//! `CLICKMILL_FAILPOINT=checkpoint.unnamed` ends it the first time that moment comes, `…:3` the third time. Each moment is one
//! between two steps that must not be torn apart, or in the middle of one.

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// A record of the journal is half written.
    JournalHalfWritten,
    /// It is written, and not synced.
    JournalWritten,
    /// It is synced, and nobody has seen the tick.
    JournalSynced,
    /// The same, of an entry that has a statement.
    StatementSynced,
    /// The journal has a new, empty file for what follows a checkpoint.
    JournalRotated,
    /// One of the journal's old files is removed, and others are not.
    JournalForgetting,
    /// Some relations show a version, and others do not yet.
    PublishHalf,
    /// Everybody sees a version.
    Published,
    /// A file that is there whole or not at all is half written.
    FileHalfWritten,
    /// It is whole, and has no name.
    FileUnnamed,
    /// It has its name.
    FileNamed,
    /// The parts of a checkpoint are there, and it is not.
    PartsWritten,
    /// A file of parts that is not needed any more is removed, and others are not.
    PartsForgotten,
    /// A checkpoint that is not needed any more is removed, and the journal before it is not.
    CheckpointForgotten,
    /// A new owner has its file beside that of the one before.
    FolderEntered,
    /// A checkpoint is taken, and nothing after it has been run again.
    CheckpointTaken,
    /// Some of the journal has been run again.
    Replaying,
    /// All of it has, and nothing new has happened.
    Replayed,
    /// A new folder has the state of a savepoint, and not its identity.
    SavepointTaken,
    /// A sink has read where its target is.
    SinkBegun,
    /// A sink has written, and not committed.
    SinkWritten,
    /// A sink has committed, and its store knows nothing of it.
    SinkCommitted,
    /// A transaction of Kafka has its records.
    KafkaFlushed,
    /// It has the progress, too.
    KafkaProgress,
    /// A transaction of PostgreSQL has its rows and the version.
    PostgresWritten,
    /// A file that a sink has written will be committed, and nothing says so.
    SinkFileWritten,
    /// Something says so, and the file does not have its name.
    SinkFilePromised,
    /// It has its name, which is not synced.
    SinkFileNamed,
}

impl Failpoint {
    /// All of them, with their names.
    pub const ALL: [(Self, &'static str); 28] = [
        (Self::JournalHalfWritten, "journal.half_written"),
        (Self::JournalWritten, "journal.written"),
        (Self::JournalSynced, "journal.synced"),
        (Self::StatementSynced, "journal.statement_synced"),
        (Self::JournalRotated, "journal.rotated"),
        (Self::JournalForgetting, "journal.forgetting"),
        (Self::PublishHalf, "view.publish_half"),
        (Self::Published, "view.published"),
        (Self::FileHalfWritten, "file.half_written"),
        (Self::FileUnnamed, "file.unnamed"),
        (Self::FileNamed, "file.named"),
        (Self::PartsWritten, "checkpoint.parts_written"),
        (Self::PartsForgotten, "checkpoint.parts_forgotten"),
        (Self::CheckpointForgotten, "checkpoint.forgotten"),
        (Self::FolderEntered, "folder.entered"),
        (Self::CheckpointTaken, "recovery.checkpoint_taken"),
        (Self::Replaying, "recovery.replaying"),
        (Self::Replayed, "recovery.replayed"),
        (Self::SavepointTaken, "savepoint.taken"),
        (Self::SinkBegun, "sink.begun"),
        (Self::SinkWritten, "sink.written"),
        (Self::SinkCommitted, "sink.committed"),
        (Self::KafkaFlushed, "kafka.flushed"),
        (Self::KafkaProgress, "kafka.progress"),
        (Self::PostgresWritten, "postgres.written"),
        (Self::SinkFileWritten, "sink_file.written"),
        (Self::SinkFilePromised, "sink_file.promised"),
        (Self::SinkFileNamed, "sink_file.named"),
    ];
}

/// The moment has come: ends the process if the environment says so.
#[inline(always)]
pub fn reached(point: Failpoint) {
    reached_by(point, || {});
}

/// As [`reached`]; `before` is done before the end, and only then.
#[inline(always)]
pub fn reached_by(point: Failpoint, before: impl FnOnce()) {
    #[cfg(debug_assertions)]
    if chosen::is_now(point) {
        before();
        chosen::end(point);
    }
    #[cfg(not(debug_assertions))]
    let _ = (point, before);
}

#[cfg(debug_assertions)]
mod chosen {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Failpoint;

    /// The variable that names a moment.
    const VARIABLE: &str = "CLICKMILL_FAILPOINT";

    /// The moment of the environment, and how many times it has still to come.
    static CHOSEN: LazyLock<Option<(Failpoint, AtomicU32)>> = LazyLock::new(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        let mut all = Failpoint::ALL.iter();
        let found = all.find(|(_, known)| *known == name);
        match (found, times.parse()) {
            (Some((point, _)), Ok(times)) => Some((*point, AtomicU32::new(times))),
            _ => panic!("{VARIABLE}={text} names no failpoint"),
        }
    });

    pub(super) fn is_now(point: Failpoint) -> bool {
        let Some((chosen, left)) = &*CHOSEN else {
            return false;
        };
        *chosen == point && left.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// Ends the process without a handler, a destructor or a flush. Its parent knows it by the signal.
    pub(super) fn end(point: Failpoint) -> ! {
        eprintln!("failpoint {point:?}");
        std::process::abort();
    }
}
