//! One case: a random stream and one or two random views over it.

mod composed;

use std::collections::BTreeSet;
use std::sync::Arc;

use dataflow::time::SECOND;

use super::carried::Carried;
use super::emission::{clause, every, with_lateness};
use super::forms;
use super::join::Join;
use super::plain::Plain;
use super::query::Windowed;
use super::random::Random;
use super::stream::{Interest, Stream, Times, generate};
use super::table::Table;
use super::window::{KINDS, Kind};

/// A view and what it must hold.
pub(super) struct View {
    pub(super) create: String,
    /// Its query, without EMIT.
    pub(super) select: String,
    pub(super) what: What,
    /// Corrected while windows are open; changes wait so long at most.
    pub(super) every: Option<i64>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a case has three of them at most"
)]
pub(super) enum What {
    /// A window over the stream.
    Windowed(Windowed),
    /// The first rows of each window, by count; over the view before, or with the window inside.
    Top {
        of: Windowed,
        limit: usize,
        inside: bool,
    },
    /// The first rows of each window and key, not grouped.
    First { of: Windowed, limit: usize },
    /// A window over a windowed view, which may be corrected itself.
    Cascade {
        inner: Windowed,
        /// One more between the two.
        middle: Option<Windowed>,
        outer: Windowed,
        /// The windowed view may be corrected itself; without one the first window stands in a subquery.
        over: Below,
    },
    /// The rows of two windows.
    Both(Windowed, Windowed),
    /// Rows with their windows, not grouped.
    Assigned(Windowed),
    /// Rows of a window joined with those of the same window.
    Joined(Join),
    /// Rows grouped by the window that they carry.
    Carried(Carried),
    /// A query without windows.
    Plain(Plain),
}

/// What a window over a window reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Below {
    View,
    CorrectedView,
    Subquery,
}

/// When to look at all views, beside the end.
#[derive(Clone, Debug)]
pub(super) enum Looks {
    /// After every tick.
    Every,
    /// After the ticks in which so many records have been read.
    After(Vec<i64>),
}

/// One case.
pub(super) struct Case {
    pub(super) seed: u64,
    pub(super) stream: Arc<Stream>,
    pub(super) source: String,
    /// The small table, when a view reads it.
    pub(super) table: Option<Table>,
    /// The first window over the stream, if there is one.
    pub(super) window: Option<Windowed>,
    pub(super) views: Vec<View>,
    /// What kinds of views these are.
    pub(super) kinds: Vec<&'static str>,
    /// All that the case is made of, by the names of the register.
    pub(super) forms: BTreeSet<&'static str>,
    pub(super) join_after: Option<i64>,
    pub(super) looks: Looks,
}

/// Streams of at most so many records are looked at after every tick.
const EVERY_TICK: usize = 60;

