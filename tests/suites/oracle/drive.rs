//! Runs one case through the engine's core, step by step, under a clock that only the test moves.

use std::sync::Arc;

use dataflow::time::{MILLI, MINUTE, SECOND};
use dataflow::wake::Waker;
use dataflow::{Clock, DeltaBatch, Error, ManualClock, SqlState, Watermark};
use datafusion::execution::SessionState;
use engine::journal::{Event, Logged, from_ipc};
use engine::parts::{PartAt, PartFile, Parts};
use engine::status::ViewStatus;
use engine::{Change, Core, Entry, Journal, Limits, Starts, State, Store, ViewState};
use parking_lot::Mutex;

use super::case::Looks;
use super::compare::{Rows, Subscriber, difference, lines, rows_of};
use super::model::Model;
use super::outcome::{Look, Outcome, Run, late_times, places};
use super::planning::Objects;
use super::random::Random;
use super::sim::{Broker, Brokers};
use super::stream::Stream;
use super::table::{Table, TableRow};
use super::window::DAY;

/// Ticks beyond which a case is taken to hang.
const MAX_TICKS: usize = 20_000;

/// Most crashes of a case.
const MAX_CRASHES: usize = 3;

/// How a case is run.
pub(super) struct Job<'a> {
    pub(super) stream: Arc<Stream>,
    /// `CREATE SOURCE`.
    pub(super) source: String,
    pub(super) table: Option<&'a Table>,
    /// `CREATE MATERIALIZED VIEW`, inputs before readers; and whether no two of a view's rows are alike.
    pub(super) views: Vec<(&'a str, bool)>,
    /// The last view is created only after this many records were read.
    pub(super) join_after: Option<i64>,
    pub(super) looks: &'a Looks,
}

/// A journal in memory, whose disk is full now and then.
#[derive(Clone)]
struct Entries(Arc<Mutex<Vec<Entry>>>, Arc<Mutex<Random>>, usize);

impl Journal for Entries {
    fn append(&mut self, entry: &Entry) -> dataflow::Result<()> {
        if self.1.lock().chance(self.2) {
            return Err(Error::new(SqlState("53100"), "the disk is full"));
        }
        // As bytes, as a file would have it.
        let bytes = entry.to_bytes()?;
        self.0.lock().push(Entry::from_bytes(&bytes)?);
        Ok(())
    }
}

#[derive(Default)]
struct File(Vec<Vec<u8>>);

impl PartFile for File {
    fn put(&mut self, bytes: &[u8]) -> dataflow::Result<(u64, u32)> {
        self.0.push(bytes.to_vec());
        Ok((self.0.len() as u64 - 1, 0))
    }
}

struct Driver<'a> {
    core: Core,
    clock: ManualClock,
    broker: Arc<Mutex<Broker>>,
    stream: Arc<Stream>,
    journal: Entries,
    limits: Limits,
    /// Percent of ticks after which the engine crashes.
    crashes: usize,
    crashed: usize,
    /// The newest checkpoint as bytes, and how many entries of the journal are before it.
    checkpoint: Option<(usize, Vec<u8>)>,
    /// Its parts, and all files of parts.
    parts: Parts,
    files: Vec<Vec<Vec<u8>>>,
    /// The newest checkpoint, while it is not written yet.
    unwritten: Option<(usize, State)>,
    /// Crashes after which a checkpoint was taken.
    taken: usize,
    /// Of each view the changes that its store does not have, because a checkpoint was taken.
    earlier: Vec<Vec<(u64, DeltaBatch)>>,
    model: Model,
    random: Random,
    objects: Objects<'a>,
    stores: Vec<Arc<Store>>,
    table: Vec<(TableRow, usize)>,
    /// Of each view one subscriber, once it has come, and the version that it knows.
    subscribers: Vec<(Subscriber, u64)>,
    /// The subscribers come when so many records have been read.
    subscribe_after: i64,
    tick_records: usize,
    partitions_came: bool,
    /// Offsets of the first reader.
    read: Vec<i64>,
    looks: Vec<Look>,
    ending: bool,
}

