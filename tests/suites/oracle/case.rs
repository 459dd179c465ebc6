//! One case: a stream, one or two views over it, and what must be in them.

use std::sync::Arc;

use dataflow::time::{MILLI, SECOND};
use datafusion::execution::SessionState;
use tokio::runtime::Runtime;

use super::batch::Batch;
use super::compare::{Rows, Value, difference, line, rows_of, sum};
use super::drive::{self, Job, Outcome, Run};
use super::model::{Placed, Sessions, late_rows, spread};
use super::query::{Cut, Mistake, Windowed};
use super::random::Random;
use super::stream::{Interest, Stream, Times, generate};
use super::window::{KINDS, Kind, Window, interval};
use super::words::{K, aggregates, condition};

/// A view and what it must hold.
struct View {
    create: String,
    what: What,
    /// Corrected while windows are open; changes wait so long at most.
    every: Option<i64>,
}

enum What {
    /// A window over the stream.
    Windowed(Windowed),
    /// The first rows of each window, by count; over the view before, or with the window inside.
    Top { of: Windowed, limit: usize, inside: bool },
    /// A window over a windowed view, which may be corrected itself.
    Cascade { inner: Windowed, outer: Windowed, corrected: bool },
    /// Rows with their windows, not grouped.
    Assigned(Windowed),
    /// A query without windows over relation `log` or `s`.
    Plain { sql: String, groups: bool },
}

impl View {
    /// Whether no two rows are alike, so that changes in one version cannot cancel each other.
    fn rows_are_distinct(&self) -> bool {
        match &self.what {
            What::Windowed(query) | What::Cascade { outer: query, .. } => query.rows_are_distinct(),
            What::Top { .. } => true,
            What::Assigned(_) => false,
            What::Plain { groups, .. } => *groups,
        }
    }
}

/// What a case tells about itself.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) kinds: Vec<&'static str>,
    pub(super) rows: usize,
    pub(super) results: usize,
    pub(super) ticks: usize,
    pub(super) late: u64,
    pub(super) in_time: bool,
    pub(super) idle: bool,
    pub(super) joined: bool,
    pub(super) looked: bool,
    pub(super) windows: usize,
    pub(super) spread: usize,
}

/// What all cases need.
pub(super) struct World {
    pub(super) state: SessionState,
    pub(super) runtime: Runtime,
}

/// One case.
pub(super) struct Case {
    seed: u64,
    stream: Arc<Stream>,
    source: String,
    /// The first window over the stream, if there is one.
    window: Option<Windowed>,
    views: Vec<View>,
    kinds: Vec<&'static str>,
    join_after: Option<i64>,
    look_after: Option<i64>,
}

const EVERY: [i64; 4] = [MILLI, MILLI, 700 * MILLI, 20 * SECOND];