impl Case {
    /// The case that follows from a seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, "case");
        let kind = *random.pick(&KINDS);
        let aligned = match kind {
            Kind::Session => Kind::Hop,
            other => other,
        };
        match random.below(100) {
            0..42 => Self::windowed(seed, random, kind),
            42..49 => Self::top(seed, random, aligned),
            49..53 => Self::first(seed, random, aligned),
            53..62 => Self::cascade(seed, random, kind),
            62..65 => Self::assigned(seed, random, aligned),
            65..69 => Self::both(seed, random, aligned),
            69..79 => Self::joined(seed, random, aligned),
            79..86 => Self::carried(seed, random, kind),
            _ => Self::plain(seed, random),
        }
    }

    fn begin(seed: u64, interest: &Interest) -> Self {
        let stream = generate(&mut Random::new(seed, "stream"), interest);
        let format = match stream.times {
            Times::Micros => "epoch_us",
            Times::Millis => "epoch_ms",
            Times::Seconds => "epoch_s",
            Times::Iso => "iso8601",
        };
        let delay = format!("{}.{:06}", stream.delay / SECOND, stream.delay % SECOND);
        let source = format!(
            "CREATE SOURCE s (k TEXT, n BIGINT, x DOUBLE PRECISION, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts - INTERVAL \
             '{delay} seconds') INCLUDE PARTITION AS p, OFFSET AS o WITH (connector = 'sim', timestamp.format = \
             '{format}') FORMAT PLAIN ENCODE JSON"
        );
        Self {
            seed,
            forms: stream.forms(interest).into_iter().collect(),
            stream: Arc::new(stream),
            source,
            table: None,
            window: None,
            views: Vec::new(),
            kinds: Vec::new(),
            join_after: None,
            looks: Looks::After(Vec::new()),
        }
    }

    fn add(&mut self, random: &mut Random, sql: &str, what: What, every: Option<i64>) {
        let name = format!("v{}", self.views.len());
        // EMIT belongs to a query with a window, and a Top-N over another view gives its rows as that one does.
        let emit = match (&what, every) {
            (What::Top { inside: false, .. }, _) => String::new(),
            (What::Assigned(_) | What::Plain(_), None) => String::new(),
            _ => {
                let (emit, form) = clause(random, every);
                self.forms.insert(form);
                emit
            }
        };
        let emit = match what.lateness() {
            0 => emit,
            lateness => {
                self.forms.insert(match every {
                    None => "ALLOW LATENESS",
                    Some(_) => "ALLOW LATENESS with EMIT ON UPDATE",
                });
                with_lateness(random, emit, lateness)
            }
        };
        let options = match &what {
            What::Plain(plain) if plain.is_unbounded() => " WITH (unbounded_state = true)",
            _ => "",
        };
        self.forms.extend(what.forms());
        self.forms.extend(forms::in_text(sql));
        self.views.push(View {
            create: format!("CREATE MATERIALIZED VIEW {name}{options} AS {sql}{emit}"),
            select: sql.to_owned(),
            what,
            every,
        });
    }

    fn done(mut self, mut random: Random) -> Self {
        let total = self.stream.order.len() as i64;
        if self.views.len() > 1 && self.stream.in_time && random.chance(50) {
            self.join_after = Some(random.between(0, total));
        } else if self.stream.order.len() <= EVERY_TICK {
            self.looks = Looks::Every;
        } else if random.chance(30) {
            let looks = 1 + random.below(3);
            self.looks = Looks::After((0..looks).map(|_| random.between(0, total)).collect());
        }
        if self.views.iter().any(|v| v.select.contains("JOIN t ")) {
            let grows = self.join_after.is_none() && random.chance(60);
            self.table = Some(Table::random(&mut random, total as usize, grows));
            if grows {
                self.forms.insert("a table that grows");
            }
        }
        self.forms.extend(&self.kinds);
        self
    }

    fn windowed(seed: u64, mut random: Random, kind: Kind) -> Self {
        let mut query = Windowed::random(&mut random, kind);
        let (close, update) = *random.pick(&[
            (true, false),
            (true, false),
            (false, true),
            (true, true),
            (true, true),
        ]);
        query.allow_lateness(&mut random, 20);
        query.tell_completeness(&mut random);
        let mut case = Self::begin(seed, &query.interest());
        query.bind(&mut random, &case.stream);
        let sql = query.continuous("s", "ts");
        if close {
            case.kinds.push(name_of(kind, false));
            case.add(&mut random, &sql, What::Windowed(query.clone()), None);
        }
        if update {
            let every = every(&mut random);
            case.kinds.push(name_of(kind, true));
            case.add(
                &mut random,
                &sql,
                What::Windowed(query.clone()),
                Some(every),
            );
        }
        case.window = Some(query);
        case.done(random)
    }

    fn top(seed: u64, mut random: Random, kind: Kind) -> Self {
        let mut of = Windowed::inner(&mut random, kind);
        of.allow_lateness(&mut random, 15);
        let mut case = Self::begin(seed, &of.interest());
        let limit = 1 + random.below(4);
        let every = random.chance(50).then(|| every(&mut random));
        let inside = random.chance(50);
        let sql = of.continuous("s", "ts");
        case.kinds.push(if every.is_some() {
            "top-n of windows, updating"
        } else {
            "top-n of windows"
        });
        let mut from = format!("({sql})");
        if !inside {
            case.add(&mut random, &sql, What::Windowed(of.clone()), every);
            from = "v0".to_owned();
        }
        let what = What::Top {
            of: of.clone(),
            limit,
            inside,
        };
        case.add(&mut random, &top_sql(&from, limit), what, every);
        case.window = Some(of);
        case.done(random)
    }

    fn first(seed: u64, mut random: Random, kind: Kind) -> Self {
        let way = *random.pick(&["ASC", "DESC"]);
        let number = format!(
            "ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY ts {way}, p, o) AS r"
        );
        let shown = ["k", "n", "ts", "window_start", "window_end", &number];
        let of = Windowed::assigned(&mut random, kind, &shown);
        let mut case = Self::begin(seed, &of.interest());
        let limit = *random.pick(&[1, 1, 2, 3]);
        case.kinds.push(if limit == 1 {
            "first row of a window"
        } else {
            "top-n of rows"
        });
        let sql = first_sql(&of.continuous("s", "ts"), limit);
        let what = What::First {
            of: of.clone(),
            limit,
        };
        case.add(&mut random, &sql, what, None);
        case.window = Some(of);
        case.done(random)
    }

    fn assigned(seed: u64, mut random: Random, kind: Kind) -> Self {
        let shown = [
            "k",
            "n + 1 AS m",
            "ts",
            "window_start",
            "window_end",
            "window_time",
        ];
        let mut query = Windowed::assigned(&mut random, kind, &shown);
        query.tell_completeness(&mut random);
        query.allow_lateness(&mut random, 20);
        let mut case = Self::begin(seed, &query.interest());
        case.kinds.push("not grouped");
        let sql = query.continuous("s", "ts");
        case.add(&mut random, &sql, What::Assigned(query.clone()), None);
        case.window = Some(query);
        case.done(random)
    }

    fn both(seed: u64, mut random: Random, kind: Kind) -> Self {
        let mut one = Windowed::inner(&mut random, kind);
        let mut other = Windowed::inner_like(&mut random, &one);
        one.allow_lateness(&mut random, 15);
        other.lateness = one.lateness;
        let (first, second) = (one.interest(), other.interest());
        let interest = Interest {
            tail: first.tail.max(second.tail),
            ..first
        };
        let mut case = Self::begin(seed, &interest);
        let every = random.chance(50).then(|| every(&mut random));
        case.kinds.push(match every {
            None => "union of windows",
            Some(_) => "union of windows, updating",
        });
        let sql = format!(
            "{} UNION ALL {}",
            one.continuous("s", "ts"),
            other.continuous("s", "ts")
        );
        let what = What::Both(one.clone(), other);
        case.add(&mut random, &sql, what, every);
        case.window = Some(one);
        case.done(random)
    }

    fn plain(seed: u64, mut random: Random) -> Self {
        let plain = Plain::random(&mut random);
        let mut case = Self::begin(seed, &plain.interest);
        case.kinds.push(plain.form);
        let every = plain.is_updating().then(|| every(&mut random));
        let sql = plain.continuous();
        case.add(&mut random, &sql, What::Plain(plain), every);
        case.done(random)
    }
}

