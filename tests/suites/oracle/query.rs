//! Random windowed queries, each as clickmill's SQL and as plain SQL that knows no window functions.

mod text;

use dataflow::time::MILLI;

use super::aggregates::{aggregates, second_aggregates};
use super::forms;
use super::input::Input;
use super::model::Placed;
use super::random::Random;
use super::stream::{Interest, Stream};
use super::window::{Kind, Window};
use super::words::{Condition, K, KEY_SETS, Key, SETS, Sets, condition, having};

/// A query over a window.
#[derive(Clone, Debug)]
pub(super) struct Windowed {
    pub(super) window: Window,
    pub(super) keys: Vec<Key>,
    /// GROUPING SETS and their kin, in place of the keys.
    sets: Option<Sets>,
    /// Columns of the window in GROUP BY; none when rows are not grouped.
    grouped: Vec<&'static str>,
    shown: Vec<String>,
    /// What the window stands over.
    pub(super) input: Input,
    /// Keeps rows behind the window.
    pub(super) filter: Option<Condition>,
    /// `column >= time`, behind the window.
    bound: Option<(&'static str, i64)>,
    /// Late rows correct windows for so long behind their close; with EMIT ON UPDATE windows close so much later.
    pub(super) lateness: i64,
    /// Shows, and groups by, whether a row is final.
    pub(super) complete: Complete,
    pub(super) having: Option<&'static str>,
    call: Call,
    /// A session's PARTITION BY is written out; it must stand behind a name.
    pub(super) partition: bool,
    /// The whole stands in a subquery.
    around: bool,
}

/// What a query has of `window_complete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complete {
    Nothing,
    /// The column.
    Shown,
    /// The column, and only rows that are final.
    Wanted,
}

/// Which windows are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    All,
    /// Those that have closed at the look, though late rows may correct them.
    Closed,
    /// Those that no row corrects any more.
    Final,
}

/// How the window is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// `TUMBLE(s, ts, …)`.
    Short,
    /// `TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), …))`.
    Flink,
    /// `TUMBLE(data => s, timecol => ts, …)`.
    Named,
    /// `GROUP BY TUMBLE(ts, …)`.
    Group,
}

/// What a query is evaluated against by plain SQL. Relation and result have a column `at`: the number of the look at the
/// views that the rows are for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut<'a> {
    /// The relation: columns of the stream, `at`, `now` (the watermark at the look), `wm` (the watermark before the row's
    /// tick) and, where `sessions`, `session_start` and `session_end` (NULL when late).
    pub(super) relation: &'a str,
    pub(super) given: Given,
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
    /// Only pauses end sessions.
    NoEnds,
    /// No row may come late.
    NoCorrections,
}

/// What queries show for others to read.
const COUNTED: [&str; 2] = ["count(*) AS c", "sum(n) AS s"];

impl Windowed {
    /// A random query of a kind.
    pub(super) fn random(random: &mut Random, kind: Kind) -> Self {
        let window = Window::random(random, kind);
        let mut keys = random.pick(KEY_SETS).to_vec();
        if kind != Kind::Session && random.chance(15) {
            keys.clear();
        }
        let input = Input::random(random);
        let shown = aggregates(random, input.is_joined());
        let mut query = Self::with(random, window, keys, shown);
        query.input = input;
        query.filter = condition(random, 20);
        query.having = having(random);
        query.around = random.chance(6);
        if kind != Kind::Session && random.chance(18) {
            query.group_by_sets(random);
        } else if random.chance(5) {
            query.only_group();
        }
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
        let call = match random.below(100) {
            0..18 => Call::Flink,
            18..30 => Call::Named,
            30..48 if grouped.len() > 1 && !matches!(window, Window::Days { .. }) => Call::Group,
            _ => Call::Short,
        };
        Self {
            partition: keys.iter().all(|k| k.is_column()) && random.chance(60),
            window,
            keys,
            sets: None,
            grouped: grouped.to_vec(),
            shown,
            input: Input::Stream,
            filter: None,
            bound: None,
            lateness: 0,
            complete: Complete::Nothing,
            having: None,
            call,
            around: false,
        }
    }

    /// Shows groups without aggregates.
    fn only_group(&mut self) {
        self.shown.retain(|c| !c.contains(" AS a"));
        self.having = None;
        if self.shown.is_empty() {
            self.shown.push(self.grouped[0].to_owned());
        }
    }

    fn group_by_sets(&mut self, random: &mut Random) {
        let sets = *random.pick(SETS);
        self.shown
            .retain(|c| c.contains(" AS a") || c.starts_with("window_"));
        self.shown
            .extend(["k", "n", "grouping(k) AS gk"].map(str::to_owned));
        self.keys = KEY_SETS[sets.keys].to_vec();
        self.sets = Some(sets);
    }

