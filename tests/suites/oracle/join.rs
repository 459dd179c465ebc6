//! Random joins of windows: the rows of a window of one relation with those of the same window of another.

use super::query::Windowed;
use super::random::Random;
use super::window::{Kind, Window};

/// A join of two windowed relations over the stream.
pub(super) struct Join {
    pub(super) form: &'static str,
    kind: JoinKind,
    pub(super) one: Windowed,
    pub(super) other: Windowed,
    one_side: Side,
    other_side: Side,
    /// What must hold beside that the windows are equal.
    on: Vec<&'static str>,
    /// The columns that say that they are.
    windows: &'static [&'static str],
    grouped: Grouped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Exists,
    NotExists,
    In,
}

/// What a side has for each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// The rows of the stream: `k, v, o`.
    Rows,
    /// A row for each key: `k, v`.
    Keys,
    /// One row: `v`.
    Total,
}

/// Whether the joined rows are aggregated by the window that they carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grouped {
    No,
    /// In the query of the join.
    Here,
    /// In a query around it.
    Around,
}

const KINDS: [(JoinKind, &str); 7] = [
    (JoinKind::Inner, "join of windows"),
    (JoinKind::Left, "left join of windows"),
    (JoinKind::Right, "right join of windows"),
    (JoinKind::Full, "full join of windows"),
    (JoinKind::Exists, "EXISTS in the same window"),
    (JoinKind::NotExists, "NOT EXISTS in the same window"),
    (JoinKind::In, "IN of the same window"),
];

impl Join {
    pub(super) fn random(random: &mut Random, window: Kind) -> Self {
        let window = Window::random(random, window);
        let (kind, form) = *random.pick(&KINDS);
        // Rows are joined to rows by more than the key: pairs grow with the square.
        let (one_side, other_side, on): (Side, Side, &[&str]) = match random.below(7) {
            0 => (Side::Rows, Side::Rows, &["a.o = b.o"]),
            1 => (Side::Rows, Side::Rows, &["a.k = b.k", "a.o = b.o"]),
            2 => (Side::Rows, Side::Keys, &["a.k = b.k"]),
            3 => (Side::Keys, Side::Rows, &["a.k = b.k"]),
            4 if kind != JoinKind::In => (Side::Keys, Side::Total, &[]),
            5 if kind != JoinKind::In => (Side::Total, Side::Rows, &[]),
            _ => (Side::Keys, Side::Keys, &["a.k = b.k"]),
        };
        let mut on = on.to_vec();
        if random.chance(30) {
            on.push(*random.pick(&["a.v < b.v", "a.v <> b.v", "a.v + b.v > 3"]));
        }
        let grouped = match kind {
            // Neither side's window is there for all rows.
            JoinKind::Full => Grouped::No,
            _ => *random.pick(&[Grouped::No, Grouped::No, Grouped::Here, Grouped::Around]),
        };
        Self {
            form,
            kind,
            one: one_side.over(random, window),
            other: other_side.over(random, window),
            one_side,
            other_side,
            on,
            windows: match random.chance(60) {
                true => &["window_start", "window_end"],
                false => &["window_end"],
            },
            grouped,
        }
    }

    pub(super) fn is_grouped(&self) -> bool {
        self.grouped != Grouped::No
    }

    /// The same over the texts of the two sides; where `plain` they have a column `at`, by which everything goes.
    pub(super) fn text(&self, one: &str, other: &str, plain: bool) -> String {
        let equal = |column: &str| format!("a.{column} = b.{column}");
        let mut on: Vec<String> = self.windows.iter().map(|c| equal(c)).collect();
        on.extend(plain.then(|| equal("at")));
        on.extend(self.on.iter().map(|c| (*c).to_owned()));
        if self.kind == JoinKind::In {
            on.retain(|c| c != "a.k = b.k");
        }
        let on = on.join(" AND ");
        let from = match self.kind {
            JoinKind::Inner => format!("({one}) AS a JOIN ({other}) AS b ON {on}"),
            JoinKind::Left => format!("({one}) AS a LEFT JOIN ({other}) AS b ON {on}"),
            JoinKind::Right => format!("({one}) AS a RIGHT JOIN ({other}) AS b ON {on}"),
            JoinKind::Full => format!("({one}) AS a FULL JOIN ({other}) AS b ON {on}"),
            JoinKind::Exists => {
                format!("({one}) AS a WHERE EXISTS (SELECT 1 FROM ({other}) AS b WHERE {on})")
            }
            JoinKind::NotExists => {
                format!("({one}) AS a WHERE NOT EXISTS (SELECT 1 FROM ({other}) AS b WHERE {on})")
            }
            JoinKind::In => {
                format!("({one}) AS a WHERE a.k IN (SELECT b.k FROM ({other}) AS b WHERE {on})")
            }
        };
        let main = if self.kind == JoinKind::Right {
            "b"
        } else {
            "a"
        };
        let carried = |column: &str| match self.kind {
            JoinKind::Full => format!("coalesce(a.{column}, b.{column}) AS {column}"),
            _ => format!("{main}.{column}"),
        };
        let at = plain.then_some("at");
        let columns: Vec<&str> = at
            .into_iter()
            .chain(["window_start", "window_end"])
            .collect();
        let carried: Vec<String> = columns.iter().map(|c| carried(c)).collect();
        let carried = carried.join(", ");
        let values = match self.is_pair() {
            true => ["a.v", "b.v"].as_slice(),
            false => &["a.v"],
        };
        if self.grouped == Grouped::Here {
            let sums = values.iter().zip(["s", "t"]);
            let sums: String = sums.map(|(v, s)| format!(", sum({v}) AS {s}")).collect();
            return format!("SELECT {carried}, count(*) AS c{sums} FROM {from} GROUP BY {carried}");
        }
        let key = match if main == "a" {
            self.one_side
        } else {
            self.other_side
        } {
            Side::Total => String::new(),
            _ => format!(", {main}.k"),
        };
        let shown = values.iter().zip(["v", "w"]);
        let shown: String = shown.map(|(v, as_v)| format!(", {v} AS {as_v}")).collect();
        let rows = format!("SELECT {carried}{key}{shown} FROM {from}");
        match self.grouped {
            Grouped::Around => {
                let columns = columns.join(", ");
                format!(
                    "SELECT {columns}, count(*) AS c, sum(v) AS s, max(v) AS m FROM ({rows}) AS j GROUP BY {columns}"
                )
            }
            _ => rows,
        }
    }

    /// Whether columns of both sides come out.
    fn is_pair(&self) -> bool {
        use JoinKind::{Full, Inner, Left, Right};
        matches!(self.kind, Inner | Left | Right | Full)
    }
}

impl Side {
    fn over(self, random: &mut Random, window: Window) -> Windowed {
        match self {
            Self::Rows => {
                let shown = ["k", "n AS v", "o", "window_start", "window_end"];
                Windowed::rows(random, window, &shown)
            }
            Self::Keys => Windowed::counting(random, window, ["count(*) AS v", "sum(n) AS s"]),
            Self::Total => Windowed::total(random, window),
        }
    }
}
