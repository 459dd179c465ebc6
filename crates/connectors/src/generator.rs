//! The connector `generator`: seeded clicks, each due at its own moment. All readers of a source get the same ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clicks::{ClickConfig, ClickGenerator, Mix};
use dataflow::connector::{
    Connector, Health, OpenRequest, Partition, PollLimits, Position, SourceFactory, SourceReader,
    Wants,
};
use dataflow::options::{Options, bad_value};
use dataflow::time::{MILLI, SECOND};
use dataflow::wake::Waker;
use dataflow::{Clock, Error, Micros, Result, Slab, Span, SqlState};

use crate::number;

/// Rows a second unless told otherwise, as in Flink.
const RATE: u64 = 10_000;
/// Most rows a second.
const MAX_RATE: u64 = 10_000_000;
/// Most rows of a bounded generator.
const MAX_ROWS: u64 = 1 << 50;
/// Most users, pages and sessions.
const MAX_COUNT: u64 = 10_000_000;
/// Rows that one poll passes over while a reader that starts in the middle makes its way there.
const SKIPPED: usize = 1 << 17;
/// The shortest and the longest time between two looks at the clock.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// What messages and status rows call it.
const NAME: &str = "generator";

/// Makes clicks: `WITH (connector = 'generator', rows_per_second = 100, …)`.
pub(crate) struct GeneratorConnector {
    clock: Arc<dyn Clock>,
}

impl GeneratorConnector {
    /// Clicks are due by `clock`.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

impl Connector for GeneratorConnector {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encodings(&self) -> &'static [&'static str] {
        &["JSON"]
    }

    fn source(&self, options: &mut Options) -> Result<Arc<dyn SourceFactory>> {
        let rate = number::take(
            options,
            "rows_per_second",
            &["rows-per-second"],
            1..=MAX_RATE,
        )?;
        let rows = number::take(options, "number_of_rows", &["number-of-rows"], 1..=MAX_ROWS)?;
        let begin = take_start(options)?.unwrap_or_else(|| options.time());
        Ok(Arc::new(GeneratorSource {
            clicks: take_clicks(options)?,
            pace: Pace {
                begin,
                rate: rate.unwrap_or(RATE),
                rows,
            },
            clock: Arc::clone(&self.clock),
        }))
    }
}

fn take_start(options: &mut Options) -> Result<Option<Micros>> {
    let Some(entry) = options.take_any("start_time", &[])? else {
        return Ok(None);
    };
    match chrono::DateTime::parse_from_rfc3339(entry.value.trim()) {
        Ok(at) => Ok(Some(at.timestamp_micros())),
        Err(_) => Err(bad_value(&entry, "is not a time")
            .hint("write an RFC 3339 time such as '2026-01-01T00:00:00Z'")),
    }
}

fn take_clicks(options: &mut Options) -> Result<ClickConfig> {
    let usual = ClickConfig::default();
    let mut count = |name, usual: u32| {
        let given = number::take(options, name, &[], 1..=MAX_COUNT)?;
        Ok::<u32, Error>(given.and_then(|n| u32::try_from(n).ok()).unwrap_or(usual))
    };
    let users = count("users", usual.users)?;
    let pages = count("pages", usual.pages)?;
    let active_sessions = count("sessions", usual.active_sessions)?;
    let mix = match options.take_any("mix", &[])? {
        Some(entry) => entry
            .value
            .parse::<Mix>()
            .map_err(|what| bad_value(&entry, "is not a mix of kinds").detail(what))?,
        None => usual.mix,
    };
    Ok(ClickConfig {
        seed: number::take(options, "seed", &[], 0..=u64::MAX)?.unwrap_or(usual.seed),
        mix,
        users,
        pages,
        active_sessions,
        late: number::take_share(options, "late_share")?.unwrap_or(usual.late),
        bad: number::take_share(options, "bad_share")?.unwrap_or(usual.bad),
    })
}

/// When rows are due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// The first row's moment.
    begin: Micros,
    /// Rows a second.
    rate: u64,
    /// Rows in all.
    rows: Option<u64>,
}

impl Pace {
    /// When row number `index` is due.
    fn moment(&self, index: i64) -> Micros {
        let since = i128::from(index) * i128::from(SECOND) / i128::from(self.rate);
        self.begin
            .saturating_add(Micros::try_from(since).unwrap_or(Micros::MAX))
    }

    /// Rows that are due by `now`.
    fn due(&self, now: Micros) -> i64 {
        let since = i128::from(now) - i128::from(self.begin);
        if since < 0 {
            return 0;
        }
        let due = since * i128::from(self.rate) / i128::from(SECOND) + 1;
        let due = i64::try_from(due).unwrap_or(i64::MAX);
        self.last().map_or(due, |last| due.min(last))
    }

