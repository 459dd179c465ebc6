//! Random windowed queries, each as clickmill's SQL and as plain SQL that knows no window functions.

use dataflow::time::{MILLI, format_utc};

use super::random::Random;
use super::stream::{Interest, Row, Stream};
use super::window::{Kind, Window};
use super::words::{Condition, K, KEY_SETS, Key, aggregates, condition, having, second_aggregates};

/// A query over a window.
#[derive(Clone, Debug)]
pub(super) struct Windowed {
    pub(super) window: Window,
    pub(super) keys: Vec<Key>,
    /// Columns of the window in GROUP BY.
    grouped: Vec<&'static str>,
    shown: Vec<String>,
    /// Keeps rows before they reach the window: it stands in a subquery.
    pub(super) input: Option<Condition>,
    /// Keeps rows behind the window.
    pub(super) filter: Option<Condition>,
    /// `column >= time`, behind the window.
    bound: Option<(&'static str, i64)>,
    pub(super) having: Option<&'static str>,
    flink: bool,
    /// A session's PARTITION BY is written out.
    partition: bool,
}

/// What a query is evaluated against by plain SQL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut<'a> {
    /// The relation: columns of the stream, `wm` (the watermark before the row's tick) and, where `sessions`,
    /// `session_start` and `session_end` (NULL when late).
    pub(super) relation: &'a str,
    /// Only windows that this watermark has closed; all of them without it.
    pub(super) closed_by: Option<i64>,
    /// Sessions have been assigned.
    pub(super) sessions: bool,
    /// What is deliberately wrong.
    pub(super) mistake: Mistake,
}

/// Deliberate mistakes: the comparison must find each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    None,
    /// Windows that are longer by a thousandth.
    Size,
    /// Every row is in time.
    NoLateness,
    /// A row is late one microsecond too late.
    Lateness,
    /// A pause of exactly the gap does not end a session.
    Gap,
}

impl Windowed {
    /// A random query of a kind.
    pub(super) fn random(random: &mut Random, kind: Kind) -> Self {
        let window = Window::random(random, kind);
        let mut keys = random.pick(KEY_SETS).to_vec();
        if kind != Kind::Session && random.chance(15) {
            keys.clear();
        }
        let shown = aggregates(random);
        let mut query = Self::with(random, window, keys, shown);
        query.input = condition(random, 12);
        query.filter = condition(random, 20);
        query.having = having(random);
        query
    }

    fn with(random: &mut Random, window: Window, keys: Vec<Key>, aggregates: Vec<String>) -> Self {
        let grouped: &[&str] = match (window.kind(), random.below(10)) {
            (Kind::Session, 0..3) => &["window_end", "window_start", "window_time"],
            (Kind::Session, _) => &["window_start", "window_end"],
            (Kind::Tumble | Kind::Hop, 0) => &["window_start"],
            (_, 0 | 1) => &["window_end"],
            (_, 2 | 3) => &["window_start", "window_end", "window_time"],
            _ => &["window_start", "window_end"],
        };
        let mut shown: Vec<String> = keys.iter().map(|k| shown_key(*k)).collect();
        shown.extend(
            grouped
                .iter()
                .filter(|_| random.chance(90))
                .map(|c| (*c).to_owned()),
        );
        shown.extend(aggregates);
        if random.chance(20) {
            shown.reverse();
        }
        let flink = random.chance(20);
        Self {
            partition: keys.iter().all(|k| k.is_column()) && random.chance(60),
            window,
            keys,
            grouped: grouped.to_vec(),
            shown,
            input: None,
            filter: None,
            bound: None,
            having: None,
            flink,
        }
    }

    /// A query that counts and sums by key, for others to read.
    pub(super) fn inner(random: &mut Random, kind: Kind) -> Self {
        let window = Window::random(random, kind);
        let counted = vec!["count(*) AS c".to_owned(), "sum(n) AS s".to_owned()];
        let mut query = Self::with(random, window, vec![K], counted);
        query.grouped = vec!["window_start", "window_end", "window_time"];
        query.shown = [
            "k",
            "window_start",
            "window_end",
            "window_time",
            "count(*) AS c",
            "sum(n) AS s",
        ]
        .map(str::to_owned)
        .to_vec();
        query.filter = condition(random, 20);
        query
    }

    /// A query that does not group: each row once for each of its windows.
    pub(super) fn assigned(random: &mut Random, kind: Kind) -> Self {
        let window = Window::random(random, kind);
        let mut query = Self::with(random, window, Vec::new(), Vec::new());
        query.grouped.clear();
        query.shown = [
            "k",
            "n + 1 AS m",
            "ts",
            "window_start",
            "window_end",
            "window_time",
        ]
        .map(str::to_owned)
        .to_vec();
        query.input = condition(random, 20);
        query.filter = condition(random, 30);
        query
    }

    /// A query over the rows of `inner`, by its `window_time`.
    pub(super) fn outer(random: &mut Random, kind: Kind, inner: &Self) -> Self {
        let below = match inner.window {
            Window::Tumble { size, .. } => size,
            Window::Hop { slide, .. } => slide,
            Window::Cumulate { step, .. } => step,
            Window::Session { gap } => gap,
        };
        let scale = below * *random.pick(&[1, 2, 5]);
        let window = Window::of_scale(random, kind, scale);
        let keys = if kind == Kind::Session || random.chance(60) {
            vec![K]
        } else {
            Vec::new()
        };
        let shown = second_aggregates(random);
        Self::with(random, window, keys, shown)
    }