    /// A query that counts and sums by key, for others to read.
    pub(super) fn inner(random: &mut Random, kind: Kind) -> Self {
        let window = Window::random(random, kind);
        Self::counting(random, window, COUNTED)
    }

    /// One with the same columns as `other`, over another window of about the same length.
    pub(super) fn inner_like(random: &mut Random, other: &Self) -> Self {
        let kind = *random.pick(&[Kind::Tumble, Kind::Hop, Kind::Cumulate]);
        let window = Window::of_scale(random, kind, other.window.period());
        Self::counting(random, window, COUNTED)
    }

    /// A query over the window that shows these by key.
    pub(super) fn counting(random: &mut Random, window: Window, counted: [&str; 2]) -> Self {
        let mut query = Self::with(random, window, vec![K], Vec::new());
        query.grouped = vec!["window_start", "window_end", "window_time"];
        query.show(counted);
        query.filter = condition(random, 20);
        query
    }

    /// A query that counts all rows of the window as `v`.
    pub(super) fn total(random: &mut Random, window: Window) -> Self {
        let mut query = Self::with(random, window, Vec::new(), Vec::new());
        query.grouped = vec!["window_start", "window_end"];
        query.shown = ["window_start", "window_end", "count(*) AS v"]
            .map(str::to_owned)
            .to_vec();
        query.filter = condition(random, 30);
        query
    }

    /// A query over the window that does not group, without a table.
    pub(super) fn rows(random: &mut Random, window: Window, shown: &[&str]) -> Self {
        let mut query = Self::assigned_over(random, window, shown);
        if query.input.is_joined() {
            query.input = Input::Stream;
        }
        query
    }

    /// The same with one more column.
    pub(super) fn with_column(&self, column: &str) -> Self {
        let mut query = self.clone();
        query.shown.push(column.to_owned());
        query
    }

    /// A query that does not group and shows these columns.
    pub(super) fn assigned(random: &mut Random, kind: Kind, shown: &[&str]) -> Self {
        let window = Window::random(random, kind);
        Self::assigned_over(random, window, shown)
    }

    fn assigned_over(random: &mut Random, window: Window, shown: &[&str]) -> Self {
        let mut query = Self::with(random, window, Vec::new(), Vec::new());
        query.grouped.clear();
        query.shown = shown.iter().map(|c| (*c).to_owned()).collect();
        query.input = Input::random(random);
        query.filter = condition(random, 30);
        if query.call == Call::Group {
            query.call = Call::Short;
        }
        query
    }

    /// A query over the rows of `inner`, by its `window_time`.
    pub(super) fn outer(random: &mut Random, kind: Kind, inner: &Self) -> Self {
        let scale = inner.window.period() * *random.pick(&[1, 2, 5]);
        let window = Window::of_scale(random, kind, scale);
        let keys = if kind == Kind::Session || random.chance(60) {
            vec![K]
        } else {
            Vec::new()
        };
        let shown = second_aggregates(random);
        Self::with(random, window, keys, shown)
    }

    /// A query over the rows of `inner` that has the same columns.
    pub(super) fn middle(random: &mut Random, kind: Kind, inner: &Self) -> Self {
        let mut query = Self::outer(random, kind, inner);
        query.keys = vec![K];
        query.grouped = vec!["window_start", "window_end", "window_time"];
        query.show(["sum(c) AS c", "sum(s) AS s"]);
        query
    }

    /// Shows the key, the window and these.
    fn show(&mut self, counted: [&str; 2]) {
        let own = ["k", "window_start", "window_end", "window_time"];
        self.shown = own.into_iter().chain(counted).map(str::to_owned).collect();
    }

    /// How late rows may come, or with the mistake not.
    pub(super) fn allowed(&self, mistake: Mistake) -> i64 {
        match mistake {
            Mistake::NoCorrections => 0,
            _ => self.lateness,
        }
    }

    /// Adds, sometimes, a condition on a column of the window, with a time out of `stream`.
    pub(super) fn bind(&mut self, random: &mut Random, stream: &Stream) {
        let middle = stream.rows().nth(stream.order.len() / 3);
        if let (Some(row), true) = (middle, random.chance(12))
            && self.call != Call::Group
            && let Some(column) = self.grouped.first()
        {
            self.bound = Some((column, row.ts - row.ts.rem_euclid(MILLI)));
        }
    }

    /// Allows, sometimes, that rows come late; not where sessions take rows in order.
    pub(super) fn allow_lateness(&mut self, random: &mut Random, percent: usize) {
        let period = self.window.period();
        let lateness = [MILLI, period / 2, period, 3 * period];
        if random.chance(percent) && !self.window.is_ordered() {
            self.lateness = *random.pick(&lateness);
        }
    }

