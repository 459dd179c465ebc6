//! The table beside the target that says which version of each sink is in, and the lock that lets one writer a sink write.

use std::time::{Duration, Instant};

use dataflow::failpoint::{self, Failpoint};
use dataflow::{Error, Result, SqlState};
use tokio_postgres::Statement;

use super::session::Session;
use super::sql::quote;

/// The table's name; it stands in the schema of the target.
pub(super) const NAME: &str = "clickmill_commits";

/// How long an earlier writer may go on: its end may be near, or the server may not have noticed it yet. Then its session is
/// ended; whoever begins later is the owner of the sink's state.
const GRACE: Duration = Duration::from_secs(5);
/// Longest wait for an earlier writer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Ends the session that holds a lock.
const END: &str = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted \
    AND objsubid = 1 AND ((classid::bigint << 32) | objid::bigint) = $1 AND database = \
    (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";
/// Time between two tries.
const AGAIN: Duration = Duration::from_millis(250);

/// Waits until no other session writes for the sink; none does as long as this one lives.
pub(super) fn lock(session: &Session, identity: &str) -> Result<()> {
    let what = format!("a lock of sink \"{identity}\"");
    let number = lock_number(identity);
    let begun = Instant::now();
    loop {
        let rows = session.query("SELECT pg_catalog.pg_try_advisory_lock($1)", &[&number]);
        let rows = rows.map_err(|trouble| trouble.about(&what))?;
        let got = rows.first().map(|row| row.try_get::<_, bool>(0));
        match got {
            Some(Ok(true)) => return Ok(()),
            Some(Ok(false)) if begun.elapsed() < PATIENCE => {
                if begun.elapsed() >= GRACE {
                    // Who may not do that waits on.
                    let _ = session.query(END, &[&number]);
                }
                session.pause(AGAIN);
            }
            Some(Ok(false)) => return Err(taken(identity)),
            Some(Err(error)) => return Err(Error::internal(format!("{what}: {error}"))),
            None => return Err(Error::internal(format!("{what}: no answer"))),
        }
    }
}

fn taken(identity: &str) -> Error {
    Error::new(
        SqlState::CONNECTION_FAILURE,
        format!("another clickmill writes sink \"{identity}\" to this database of PostgreSQL"),
    )
    .hint("stop it; pg_locks in PostgreSQL shows who holds the advisory lock")
}

/// A number for the advisory lock, the same in every version of clickmill: FNV-1a of 64 bits (Fowler, Noll and Vo, 1991).
pub(super) fn lock_number(identity: &str) -> i64 {
    let text = "clickmill sink ".bytes().chain(identity.bytes());
    let hash = text.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}

/// The commits of one sink.
pub(super) struct Commits {
    identity: String,
    record: Statement,
    last: Option<i64>,
}

impl Commits {
    /// Makes the table unless it is there, and reads the version of the sink.
    pub(super) fn open(session: &Session, schema: &str, identity: &str) -> Result<Self> {
        let what = format!("the version of sink \"{identity}\"");
        let table = format!("{}.{}", quote(schema), quote(NAME));
        make(session, schema, &table)?;
        let query = format!("SELECT version FROM {table} WHERE sink = $1");
        let rows = session.query(&query, &[&identity]);
        let rows = rows.map_err(|trouble| trouble.about(&what))?;
        let last = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose();
        let last = last.map_err(|error| Error::internal(format!("{what}: {error}")))?;
        let record = session.prepare(&record(&table));
        let record = record.map_err(|trouble| trouble.about(&what))?;
        Ok(Self {
            identity: identity.to_owned(),
            record,
            last,
        })
    }

    /// The version up to which everything is in the target.
    pub(super) fn last(&self) -> Option<u64> {
        self.last.and_then(|version| u64::try_from(version).ok())
    }

    /// Ends the transaction of a session with `version` as the sink's.
    pub(super) fn commit(&mut self, session: &Session, version: u64) -> Result<()> {
        let what = format!("version {version} of sink \"{}\"", self.identity);
        let number = i64::try_from(version)
            .map_err(|_| Error::internal(format!("{what} is too large a number")))?;
        let done = session.execute(&self.record, &[&self.identity, &number, &self.last]);
        let done = done.map_err(|trouble| trouble.about(&what))?;
        if done != 1 {
            // The lock was lost: the table has a version that is not the one this writer goes on from.
            return Err(taken(&self.identity));
        }
        failpoint::reached(Failpoint::PostgresWritten);
        // A time limit would end the wait for a replica, and not the commit.
        session
            .run("SET LOCAL statement_timeout = 0; COMMIT")
            .map_err(|trouble| trouble.about(&what))?;
        self.last = Some(number);
        Ok(())
    }
}

/// Sets the version of a sink, which is `$3` so far.
pub(super) fn record(table: &str) -> String {
    format!(
        "INSERT INTO {table} AS c (sink, version) VALUES ($1, $2) ON CONFLICT (sink) \
         DO UPDATE SET version = excluded.version WHERE c.version = $3"
    )
}

fn make(session: &Session, schema: &str, table: &str) -> Result<()> {
    let what = format!("table {NAME} in schema \"{schema}\"");
    let there = session.query("SELECT pg_catalog.to_regclass($1::text)::text", &[&table]);
    let there = there.map_err(|trouble| trouble.about(&what))?;
    let there = there.first().map(|row| row.try_get::<_, Option<String>>(0));
    if matches!(there, Some(Ok(Some(_)))) {
        // Who may not make tables there may still write to one.
        return Ok(());
    }
    let statement = format!(
        "CREATE TABLE IF NOT EXISTS {table} (sink text PRIMARY KEY, version bigint NOT NULL)"
    );
    match session.run(&statement) {
        // Another sink has made it at the same moment.
        Err(trouble) if trouble.is("23505") || trouble.is("42P07") => Ok(()),
        Err(trouble) if trouble.is("42501") => Err(trouble
            .about(&what)
            .hint(format!("let its owner run: {statement}"))),
        done => done.map_err(|trouble| trouble.about(&what)),
    }
}