    /// Adds, sometimes, a condition on a column of the window, with a time out of `stream`.
    pub(super) fn bind(&mut self, random: &mut Random, stream: &Stream) {
        let middle = stream.rows().nth(stream.order.len() / 3);
        if let (Some(row), true) = (middle, random.chance(12))
            && let Some(column) = self.grouped.first()
        {
            self.bound = Some((column, row.ts - row.ts.rem_euclid(MILLI)));
        }
    }

    /// What the stream should hold.
    pub(super) fn interest(&self) -> Interest {
        self.window.interest()
    }

    /// Whether a row reaches the window. Of a condition behind a session only what concerns the session's own key does
    /// so early; behind other windows all of it.
    pub(super) fn reaches_window(&self, row: &Row) -> bool {
        let early = |c: &Condition| match self.window.kind() {
            Kind::Session => c.holds_for(&self.keys, row),
            Kind::Tumble | Kind::Hop | Kind::Cumulate => c.holds(row),
        };
        self.input.is_none_or(|c| c.holds(row)) && self.filter.as_ref().is_none_or(early)
    }

    /// Where in a row its `count(*)` is, when the rows of TUMBLE together count every row that is not late.
    pub(super) fn counts_everything(&self) -> Option<usize> {
        let whole = self.input.is_none()
            && self.filter.is_none()
            && self.having.is_none()
            && self.bound.is_none();
        let tumble = self.window.kind() == Kind::Tumble;
        let at = self
            .shown
            .iter()
            .position(|c| c.starts_with("count(*) AS "));
        at.filter(|_| whole && tumble)
    }

    /// Whether each row names its group.
    pub(super) fn rows_are_distinct(&self) -> bool {
        let shows = |column: &str| self.shown.iter().any(|c| c == column);
        let (start, end) = (
            shows("window_start"),
            shows("window_end") || shows("window_time"),
        );
        match self.window.kind() {
            Kind::Session => start && end,
            Kind::Cumulate => end,
            Kind::Tumble | Kind::Hop => start || end,
        }
    }

    fn group_by(&self) -> String {
        let keys = self.keys.iter().map(|k| k.sql);
        keys.chain(self.grouped.iter().copied())
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn select(&self, from: &str, conditions: Vec<String>) -> String {
        let mut sql = format!("SELECT {} FROM {from}", self.shown.join(", "));
        if !conditions.is_empty() {
            sql += &format!(" WHERE {}", conditions.join(" AND "));
        }
        if !self.grouped.is_empty() {
            sql += &format!(" GROUP BY {}", self.group_by());
        }
        if let Some(having) = self.having {
            sql += &format!(" HAVING {having}");
        }
        sql
    }

    fn filters(&self) -> Vec<String> {
        self.filter.iter().map(|c| format!("({})", c.sql)).collect()
    }

    /// As clickmill reads it, over relation `name` with event time `time`.
    pub(super) fn continuous(&self, name: &str, time: &str) -> String {
        let mut relation = match (self.input, self.flink) {
            (Some(input), _) => format!("(SELECT * FROM {name} WHERE {})", input.sql),
            (None, true) => format!("TABLE {name}"),
            (None, false) => name.to_owned(),
        };
        let session = self.window.kind() == Kind::Session;
        if session && self.partition && self.input.is_none() {
            let keys: Vec<&str> = self.keys.iter().map(|k| k.sql).collect();
            relation += &format!(" PARTITION BY {}", keys.join(", "));
        }
        let time = if self.flink {
            format!("DESCRIPTOR({time})")
        } else {
            time.to_owned()
        };
        let function = format!("{:?}", self.window.kind()).to_uppercase();
        let mut from = format!(
            "{function}({relation}, {time}, {})",
            self.window.arguments(self.flink)
        );
        if self.flink {
            from = format!("TABLE({from})");
        }
        let mut conditions = self.filters();
        if let Some((column, at)) = self.bound {
            conditions.push(format!("{column} >= TIMESTAMPTZ '{}'", format_utc(at)));
        }
        self.select(&from, conditions)
    }

    /// As plain SQL.
    pub(super) fn plain(&self, cut: Cut<'_>) -> String {
        let relation = match self.input {
            Some(input) => format!("(SELECT * FROM {} WHERE {})", cut.relation, input.sql),
            None => cut.relation.to_owned(),
        };
        let window = match cut.mistake {
            Mistake::Size => self.window.longer(),
            _ => self.window,
        };
        let assigned = if cut.sessions && window.kind() == Kind::Session {
            format!(
                "SELECT *, session_start AS window_start, session_end AS window_end, session_end - 1000 AS window_time \
                 FROM {relation} WHERE session_start IS NOT NULL"
            )
        } else {
            let keys: Vec<&str> = self.keys.iter().map(|k| k.sql).collect();
            window.plain(&relation, &keys.join(", "), cut.mistake == Mistake::Gap)
        };
        let mut conditions = self.filters();
        match cut.mistake {
            Mistake::NoLateness => {}
            Mistake::Lateness => conditions.push("window_end > wm".to_owned()),
            _ => conditions.push("window_end - 1 > wm".to_owned()),
        }
        if let Some(watermark) = cut.closed_by {
            conditions.push(format!("window_end - 1 <= {watermark}"));
        }
        if let Some((column, at)) = self.bound {
            conditions.push(format!("{column} >= {at}"));
        }
        self.select(&format!("({assigned})"), conditions)
    }
}

fn shown_key(key: Key) -> String {
    if key.is_column() {
        key.sql.to_owned()
    } else {
        format!("{} AS {}", key.sql, key.name)
    }
}