    /// Says, sometimes, which rows are final.
    pub(super) fn tell_completeness(&mut self, random: &mut Random) {
        if self.call == Call::Group || !random.chance(15) {
            return;
        }
        self.complete = *random.pick(&[Complete::Shown, Complete::Shown, Complete::Wanted]);
        if self.grouped.is_empty() {
            self.complete = Complete::Shown;
        } else {
            self.grouped.push("window_complete");
        }
        let at = random.below(self.shown.len() + 1);
        self.shown.insert(at, "window_complete".to_owned());
    }

    /// What the stream should hold.
    pub(super) fn interest(&self) -> Interest {
        let window = self.window.interest();
        Interest {
            tail: window.tail + 2 * self.lateness,
            ..window
        }
    }

    /// How many rows reach the window of a row. Of a condition behind a session only what concerns the session's own key
    /// does so early; behind other windows all of it.
    pub(super) fn copies(&self, placed: &Placed) -> usize {
        let row = &placed.row;
        let early = |c: &Condition| match self.window.kind() {
            Kind::Session => c.holds_for(&self.keys, row),
            Kind::Tumble | Kind::Hop | Kind::Cumulate => c.holds(row),
        };
        if self.filter.as_ref().is_none_or(early) {
            self.input.copies(placed)
        } else {
            0
        }
    }

    /// Whether rows are not grouped.
    pub(super) fn is_assigned(&self) -> bool {
        self.grouped.is_empty()
    }

    /// How many grouping sets there are, if there are.
    pub(super) fn sets(&self) -> Option<usize> {
        self.sets.map(|s| s.count)
    }

    /// Where in a row its `count(*)` is, when the rows together count every row that is not late, once for each window.
    pub(super) fn counts_everything(&self) -> Option<usize> {
        let early = self.filter.is_none() || self.window.kind() != Kind::Session;
        let bound = self.bound.is_some() || self.complete == Complete::Wanted;
        let whole = early && self.having.is_none() && !bound && self.sets.is_none();
        let count = |c: &String| c.starts_with("count(*) AS ");
        self.shown.iter().position(count).filter(|_| whole)
    }

    /// Whether each row names its group.
    pub(super) fn rows_are_distinct(&self) -> bool {
        let shows = |column: &str| self.shown.iter().any(|c| c == column);
        let (start, end) = (
            shows("window_start"),
            shows("window_end") || shows("window_time"),
        );
        self.sets.is_none()
            && match self.window.kind() {
                Kind::Session => start && end,
                Kind::Cumulate => end,
                Kind::Tumble | Kind::Hop => start || end,
            }
    }

    fn only_groups(&self) -> bool {
        let aggregate = |c: &String| c.contains('(');
        !self.is_assigned() && !self.shown.iter().any(aggregate)
    }

    /// Names of what it has.
    pub(super) fn forms(&self) -> Vec<&'static str> {
        let mut forms = self.window.forms();
        forms.push(self.input.form());
        forms.push(match self.call {
            Call::Short => "TUMBLE(s, ts, ...)",
            Call::Flink => "TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), ...))",
            Call::Named => "TUMBLE(data => s, timecol => ts, ...)",
            Call::Group => "GROUP BY TUMBLE(ts, ...)",
        });
        if self.window.kind() == Kind::Session {
            forms.push(if self.writes_partition() {
                "PARTITION BY of SESSION"
            } else {
                "SESSION by the keys of GROUP BY"
            });
        }
        let has = [
            ("WHERE", self.filter.is_some()),
            ("WHERE on a window column", self.bound.is_some()),
            ("window_complete", self.complete != Complete::Nothing),
            ("WHERE window_complete", self.complete == Complete::Wanted),
            ("GROUP BY without aggregates", self.only_groups()),
            ("HAVING", self.having.is_some()),
            ("a subquery around a window", self.around),
            ("a window without keys", self.keys.is_empty()),
            (
                "keys that are expressions",
                self.keys.iter().any(|k| !k.is_column()),
            ),
        ];
        forms.extend(has.iter().filter(|(_, has)| *has).map(|(name, _)| *name));
        forms.extend(self.sets.map(|s| s.form));
        forms.extend(forms::in_text(&self.shown.join(", ")));
        forms
    }

    fn writes_partition(&self) -> bool {
        self.window.kind() == Kind::Session
            && self.partition
            && self.input.is_stream()
            && matches!(self.call, Call::Short | Call::Flink)
    }
}

fn shown_key(key: Key) -> String {
    if key.is_column() {
        key.sql.to_owned()
    } else {
        format!("{} AS {}", key.sql, key.name)
    }
}
