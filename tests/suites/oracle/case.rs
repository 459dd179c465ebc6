//! One case: a random stream and one or two random views over it.

use std::sync::Arc;

use dataflow::time::{MILLI, SECOND};

use super::query::Windowed;
use super::random::Random;
use super::stream::{Interest, Stream, Times, generate};
use super::window::{KINDS, Kind, Window, interval};
use super::words::{K, aggregates, condition};

/// A view and what it must hold.
pub(super) struct View {
    pub(super) create: String,
    pub(super) what: What,
    /// Corrected while windows are open; changes wait so long at most.
    pub(super) every: Option<i64>,
}

pub(super) enum What {
    /// A window over the stream.
    Windowed(Windowed),
    /// The first rows of each window, by count; over the view before, or with the window inside.
    Top {
        of: Windowed,
        limit: usize,
        inside: bool,
    },
    /// A window over a windowed view, which may be corrected itself.
    Cascade {
        inner: Windowed,
        outer: Windowed,
        corrected: bool,
    },
    /// Rows with their windows, not grouped.
    Assigned(Windowed),
    /// A query without windows over relation `log` or `s`.
    Plain { sql: String, groups: bool },
}

/// One case.
pub(super) struct Case {
    pub(super) seed: u64,
    pub(super) stream: Arc<Stream>,
    pub(super) source: String,
    /// The first window over the stream, if there is one.
    pub(super) window: Option<Windowed>,
    pub(super) views: Vec<View>,
    pub(super) kinds: Vec<&'static str>,
    pub(super) join_after: Option<i64>,
    pub(super) look_after: Option<i64>,
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
        // A Top-N over another view gives its rows as that one does.
        let follows = matches!(what, What::Top { inside: false, .. });
        let emit = match every {
            _ if follows => String::new(),
            // EMIT belongs to a query with a window.
            None if matches!(what, What::Plain { .. } | What::Assigned(_)) => String::new(),
            None => (*random.pick(&["", " EMIT ON WINDOW CLOSE", " EMIT FINAL"])).to_owned(),
            Some(SECOND) => " EMIT ON UPDATE".to_owned(),
            Some(every) => format!(" EMIT ON UPDATE EVERY {}", interval(every, false)),
        };
        let groups = matches!(what, What::Plain { groups: true, .. });
        let options = if groups {
            " WITH (unbounded_state = true)"
        } else {
            ""
        };
        let create = format!("CREATE MATERIALIZED VIEW {name}{options} AS {sql}{emit}");
        self.views.push(View {
            create,
            what,
            every,
        });
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
        let (close, update) = *random.pick(&[
            (true, false),
            (true, false),
            (false, true),
            (true, true),
            (true, true),
        ]);
        if close {
            case.kinds.push(name_of(kind, false));
            case.add(&mut random, &sql, What::Windowed(query.clone()), None);
        }
        if update {
            let every = *random.pick(&EVERY);
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
        let kind = if kind == Kind::Session {
            Kind::Hop
        } else {
            kind
        };
        let of = Windowed::inner(&mut random, kind);
        let mut case = Self::begin(seed, &of.interest());
        let limit = 1 + random.below(4);
        let every = random.chance(50).then(|| *random.pick(&EVERY));
        let inside = random.chance(50);
        let sql = of.continuous("s", "ts");
        case.kinds.push(if every.is_some() {
            "top-n, updating"
        } else {
            "top-n"
        });
        if inside {
            case.add(
                &mut random,
                &top_sql(&format!("({sql})"), limit),
                What::Top {
                    of: of.clone(),
                    limit,
                    inside,
                },
                every,
            );
        } else {
            case.add(&mut random, &sql, What::Windowed(of.clone()), every);
            case.add(
                &mut random,
                &top_sql("v0", limit),
                What::Top {
                    of: of.clone(),
                    limit,
                    inside,
                },
                every,
            );
        }
        case.window = Some(of);
        case.done(random)
    }

    fn cascade(seed: u64, mut random: Random, kind: Kind) -> Self {
        let inner = Windowed::inner(&mut random, kind);
        let second = *random.pick(&[
            Kind::Hop,
            Kind::Hop,
            Kind::Tumble,
            Kind::Cumulate,
            Kind::Session,
        ]);
        let outer = Windowed::outer(&mut random, second, &inner);
        let (below, above) = (inner.interest(), outer.interest());
        let interest = Interest {
            tail: below.tail + above.tail,
            ..below
        };
        let mut case = Self::begin(seed, &interest);
        let corrected = random.chance(30).then(|| *random.pick(&EVERY));
        let every = random.chance(30).then(|| *random.pick(&EVERY));
        case.kinds.push("cascade");
        case.add(
            &mut random,
            &inner.continuous("s", "ts"),
            What::Windowed(inner.clone()),
            corrected,
        );
        let what = What::Cascade {
            inner: inner.clone(),
            outer: outer.clone(),
            corrected: corrected.is_some(),
        };
        case.add(
            &mut random,
            &outer.continuous("v0", "window_time"),
            what,
            every,
        );
        case.window = Some(inner);
        case.done(random)
    }

    fn assigned(seed: u64, mut random: Random, kind: Kind) -> Self {
        let kind = if kind == Kind::Session {
            Kind::Hop
        } else {
            kind
        };
        let query = Windowed::assigned(&mut random, kind);
        let mut case = Self::begin(seed, &query.interest());
        case.kinds.push("not grouped");
        case.add(
            &mut random,
            &query.continuous("s", "ts"),
            What::Assigned(query.clone()),
            None,
        );
        case.window = Some(query);
        case.done(random)
    }

    fn plain(seed: u64, mut random: Random) -> Self {
        let interest = Window::random(&mut random, Kind::Tumble).interest();
        let mut case = Self::begin(seed, &interest);
        let condition =
            condition(&mut random, 70).map_or(String::new(), |c| format!(" WHERE {}", c.sql));
        let groups = random.chance(60);
        let sql = if groups && random.chance(30) {
            format!(
                "SELECT {} FROM s{condition}",
                aggregates(&mut random).join(", ")
            )
        } else if groups {
            format!(
                "SELECT {}, {} FROM s{condition} GROUP BY {}",
                K.sql,
                aggregates(&mut random).join(", "),
                K.sql
            )
        } else {
            let one = format!("SELECT k, n * 2 AS twice, upper(k) AS u, ts FROM s{condition}");
            if random.chance(40) {
                format!("{one} UNION ALL SELECT k, n, upper(k), ts FROM s WHERE n > 0")
            } else {
                one
            }
        };
        case.kinds.push(if groups { "group by" } else { "filter" });
        let every = groups.then(|| *random.pick(&EVERY));
        case.add(
            &mut random,
            &sql,
            What::Plain {
                sql: sql.replace("FROM s", "FROM log"),
                groups,
            },
            every,
        );
        case.done(random)
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

pub(super) fn top_sql(of: &str, limit: usize) -> String {
    format!(
        "SELECT k, window_start, c, r FROM (SELECT k, window_start, window_end, c, ROW_NUMBER() OVER (PARTITION BY \
         window_start, window_end ORDER BY c DESC, k ASC NULLS FIRST) AS r FROM {of} AS q) AS t WHERE r <= {limit}"
    )
}