/// When the clock begins, long after the event times of all streams.
const BEGINNING: i64 = 4_000_000_000 * SECOND;
/// Days that the clock moves at most until all partitions are idle.
const MAX_DAYS: usize = 100;

/// Runs a job; everything about it follows from `seed`.
pub(super) fn run(state: &SessionState, job: &Job<'_>, seed: u64) -> Result<Run, String> {
    let mut random = Random::new(seed, "drive");
    let clock = ManualClock::new(BEGINNING);
    let stream = Arc::clone(&job.stream);
    let reading = Random::new(seed, "broker");
    let broker = Arc::new(Mutex::new(Broker::new(
        Arc::clone(&stream),
        clock.clone(),
        reading,
    )));
    let limits = Limits {
        tick_records: *random.pick(&[1, 2, 5, 20, 1 << 16]),
        tick_micros: 50 * MILLI,
        join_records: *random.pick(&[0, 3, 10_000]),
        ..Limits::default()
    };
    let full = *random.pick(&[0, 0, 0, 20]);
    let disk = Random::new(seed, "disk");
    let journal = Entries(Arc::default(), Arc::new(Mutex::new(disk)), full);
    let timer: Arc<dyn Clock> = Arc::new(clock.clone());
    let total = stream.order.len() as i64;
    let partitions_came = broker.lock().known < stream.partitions.len();
    let mut driver = Driver {
        subscribe_after: random.between(0, total),
        core: Core::new(timer, Box::new(journal.clone()), Waker::default(), limits),
        model: Model::new(&stream),
        read: vec![0; stream.partitions.len()],
        clock,
        broker,
        stream,
        journal,
        limits,
        crashes: *random.pick(&[0, 0, 0, 0, 0, 0, 1, 4]),
        crashed: 0,
        checkpoint: None,
        parts: Parts::of(0),
        files: Vec::new(),
        unwritten: None,
        taken: 0,
        earlier: Vec::new(),
        random,
        objects: Objects::new(state),
        stores: Vec::new(),
        table: Vec::new(),
        subscribers: Vec::new(),
        tick_records: limits.tick_records,
        partitions_came,
        looks: Vec::new(),
        ending: false,
    };
    driver.create(job)?;
    driver.write_all(job)?;
    driver.end()?;
    driver.look(job)?;
    driver.finish(job)
}

/// Stands for the statement that makes the small table.
const TABLE: &str = "CREATE TABLE t";

fn statement(text: &str) -> Change {
    Change::Statement {
        text: text.to_owned(),
        at: 0,
    }
}