    fn last(&self) -> Option<i64> {
        self.rows.and_then(|rows| i64::try_from(rows).ok())
    }
}

#[derive(Clone)]
struct GeneratorSource {
    clicks: ClickConfig,
    pace: Pace,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for GeneratorSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.clicks, self.pace)
    }
}

impl SourceFactory for GeneratorSource {
    fn open(&self, request: OpenRequest) -> Result<Box<dyn SourceReader>> {
        let now = self.clock.now();
        let stop = match (request.bounded, self.pace.last()) {
            (true, _) => Some(self.pace.due(now)),
            (false, last) => last,
        };
        let partition = Partition {
            topic: NAME.into(),
            id: 0,
            position: request.positions.first().map_or(0, |p| p.offset.max(0)),
            end: self.pace.due(now),
            at_end: false,
            stop,
            note: None,
        };
        let timer = Timer::start(request.waker, self.pace.rate)?;
        Ok(Box::new(GeneratorReader {
            generator: ClickGenerator::new(&self.clicks),
            pace: self.pace,
            clock: Arc::clone(&self.clock),
            wants: request.wants,
            partition: [partition],
            made: 0,
            record: Vec::new(),
            paused: false,
            timer,
        }))
    }

    fn topic(&self) -> String {
        NAME.to_owned()
    }
}

struct GeneratorReader {
    generator: ClickGenerator,
    pace: Pace,
    clock: Arc<dyn Clock>,
    wants: Wants,
    partition: [Partition; 1],
    /// Rows made so far; below the position while the reader makes its way there.
    made: i64,
    record: Vec<u8>,
    paused: bool,
    timer: Timer,
}

impl GeneratorReader {
    /// Makes the next row; it is kept when the reader's position has been reached.
    fn make(&mut self, slab: &mut Slab) {
        let millis = self.pace.moment(self.made).div_euclid(MILLI);
        let meta = self.generator.next_event(millis, &mut self.record);
        if self.made == self.partition[0].position {
            slab.push(Some(&self.record), self.made, millis);
            let value = slab.values.last().copied().unwrap_or(Span::NULL);
            if self.wants.keys {
                let at = |at: usize| u32::try_from(at).map_or(value.end, |at| value.start + at);
                slab.keys.push(Span {
                    start: at(meta.key.start),
                    end: at(meta.key.end),
                });
            }
            self.partition[0].position += 1;
        }
        self.made += 1;
    }
}

impl SourceReader for GeneratorReader {
    fn partitions(&self) -> &[Partition] {
        &self.partition
    }

    fn poll(&mut self, slab: &mut Slab, limits: PollLimits) -> Result<()> {
        slab.clear();
        slab.partition = 0;
        slab.topic = Arc::clone(&self.partition[0].topic);
        let due = self.pace.due(self.clock.now()).max(self.partition[0].end);
        let until = self.partition[0].stop.map_or(due, |stop| stop.min(due));
        self.partition[0].end = due;
        let mut skipped = 0;
        while !self.paused
            && self.made < until
            && slab.len() < limits.max_records
            && slab.data.len() < limits.max_bytes
            && skipped < SKIPPED
        {
            skipped += usize::from(self.made < self.partition[0].position);
            self.make(slab);
        }
        self.partition[0].at_end = self.partition[0].position >= due;
        if skipped == SKIPPED {
            self.timer.waker.wake();
        }
        if self.partition[0].finished() {
            self.timer.stop();
        }
        Ok(())
    }

    fn set_paused(&mut self, _partition: usize, paused: bool) {
        self.paused = paused;
    }

    fn commit(&mut self, _positions: &[Position]) {
        // There is no group to tell.
    }

    fn health(&self) -> Health {
        Health::Running
    }
}

/// Wakes the reader's owner again and again, for rows become due by themselves.
struct Timer {
    waker: Waker,
    stopped: Arc<AtomicBool>,
    nap: Waker,
}

impl Timer {
    fn start(waker: Waker, rate: u64) -> Result<Self> {
        let timer = Self {
            waker,
            stopped: Arc::default(),
            nap: Waker::default(),
        };
        let (waker, nap) = (timer.waker.clone(), timer.nap.clone());
        let stopped = Arc::clone(&timer.stopped);
        let pause = (Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX))
            .clamp(LOOKS.0, LOOKS.1);
        let run = move || {
            while !stopped.load(Ordering::Acquire) {
                nap.sleep(pause);
                waker.wake();
            }
        };
        let started = std::thread::Builder::new().name(NAME.to_owned()).spawn(run);
        started.map_err(|error| {
            let message = format!("cannot start a thread for the generator: {error}");
            Error::new(SqlState::CONFIGURATION_LIMIT, message)
        })?;
        Ok(timer)
    }

    fn stop(&self) {
        if !self.stopped.swap(true, Ordering::AcqRel) {
            self.nap.wake();
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