impl What {
    /// Queries over windows of the stream that it is made of.
    pub(super) fn windows(&self) -> Vec<&Windowed> {
        match self {
            Self::Windowed(query) | Self::Assigned(query) => vec![query],
            Self::Top { of, .. } | Self::First { of, .. } => vec![of],
            Self::Cascade { inner, .. } => vec![inner],
            Self::Both(one, other) => vec![one, other],
            Self::Joined(join) => vec![&join.one, &join.other],
            Self::Carried(carried) => carried.over.windows(),
            Self::Plain(_) => Vec::new(),
        }
    }

    /// What ALLOW LATENESS of the view says.
    fn lateness(&self) -> i64 {
        match self {
            Self::Windowed(query) | Self::Assigned(query) | Self::Both(query, _) => query.lateness,
            Self::Carried(carried) => carried.over.windows()[0].lateness,
            Self::Top { of, inside, .. } if *inside => of.lateness,
            _ => 0,
        }
    }

    fn forms(&self) -> Vec<&'static str> {
        let mut forms: Vec<&str> = self.windows().iter().flat_map(|q| q.forms()).collect();
        if let Self::Cascade { outer, .. } = self {
            forms.extend(outer.forms());
        }
        forms
    }
}

fn name_of(kind: Kind, updating: bool) -> &'static str {
    match (kind, updating) {
        (Kind::Tumble, false) => "tumble",
        (Kind::Tumble, true) => "tumble, updating",
        (Kind::Hop, false) => "hop",
        (Kind::Hop, true) => "hop, updating",
        (Kind::Cumulate, false) => "cumulate",
        (Kind::Cumulate, true) => "cumulate, updating",
        (Kind::Session, false) => "session",
        (Kind::Session, true) => "session, updating",
    }
}

/// The rows of the first numbers in each window, by count.
pub(super) fn top_sql(of: &str, limit: usize) -> String {
    format!(
        "SELECT k, window_start, c, r FROM (SELECT k, window_start, window_end, c, ROW_NUMBER() OVER (PARTITION BY \
         window_start, window_end ORDER BY c DESC, k ASC NULLS FIRST) AS r FROM {of} AS q) AS t WHERE r <= {limit}"
    )
}

/// The rows of the first numbers.
pub(super) fn first_sql(numbered: &str, limit: usize) -> String {
    let condition = match limit {
        1 => "r = 1".to_owned(),
        _ => format!("r <= {limit}"),
    };
    format!("SELECT k, n, ts, window_start, window_end, r FROM ({numbered}) AS q WHERE {condition}")
}
