//! Random aggregations by the window that rows carry: rows of a view, of a union, or of a window joined to the small table.

use super::aggregates::second_aggregates;
use super::input::join;
use super::model::Placed;
use super::query::Windowed;
use super::random::Random;
use super::table::TableRow;
use super::window::{Kind, Window};

/// `GROUP BY` the window of rows that carry it.
pub(super) struct Carried {
    pub(super) form: &'static str,
    pub(super) over: Over,
    /// Columns of the window in GROUP BY.
    columns: &'static [&'static str],
    shown: String,
    having: &'static str,
}

/// What is aggregated.
pub(super) enum Over {
    /// A windowed view, or the same as a subquery.
    Window { of: Windowed, inside: bool },
    /// Two windows.
    Union(Windowed, Windowed),
    /// Rows with their windows, each with the rows of the table that have its key; with their column `g` as a key, if `by_g`.
    Joined {
        of: Windowed,
        outer: bool,
        by_g: bool,
    },
    /// The distinct keys of rows with their windows.
    Distinct(Windowed),
}

impl Carried {
    pub(super) fn random(random: &mut Random, kind: Kind) -> Self {
        let aligned = match kind {
            Kind::Session => Kind::Tumble,
            other => other,
        };
        let (form, over) = match random.below(10) {
            0..3 => {
                let of = Windowed::inner(random, kind);
                let inside = random.chance(50);
                ("GROUP BY the window of a view", Over::Window { of, inside })
            }
            3..5 => {
                let one = Windowed::inner(random, aligned);
                let other = Windowed::inner_like(random, &one);
                ("GROUP BY the window of a union", Over::Union(one, other))
            }
            5..8 => {
                let of = Window::random(random, aligned);
                let of = Windowed::rows(random, of, &["k", "n", "window_start", "window_end"]);
                let (outer, by_g) = (random.chance(50), random.chance(60));
                let over = Over::Joined { of, outer, by_g };
                ("GROUP BY the window of a join with a table", over)
            }
            _ => {
                let of = Window::random(random, aligned);
                let of = Windowed::rows(random, of, &["k", "window_start", "window_end"]);
                ("DISTINCT rows of a window", Over::Distinct(of))
            }
        };
        let shown = match over {
            Over::Joined { .. } => {
                const SHOWN: [&str; 3] = ["count(DISTINCT w.k)", "max(w.n)", "sum(t.g)"];
                format!(
                    "count(*) AS a0, sum(w.n) AS a1, {} AS a2",
                    random.pick(&SHOWN)
                )
            }
            _ => second_aggregates(random).join(", "),
        };
        Self {
            form,
            columns: over.columns(random),
            over,
            shown,
            having: if random.chance(25) {
                " HAVING count(*) > 1"
            } else {
                ""
            },
        }
    }

    /// The same over the texts of the windows; where `plain` they have a column `at`, by which everything goes.
    pub(super) fn text(&self, windows: &[String], plain: bool) -> String {
        let first = windows.first().map_or("", String::as_str);
        let mut columns: Vec<String> = plain.then(|| "w.at".to_owned()).into_iter().collect();
        columns.extend(self.columns.iter().map(|c| format!("w.{c}")));
        let (shown, having) = (&self.shown, self.having);
        let columns = columns.join(", ");
        match &self.over {
            Over::Window { .. } => {
                format!("SELECT {columns}, {shown} FROM {first} AS w GROUP BY {columns}{having}")
            }
            Over::Union(..) => {
                let both = windows.join(" UNION ALL ");
                format!("SELECT {columns}, {shown} FROM ({both}) AS w GROUP BY {columns}{having}")
            }
            Over::Joined { outer, by_g, .. } => {
                let (join, g) = (join(*outer), if *by_g { "t.g, " } else { "" });
                let earlier = if plain { " AND t.tick < w.tick" } else { "" };
                format!(
                    "SELECT {columns}, {g}{shown} FROM {first} AS w {join} t ON w.k = t.id{earlier} GROUP BY {g}{columns}{having}"
                )
            }
            Over::Distinct(_) => format!("SELECT DISTINCT {columns}, k FROM {first} AS w"),
        }
    }

    /// How many groups of one window there are of these rows, joined with the table.
    pub(super) fn groups(&self, rows: &[&Placed], table: &[(TableRow, usize)]) -> u64 {
        let Over::Joined { outer, by_g, .. } = &self.over else {
            return 0;
        };
        let mut groups: Vec<Option<i64>> = Vec::new();
        for row in rows {
            let mut found: Vec<Option<i64>> = Vec::new();
            for ((id, g), tick) in table {
                if id.is_some() && *id == row.row.k && *tick < row.tick {
                    found.push(*g);
                }
            }
            if found.is_empty() && *outer {
                found.push(None);
            }
            groups.extend(found);
        }
        groups.sort_unstable();
        groups.dedup();
        (groups.len() as u64).min(if *by_g { u64::MAX } else { 1 })
    }
}

impl Over {
    pub(super) fn windows(&self) -> Vec<&Windowed> {
        match self {
            Self::Window { of, .. } | Self::Joined { of, .. } | Self::Distinct(of) => vec![of],
            Self::Union(one, other) => vec![one, other],
        }
    }

    fn columns(&self, random: &mut Random) -> &'static [&'static str] {
        let window = self.windows()[0].window;
        // By its beginning alone a window is known where all have the same length.
        let alike = matches!(window.kind(), Kind::Tumble | Kind::Hop) && !window.is_zoned();
        match random.below(4) {
            0 => &["window_end"],
            1 if alike && !matches!(self, Self::Union(..)) => &["window_start"],
            _ => &["window_start", "window_end"],
        }
    }
}