impl Case {
    /// The case that follows from a seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, "case");
        let kind = *random.pick(&KINDS);
        match random.below(100) {
            0..75 => Self::windowed(seed, random, kind),
            75..84 => Self::top(seed, random, kind),
            84..94 => Self::cascade(seed, random, kind),
            94..96 => Self::assigned(seed, random, kind),
            _ => Self::plain(seed, random),
        }
    }

    fn begin(seed: u64, interest: &Interest) -> Self {
        let stream = generate(&mut Random::new(seed, "stream"), interest);
        let format = match stream.times {
            Times::Micros => "epoch_us",
            Times::Millis => "epoch_ms",
            Times::Iso => "iso8601",
        };
        let delay = format!("{}.{:06}", stream.delay / SECOND, stream.delay % SECOND);
        let source = format!(
            "CREATE SOURCE s (k TEXT, n BIGINT, x DOUBLE PRECISION, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts - INTERVAL \
             '{delay} seconds') WITH (connector = 'sim', timestamp.format = '{format}') FORMAT PLAIN ENCODE JSON"
        );
        Self {
            seed,
            stream: Arc::new(stream),
            source,
            window: None,
            views: Vec::new(),
            kinds: Vec::new(),
            join_after: None,
            look_after: None,
        }
    }

    fn add(&mut self, random: &mut Random, sql: &str, what: What, every: Option<i64>) {
        let name = format!("v{}", self.views.len());
        let emit = match every {
            // EMIT belongs to a query with a window.
            None if matches!(what, What::Plain { .. } | What::Assigned(_) | What::Top { inside: false, .. }) => {
                String::new()
            }
            None => (*random.pick(&["", " EMIT ON WINDOW CLOSE", " EMIT FINAL"])).to_owned(),
            Some(SECOND) => " EMIT ON UPDATE".to_owned(),
            Some(every) => format!(" EMIT ON UPDATE EVERY {}", interval(every, false)),
        };
        let groups = matches!(what, What::Plain { groups: true, .. });
        let options = if groups { " WITH (unbounded_state = true)" } else { "" };
        let create = format!("CREATE MATERIALIZED VIEW {name}{options} AS {sql}{emit}");
        self.views.push(View { create, what, every });
    }

    fn done(mut self, mut random: Random) -> Self {
        let total = self.stream.order.len() as i64;
        if self.views.len() > 1 && self.stream.in_time && random.chance(50) {
            self.join_after = Some(random.between(0, total));
        } else if random.chance(30) {
            self.look_after = Some(random.between(0, total));
        }
        self
    }

    fn windowed(seed: u64, mut random: Random, kind: Kind) -> Self {
        let mut query = Windowed::random(&mut random, kind);
        let mut case = Self::begin(seed, &query.interest());
        query.bind(&mut random, &case.stream);
        let sql = query.continuous("s", "ts");
        let (close, update) = *random.pick(&[(true, false), (true, false), (false, true), (true, true), (true, true)]);
        if close {
            case.kinds.push(name_of(kind, false));
            case.add(&mut random, &sql, What::Windowed(query.clone()), None);
        }
        if update {
            let every = *random.pick(&EVERY);
            case.kinds.push(name_of(kind, true));
            case.add(&mut random, &sql, What::Windowed(query.clone()), Some(every));
        }
        case.window = Some(query);
        case.done(random)
    }

    fn top(seed: u64, mut random: Random, kind: Kind) -> Self {
        let kind = if kind == Kind::Session { Kind::Hop } else { kind };
        let of = Windowed::inner(&mut random, kind);
        let mut case = Self::begin(seed, &of.interest());
        let limit = 1 + random.below(4);
        let every = random.chance(50).then(|| *random.pick(&EVERY));
        let inside = random.chance(50);
        let sql = of.continuous("s", "ts");
        case.kinds.push(if every.is_some() { "top-n, updating" } else { "top-n" });
        if inside {
            case.add(&mut random, &top_sql(&format!("({sql})"), limit), What::Top { of: of.clone(), limit, inside }, every);
        } else {
            case.add(&mut random, &sql, What::Windowed(of.clone()), every);
            case.add(&mut random, &top_sql("v0", limit), What::Top { of: of.clone(), limit, inside }, every);
        }
        case.window = Some(of);
        case.done(random)
    }

    fn cascade(seed: u64, mut random: Random, kind: Kind) -> Self {
        let inner = Windowed::inner(&mut random, kind);
        let second = *random.pick(&[Kind::Hop, Kind::Hop, Kind::Tumble, Kind::Session]);
        let outer = Windowed::outer(&mut random, second, &inner);
        let (below, above) = (inner.interest(), outer.interest());
        let interest = Interest { tail: below.tail + above.tail, ..below };
        let mut case = Self::begin(seed, &interest);
        let corrected = random.chance(30).then(|| *random.pick(&EVERY));
        let every = random.chance(30).then(|| *random.pick(&EVERY));
        case.kinds.push("cascade");
        case.add(&mut random, &inner.continuous("s", "ts"), What::Windowed(inner.clone()), corrected);
        let what = What::Cascade { inner: inner.clone(), outer: outer.clone(), corrected: corrected.is_some() };
        case.add(&mut random, &outer.continuous("v0", "window_time"), what, every);
        case.window = Some(inner);
        case.done(random)
    }

    fn assigned(seed: u64, mut random: Random, kind: Kind) -> Self {
        let kind = if kind == Kind::Session { Kind::Hop } else { kind };
        let query = Windowed::assigned(&mut random, kind);
        let mut case = Self::begin(seed, &query.interest());
        case.kinds.push("not grouped");
        case.add(&mut random, &query.continuous("s", "ts"), What::Assigned(query.clone()), None);
        case.window = Some(query);
        case.done(random)
    }

    fn plain(seed: u64, mut random: Random) -> Self {
        let interest = Window::random(&mut random, Kind::Tumble).interest();
        let mut case = Self::begin(seed, &interest);
        let condition = condition(&mut random, 70).map_or(String::new(), |c| format!(" WHERE {}", c.sql));
        let groups = random.chance(60);
        let sql = if groups && random.chance(30) {
            format!("SELECT {} FROM s{condition}", aggregates(&mut random).join(", "))
        } else if groups {
            format!("SELECT {}, {} FROM s{condition} GROUP BY {}", K.sql, aggregates(&mut random).join(", "), K.sql)
        } else {
            format!("SELECT k, n * 2 AS twice, upper(k) AS u, ts FROM s{condition}")
        };
        case.kinds.push(if groups { "group by" } else { "filter" });
        let every = groups.then(|| *random.pick(&EVERY));
        case.add(&mut random, &sql, What::Plain { sql: sql.replace("FROM s", "FROM log"), groups }, every);
        case.done(random)
    }

    /// Runs the case; an error tells how it went wrong. With a mistake it should.
    pub(super) fn check(&self, world: &World, mistake: Mistake) -> Result<Facts, String> {
        self.checked(world, mistake).map_err(|error| format!("{}\n{error}", self.describe()))
    }

    fn describe(&self) -> String {
        let mut text = format!(
            "seed {}: {} records in {} partitions, delay {} us, idle after {} us{}\n  {}",
            self.seed,
            self.stream.order.len(),
            self.stream.partitions.len(),
            self.stream.delay,
            self.stream.idle_after,
            if self.stream.in_time { ", no row can be late" } else { "" },
            self.source
        );
        for view in &self.views {
            text += &format!("\n  {}", view.create);
        }
        text
    }

    fn run(&self, world: &World) -> Result<Run, String> {
        let views: Vec<String> = self.views.iter().map(|v| v.create.clone()).collect();
        let job = Job {
            stream: Arc::clone(&self.stream),
            source: self.source.clone(),
            views: &views,
            join_after: self.join_after,
            look_after: self.look_after,
        };
        drive::run(&world.state, &job, self.seed)
    }

    fn checked(&self, world: &World, mistake: Mistake) -> Result<Facts, String> {
        let run = self.run(world)?;
        let placed = &run.model.placed;
        let last = self.reference(world, placed, mistake)?;
        let mut facts = self.facts(&run);
        for (view, outcome) in self.views.iter().zip(&run.views) {
            let about = |e: String| format!("view {}: {e}", outcome.status.name);
            let expected = last.query(&self.sql(view, run.model.watermark, mistake))?;
            facts.results += expected.len();
            let groups = expected.len() as u64;
            if let Some(wrong) = difference(outcome.rows.clone(), expected) {
                return Err(about(wrong));
            }
            if let Some(wrong) = difference(sum(&outcome.log, view.rows_are_distinct()).map_err(about)?, outcome.rows.clone()) {
                return Err(about(format!("the sum of its changes: {wrong}")));
            }
            self.check_counters(view, outcome, placed, groups).map_err(about)?;
            self.check_conservation(view, outcome, &run).map_err(about)?;
        }
        self.check_source(&run)?;
        self.check_middle(world, &run, mistake)?;
        if self.seed % 16 == 0 {
            self.check_replay(world, &run)?;
        }
        if let Some(window) = &self.window {
            facts.late = late_rows(window, placed);
            (facts.windows, facts.spread) = spread(window, placed);
        }
        Ok(facts)
    }

    fn facts(&self, run: &Run) -> Facts {
        Facts {
            kinds: self.kinds.clone(),
            rows: run.model.placed.len(),
            ticks: run.model.tick,
            in_time: self.stream.in_time,
            idle: run.model.was_idle,
            joined: self.join_after.is_some(),
            looked: run.middle.is_some(),
            ..Facts::default()
        }
    }

    /// Plain SQL over placed rows; their sessions are assigned here only where lateness decides on them.
    fn reference<'a>(&self, world: &'a World, placed: &[Placed], mistake: Mistake) -> Result<Batch<'a>, String> {
        let sessions = match (&self.window, self.stream.in_time) {
            (Some(window), false) => Sessions::assign(window, placed, mistake).of,
            _ => Vec::new(),
        };
        Batch::new(&world.state, &world.runtime, placed, &sessions)
    }

    /// A view's rows as plain SQL, when the watermark is `watermark`.
    fn sql(&self, view: &View, watermark: i64, mistake: Mistake) -> String {
        let cut = |closed: bool| Cut {
            relation: "log",
            closed_by: closed.then_some(watermark),
            sessions: !self.stream.in_time,
            mistake,
        };
        match &view.what {
            What::Windowed(query) => query.plain(cut(view.every.is_none())),
            What::Top { of, limit, .. } => top_sql(&format!("({})", of.plain(cut(view.every.is_none()))), *limit),
            What::Cascade { inner, outer, .. } => {
                let relation = format!(
                    "(SELECT k, c, s, window_time AS ts, -9000000000000000000 AS wm, 0 AS o, 0 AS p FROM ({}))",
                    inner.plain(cut(true))
                );
                outer.plain(Cut { relation: &relation, closed_by: None, sessions: false, mistake: Mistake::None })
            }
            What::Assigned(query) => query.plain(cut(false)),
            What::Plain { sql, .. } => sql.clone(),
        }
    }

    /// Late rows are counted as they are, and all that is left is what the last rows made.
    fn check_counters(&self, view: &View, outcome: &Outcome, placed: &[Placed], groups: u64) -> Result<(), String> {
        let last = &self.stream.last;
        let windows = |q: &Windowed| if q.reaches_window(last) { q.window.starts(last.ts).len() as u64 } else { 0 };
        let state = |q: &Windowed, updating: bool| match q.window.kind() {
            Kind::Tumble | Kind::Hop if updating => windows(q),
            _ => u64::from(q.reaches_window(last)),
        };
        let updating = view.every.is_some();
        let (query, kept) = match &view.what {
            What::Windowed(query) => (Some(query), state(query, updating)),
            What::Top { of, inside, .. } => {
                let held = if updating { windows(of) } else { 0 };
                let below = if *inside { state(of, updating) } else { 0 };
                (inside.then_some(of), held + below)
            }
            What::Cascade { inner, corrected, .. } => {
                (corrected.then_some(inner), if *corrected { state(inner, false) } else { 0 })
            }
            What::Assigned(query) => (Some(query), 0),
            What::Plain { groups: true, .. } => (None, groups),
            What::Plain { groups: false, .. } => (None, 0),
        };
        let counters = outcome.status.counters;
        if counters.state_rows != kept {
            return Err(format!("keeps {} rows at the end, expected {kept}", counters.state_rows));
        }
        // A condition of HAVING on keys alone would be pushed below the window; there is none.
        let late = query.map_or(0, |q| late_rows(q, placed));
        if counters.late_rows != late {
            return Err(format!("counts {} late rows, expected {late}", counters.late_rows));
        }
        Ok(())
    }

    /// Of TUMBLE: rows in windows and late rows together are the good rows.
    fn check_conservation(&self, view: &View, outcome: &Outcome, run: &Run) -> Result<(), String> {
        let What::Windowed(query) = &view.what else { return Ok(()) };
        let Some(at) = query.counts_everything() else { return Ok(()) };
        let in_windows: i64 = outcome.rows.iter().map(|row| if let Value::Int(n) = row[at] { n } else { 0 }).sum();
        let counts = &run.source.counts;
        let open = if view.every.is_some() { 0 } else { self.stream.partitions.len() as u64 };
        let good = counts.records - counts.bad - counts.tombstones - open;
        let windowed = in_windows as u64 + outcome.status.counters.late_rows;
        if windowed == good { Ok(()) } else { Err(format!("{windowed} rows in windows or late, {good} good rows")) }
    }

    fn check_source(&self, run: &Run) -> Result<(), String> {
        let records = self.stream.partitions.iter().flatten();
        let tombstones = records.clone().filter(|r| r.payload.is_none()).count() as u64;
        let bad = records.clone().filter(|r| r.row.is_none()).count() as u64 - tombstones;
        let expected = (records.count() as u64, bad, tombstones);
        let counts = &run.source.counts;
        let found = (counts.records, counts.bad, counts.tombstones);
        if found == expected {
            Ok(())
        } else {
            Err(format!("{found:?} records, bad ones and tombstones, expected {expected:?}"))
        }
    }

    /// What views held in the middle, where that does not depend on when changes come out.
    fn check_middle(&self, world: &World, run: &Run, mistake: Mistake) -> Result<(), String> {
        let Some(middle) = &run.middle else { return Ok(()) };
        let before: Vec<Placed> = run.model.placed.iter().filter(|p| p.tick <= middle.tick).cloned().collect();
        let reference = self.reference(world, &before, mistake)?;
        for (view, found) in self.views.iter().zip(&middle.views) {
            let exact = view.every.is_none_or(|every| every <= MILLI);
            if !exact || matches!(view.what, What::Cascade { .. }) {
                continue;
            }
            let expected = reference.query(&self.sql(view, middle.watermark, mistake))?;
            if let Some(wrong) = difference(found.clone(), expected) {
                return Err(format!("after tick {}: {wrong}\n  {}", middle.tick, view.create));
            }
        }
        Ok(())
    }

    /// The same cuts give the same changes, bit by bit.
    fn check_replay(&self, world: &World, run: &Run) -> Result<(), String> {
        let again = self.run(world)?;
        let lines = |outcome: &Outcome| -> Result<Vec<String>, String> {
            let mut lines = Vec::new();
            for (version, batch) in &outcome.log {
                let rows: Rows = rows_of(std::slice::from_ref(&batch.rows))?;
                let shown = rows.iter().enumerate();
                lines.extend(shown.map(|(at, row)| format!("{version} {} {}", batch.weights.get(at), line(row))));
            }
            Ok(lines)
        };
        for (first, second) in run.views.iter().zip(&again.views) {
            let (first, second) = (lines(first)?, lines(second)?);
            if first != second {
                let at = first.iter().zip(&second).position(|(a, b)| a != b).unwrap_or(0);
                return Err(format!(
                    "the same run gave other changes: {:?} and then {:?}",
                    first.get(at),
                    second.get(at)
                ));
            }
        }
        Ok(())
    }
}

fn name_of(kind: Kind, updating: bool) -> &'static str {
    match (kind, updating) {
        (Kind::Tumble, false) => "tumble",
        (Kind::Tumble, true) => "tumble, updating",
        (Kind::Hop, false) => "hop",
        (Kind::Hop, true) => "hop, updating",
        (Kind::Session, false) => "session",
        (Kind::Session, true) => "session, updating",
    }
}

fn top_sql(of: &str, limit: usize) -> String {
    format!(
        "SELECT k, window_start, c, r FROM (SELECT k, window_start, window_end, c, ROW_NUMBER() OVER (PARTITION BY \
         window_start, window_end ORDER BY c DESC, k ASC NULLS FIRST) AS r FROM {of} AS q) AS t WHERE r <= {limit}"
    )
}