/// All changes of a store, each with its version, after those that it does not have.
fn whole_log(
    earlier: Option<&Vec<(u64, DeltaBatch)>>,
    store: &Store,
) -> Result<Vec<(u64, DeltaBatch)>, String> {
    let mut log = earlier.cloned().unwrap_or_default();
    let kept = store.changes_after(store.forgotten(), usize::MAX);
    log.extend(kept.map_err(text)?.batches);
    Ok(log)
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

impl Driver<'_> {
    fn create(&mut self, job: &Job<'_>) -> Result<(), String> {
        if let Some(table) = job.table {
            let mut changes = vec![statement(TABLE)];
            changes.extend(Objects::table(&table.first).map_err(text)?);
            self.apply(changes)?;
            self.note_table(&table.first);
        }
        let brokers = Brokers(Arc::clone(&self.broker));
        let source = self.objects.source(&job.source, &brokers, &self.stream);
        let mut changes = vec![statement(&job.source), source.map_err(text)?];
        let at_once = job.views.len() - usize::from(job.join_after.is_some());
        for (view, _) in &job.views[..at_once] {
            changes.extend(self.plan(view)?);
        }
        self.apply(changes)
    }

    /// Rows of the table that the tick before has brought.
    fn note_table(&mut self, rows: &[TableRow]) {
        let tick = self.model.tick;
        self.table
            .extend(rows.iter().cloned().map(|row| (row, tick)));
        let ids = rows.iter().map(|(id, _)| id.clone());
        self.model.table.extend(ids);
    }

    fn plan(&mut self, view: &str) -> Result<[Change; 2], String> {
        let (change, store) = self
            .objects
            .view(view)
            .map_err(|e| format!("{e:?}\n{view}"))?;
        self.stores.push(store);
        Ok([statement(view), change])
    }

    fn apply(&mut self, changes: Vec<Change>) -> Result<(), String> {
        let (reply, answer) = crossbeam_channel::bounded(1);
        self.core.apply(changes, reply);
        self.tick()?;
        answer.try_recv().map_err(text)?.map(drop).map_err(text)
    }

    /// Lets producers write and the engine read, a little at a time, up to the last rows.
    fn write_all(&mut self, job: &Job<'_>) -> Result<(), String> {
        let total = self.stream.order.len();
        let burst = self.random.between(1, total as i64 / 25 + 2);
        let mut written = 0;
        let mut join_after = job.join_after;
        let mut more = job.table.filter(|t| !t.more.is_empty());
        while written < total || self.backlog() > 0 {
            let most = if self.random.chance(5) {
                5 * burst
            } else {
                burst
            };
            for _ in 0..self.random.between(0, most).min((total - written) as i64) {
                self.broker.lock().written[self.stream.order[written]] += 1;
                written += 1;
            }
            self.discover(written == total);
            let pause = *self
                .random
                .pick(&[MILLI, 10 * MILLI, 300 * MILLI, SECOND, 3 * SECOND]);
            self.clock.advance(pause);
            self.tick()?;
            self.look_if_due(job)?;
            if self.crashed < MAX_CRASHES && self.random.chance(self.crashes) {
                self.crash(job)?;
            }
            let read: i64 = self.read.iter().sum();
            if let (Some((view, _)), true) = (
                job.views.last(),
                join_after.is_some_and(|after| read >= after),
            ) {
                join_after = None;
                let changes = self.plan(view)?;
                self.apply(changes.into())?;
            }
            if let Some(table) = more.filter(|t| read >= t.more_after) {
                more = None;
                self.apply(vec![Objects::insert(&table.more).map_err(text)?])?;
                self.note_table(&table.more);
            }
        }
        if let (Some((view, _)), true) = (job.views.last(), join_after.is_some()) {
            let changes = self.plan(view)?;
            self.apply(changes.into())?;
        }
        Ok(())
    }

    /// Lets partitions come into being.
    fn discover(&mut self, all: bool) {
        let total = self.stream.partitions.len();
        let mut broker = self.broker.lock();
        if all {
            broker.known = total;
        } else if broker.known < total && self.random.chance(10) {
            broker.known += 1;
        }
    }

    fn backlog(&self) -> i64 {
        self.broker.lock().backlog(&self.read)
    }

    /// Silence, then the rows that close everything, then time for what is gathered.
    fn end(&mut self) -> Result<(), String> {
        self.discover(true);
        for _ in 0..self.random.below(4) {
            let pause = self.random.between(1, 20) * SECOND;
            self.clock.advance(pause);
            self.tick()?;
        }
        self.ending = true;
        self.broker.lock().written.iter_mut().for_each(|w| *w += 1);
        while self.backlog() > 0 {
            self.clock.advance(10 * MILLI);
            self.tick()?;
        }
        let behind = |v: &ViewStatus| v.state == ViewState::CatchingUp;
        while self.core.status().views.iter().any(behind) {
            self.clock.advance(SECOND);
            self.tick()?;
        }
        let mut days = 0;
        while self.stream.wall && !self.model.partitions.iter().all(|p| p.idle) {
            self.clock.advance(DAY);
            self.tick()?;
            days += 1;
            if days > MAX_DAYS {
                return Err(format!("partitions are not idle after {MAX_DAYS} days"));
            }
        }
        for _ in 0..2 {
            self.clock.advance(10 * MINUTE);
            self.tick()?;
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), String> {
        self.broker.lock().deliveries.clear();
        let mut step = self.core.step().map_err(text)?;
        while self.core.stuck().is_some() {
            step.published |= self.core.step().map_err(text)?.published;
        }
        let ended = self.clock.now();
        // Flushed partial results are counted one by one, so the last rows stay together.
        if !self.ending && self.random.chance(15) {
            self.core.flush().map_err(text)?;
        }
        if !self.ending && self.crashes > 0 && self.random.chance(10) {
            self.keep_state()?;
        }
        let broker = self.broker.lock();
        for delivery in &broker.deliveries {
            self.read[delivery.partition] = delivery.offsets.end;
        }
        self.model
            .tick(&self.stream, ended, &broker.deliveries, &broker.at_end);
        drop(broker);
        self.check_time(step.published)?;
        if self.model.tick > MAX_TICKS {
            Err(format!("not done after {MAX_TICKS} ticks"))
        } else {
            Ok(())
        }
    }

    /// The engine's event time and cut log must be the model's.
    fn check_time(&self, published: bool) -> Result<(), String> {
        let status = self.core.status();
        let Some(source) = status.sources.first().filter(|s| s.health.is_some()) else {
            return Ok(());
        };
        let watermark = Watermark(self.model.watermark);
        let idle: Vec<bool> = source
            .partitions
            .iter()
            .map(|p| p.idle_since.is_some())
            .collect();
        let expected: Vec<bool> = self.model.partitions.iter().map(|p| p.idle).collect();
        if source.watermark != watermark || idle != expected {
            return Err(format!(
                "tick {}: watermark {:?} and idle {idle:?}, expected {watermark:?} and {expected:?}",
                self.model.tick, source.watermark
            ));
        }
        if !published {
            return Ok(());
        }
        let journal = self.journal.0.lock();
        let last = journal.last().ok_or("a version without an entry")?;
        let reads = last.events.iter().filter_map(|event| match event {
            Event::Read { feed: 0, to, .. } => Some(*to),
            _ => None,
        });
        let expected: Vec<i64> = self
            .broker
            .lock()
            .deliveries
            .iter()
            .map(|d| d.offsets.end)
            .collect();
        let reads: Vec<i64> = reads.collect();
        let told = last.times.iter().find(|time| time.feed == 0);
        if reads != expected || told.is_some_and(|t| t.watermark != self.model.watermark) {
            return Err(format!(
                "tick {}: the journal has {last:?}, expected reads to {expected:?}",
                self.model.tick
            ));
        }
        Ok(())
    }

    /// Makes a checkpoint. It is written at some later time, as it was.
    fn keep_state(&mut self) -> Result<(), String> {
        if let Some(state) = self.core.save().map_err(text)? {
            self.write_state()?;
            self.unwritten = Some((self.journal.0.lock().len(), state));
        }
        Ok(())
    }

    /// Writes the checkpoint that was made last.
    fn write_state(&mut self) -> Result<(), String> {
        if let Some((from, mut state)) = self.unwritten.take() {
            let number = self.files.len() as u64;
            let mut file = File::default();
            let mut next = self.parts.next(number, &mut file);
            state.resolve(&mut next).map_err(text)?;
            self.parts = next.finish();
            self.files.push(file.0);
            let bytes = rmp_serde::to_vec(&state).map_err(text)?;
            self.checkpoint = Some((from, bytes));
        }
        Ok(())
    }

    /// Ends the engine and everything it holds, and has another one take the newest checkpoint, if there is one and chance
    /// wants it, and run the journal again. It must give the same changes in the same versions.
    fn crash(&mut self, job: &Job<'_>) -> Result<(), String> {
        self.follow(job)?;
        self.write_state()?;
        let timer: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let journal = Box::new(self.journal.clone());
        self.core = Core::new(timer, journal, Waker::default(), self.limits);
        let before = std::mem::take(&mut self.stores);
        let earlier = std::mem::take(&mut self.earlier);
        self.objects = Objects::new(self.objects.state);
        self.broker.lock().forget_readers();
        let entries = self.journal.0.lock().clone();
        let takes = self.random.chance(70);
        // One that is not taken is damaged, and stays so.
        self.checkpoint = self.checkpoint.take().filter(|_| takes);
        let checkpoint = self.checkpoint.clone();
        let from = checkpoint.as_ref().map_or(0, |(from, _)| *from);
        let mut starts = Starts::default();
        entries[from..].iter().for_each(|entry| starts.note(entry));
        self.core.begin_replay(starts, Arc::default());
        if let Some((_, bytes)) = checkpoint {
            self.take(&bytes, &entries[..from], job)?;
            self.taken += 1;
        }
        for entry in &entries[from..] {
            let mut changes = Vec::new();
            for logged in &entry.changes {
                changes.push(self.changes_again(logged, job)?);
            }
            let mut changes = changes.into_iter();
            let changes_of = |_: &Logged| Ok(changes.next().unwrap_or_default());
            self.core.tick_again(entry, changes_of).map_err(text)?;
        }
        self.core.end_replay();
        self.crashed += 1;
        for (at, (store, (sql, _))) in before.iter().zip(&job.views).enumerate() {
            let log = whole_log(earlier.get(at), store)?;
            let forgotten = self.stores[at].forgotten();
            let (old, new) = log.into_iter().partition(|(v, _)| *v <= forgotten);
            self.earlier.push(old);
            let again = whole_log(None, &self.stores[at])?;
            self.compare(&lines(&new)?, &lines(&again)?, sql)?;
            let rows = |store: &Store| rows_of(&store.snapshot().map_err(text)?);
            if let Some(wrong) = difference(rows(&self.stores[at])?, rows(store)?) {
                return Err(format!("after a crash other rows: {wrong}\n  {sql}"));
            }
        }
        Ok(())
    }

    /// Takes a checkpoint.
    fn take(&mut self, bytes: &[u8], entries: &[Entry], job: &Job<'_>) -> Result<(), String> {
        let changes = entries.iter().flat_map(|entry| &entry.changes);
        let statements = changes.filter(|c| matches!(c, Logged::Statement { .. }));
        for statement in statements.cloned().collect::<Vec<_>>() {
            let changes = self.changes_again(&statement, job)?;
            self.core.change_again(changes).map_err(text)?;
        }
        let mut state: State = rmp_serde::from_slice(bytes).map_err(text)?;
        let files = &self.files;
        let index = |n: u64| usize::try_from(n).expect("files are few");
        let mut read = |at: PartAt| Ok(files[index(at.file)][index(at.at)].clone());
        state.fetch(&mut read).map_err(text)?;
        self.core.load(state).map_err(text)
    }

    fn compare(&self, before: &[String], after: &[String], sql: &str) -> Result<(), String> {
        if before == after {
            return Ok(());
        }
        let at = before.iter().zip(after).position(|(a, b)| a != b);
        let at = at.unwrap_or(before.len().min(after.len()));
        Err(format!(
            "tick {}: after a crash change {at} is {:?}, and was {:?}\n  {sql}",
            self.model.tick,
            after.get(at),
            before.get(at)
        ))
    }

    fn changes_again(&mut self, logged: &Logged, job: &Job<'_>) -> Result<Vec<Change>, String> {
        Ok(match logged {
            Logged::Statement { text: sql, .. } if sql == TABLE => {
                // Its rows are in the journal.
                Objects::table(&[])
                    .map_err(text)?
                    .into_iter()
                    .take(1)
                    .collect()
            }
            Logged::Statement { text: sql, .. } if *sql == job.source => {
                let brokers = Brokers(Arc::clone(&self.broker));
                let source = self.objects.source(sql, &brokers, &self.stream);
                vec![source.map_err(text)?]
            }
            Logged::Statement { text: sql, .. } => self.plan(sql)?.into(),
            Logged::Insert { table, rows } => vec![Change::Insert {
                table: table.clone(),
                rows: from_ipc(&rows.0).map_err(text)?,
            }],
            Logged::AdvanceWatermark { .. } => return Err("nobody moved a watermark".to_owned()),
        })
    }

    fn look_if_due(&mut self, job: &Job<'_>) -> Result<(), String> {
        let read: i64 = self.read.iter().sum();
        if self.subscribers.is_empty() && job.join_after.is_none() && read >= self.subscribe_after {
            for store in &self.stores {
                let (rows, version) = store.snapshot_at().map_err(text)?;
                let subscriber = Subscriber::new(rows_of(&rows)?);
                self.subscribers.push((subscriber, version));
            }
        }
        let due = match job.looks {
            Looks::Every => true,
            Looks::After(records) => {
                let seen = self.looks.len();
                records.iter().filter(|after| read >= **after).count() > seen
            }
        };
        if due { self.look(job) } else { Ok(()) }
    }

    /// Looks at all views, and lets the subscribers follow up to here.
    fn look(&mut self, job: &Job<'_>) -> Result<(), String> {
        self.follow(job)?;
        let snapshot = |s: &Arc<Store>| rows_of(&s.snapshot().map_err(text)?);
        let views: Vec<Rows> = self.stores.iter().map(snapshot).collect::<Result<_, _>>()?;
        self.looks.push(Look {
            tick: self.model.tick,
            watermark: self.model.watermark,
            views,
        });
        Ok(())
    }

    /// Lets the subscribers follow up to here: they must then have the rows of their views.
    fn follow(&mut self, job: &Job<'_>) -> Result<(), String> {
        let followers = self.subscribers.iter_mut().zip(&self.stores);
        for (((subscriber, version), store), (sql, distinct)) in followers.zip(&job.views) {
            let rows = rows_of(&store.snapshot().map_err(text)?)?;
            let changes = store.changes_after(*version, usize::MAX).map_err(text)?;
            *version = changes.version;
            let followed = subscriber.follow(&changes.batches, *distinct);
            let wrong = followed.map(|()| difference(subscriber.rows(), rows));
            if let Some(wrong) = wrong.unwrap_or_else(Some) {
                return Err(format!(
                    "tick {}: a subscriber has other rows than the view: {wrong}\n  {sql}",
                    self.model.tick
                ));
            }
        }
        Ok(())
    }

    fn finish(self, job: &Job<'_>) -> Result<Run, String> {
        let status = self.core.status();
        let (errors, late) = self.objects.aside().ok_or("there is no source")?;
        let mut late_of = late_times(&late.snapshot().map_err(text)?);
        let mut views = Vec::new();
        let sqls = job.views.iter().map(|(sql, _)| sql);
        for (at, ((store, status), sql)) in
            self.stores.iter().zip(status.views).zip(sqls).enumerate()
        {
            if status.state != ViewState::Running {
                return Err(format!("view {} is {:?}\n{sql}", status.name, status.state));
            }
            views.push(Outcome {
                rows: rows_of(&store.snapshot().map_err(text)?)?,
                log: whole_log(self.earlier.get(at), store)?,
                late: late_of.remove(&status.name).unwrap_or_default(),
                status,
            });
        }
        let source = status
            .sources
            .into_iter()
            .next()
            .ok_or("the source is gone")?;
        Ok(Run {
            model: self.model,
            source,
            views,
            looks: self.looks,
            table: self.table,
            subscribed: !self.subscribers.is_empty()
                && self.subscribe_after < self.stream.order.len() as i64,
            tick_records: self.tick_records,
            partitions_came: self.partitions_came,
            crashed: self.crashed,
            taken: self.taken,
            bad: places(&errors.snapshot().map_err(text)?),
        })
    }
}
