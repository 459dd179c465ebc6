//! Random queries without windows: filters, unions, joins with a small table, and groups that never close.

use std::collections::BTreeSet;

use super::aggregates::aggregates;
use super::input::join;
use super::model::Placed;
use super::random::Random;
use super::stream::Interest;
use super::window::{Kind, Window};
use super::words::{Condition, condition, having};

/// A query without a window.
pub(super) struct Plain {
    pub(super) form: &'static str,
    pub(super) interest: Interest,
    condition: Option<Condition>,
    shown: String,
    having: String,
}

/// What such a view may be.
pub(super) const FORMS: [&str; 9] = [
    "filter",
    "union",
    "join",
    "left join",
    "join using",
    "group by",
    "group by event time",
    "one group of all",
    "distinct",
];

/// Where clickmill's text and the plain one differ.
struct Side<'a> {
    /// The first columns of results and of GROUP BY, with a comma.
    first: &'static str,
    stream: &'a str,
    /// More of the condition of a join with relation `s`.
    table: &'static str,
    /// More of the condition of groups that end.
    late: &'static str,
}

impl Plain {
    pub(super) fn random(random: &mut Random) -> Self {
        let interest = Window::random(random, Kind::Tumble).interest();
        let form = *random.pick(&FORMS);
        let having = match form {
            "group by" | "group by event time" => having(random),
            _ => None,
        };
        Self {
            form,
            interest,
            condition: condition(random, 60),
            shown: aggregates(random, false).join(", "),
            having: having.map_or(String::new(), |h| format!(" HAVING {h}")),
        }
    }

    /// As clickmill reads it.
    pub(super) fn continuous(&self) -> String {
        self.text(&Side {
            first: "",
            stream: "s",
            table: "",
            late: "",
        })
    }

    /// Plain SQL over a relation like `log`.
    pub(super) fn plain(&self, relation: &str) -> String {
        self.text(&Side {
            first: "at, ",
            stream: relation,
            table: " AND t.tick < s.tick",
            late: " AND ts > wm",
        })
    }

    fn text(&self, side: &Side<'_>) -> String {
        let Side {
            first,
            stream,
            table,
            late,
        } = side;
        let rows = self.condition.map_or("true", |c| c.sql);
        let rows = format!("FROM {stream} AS s WHERE ({rows})");
        let (shown, having) = (&self.shown, &self.having);
        let using = |on: &str| {
            if first.is_empty() {
                "USING (id)".to_owned()
            } else {
                format!("ON s.id = t.id{on}")
            }
        };
        match self.form {
            "filter" => format!("SELECT {first}k, n * 2 AS twice, upper(k) AS u, ts {rows}"),
            "union" => format!(
                "SELECT {first}k, n, upper(k) AS u, ts {rows} UNION ALL \
                 SELECT {first}k, n + 1, lower(k), ts FROM {stream} AS s WHERE n > 0"
            ),
            "join" | "left join" => {
                let join = join(self.form == "left join");
                let rows = rows.replace(" WHERE", &format!(" {join} t ON s.k = t.id{table} WHERE"));
                format!("SELECT {first}s.k, s.n, t.g, s.ts {rows}")
            }
            "join using" => format!(
                "SELECT {first}s.n, t.g FROM (SELECT *, k AS id {rows}) AS s JOIN t {}",
                using(table)
            ),
            "group by" => format!("SELECT {first}k, {shown} {rows} GROUP BY {first}k{having}"),
            "group by event time" => {
                format!("SELECT {first}k, ts, {shown} {rows}{late} GROUP BY {first}k, ts{having}")
            }
            "one group of all" if first.is_empty() => format!("SELECT {shown} {rows}"),
            "one group of all" => format!("SELECT {first}{shown} {rows} GROUP BY at"),
            _ => format!("SELECT DISTINCT {first}k, n % 3 AS n3 {rows}"),
        }
    }

    /// Plain SQL for the one row that there is before any has come.
    pub(super) fn of_no_rows(&self) -> Option<String> {
        let all = self.form == "one group of all";
        all.then(|| format!("SELECT {} FROM log WHERE false", self.shown))
    }

    pub(super) fn is_updating(&self) -> bool {
        matches!(
            self.form,
            "group by" | "group by event time" | "one group of all" | "distinct"
        )
    }

    /// Its groups grow with the keys.
    pub(super) fn is_unbounded(&self) -> bool {
        matches!(self.form, "group by" | "one group of all" | "distinct")
    }

    pub(super) fn is_by_event_time(&self) -> bool {
        self.form == "group by event time"
    }

    /// How many groups there are of these rows.
    pub(super) fn groups(&self, placed: &[Placed]) -> u64 {
        let rows = placed.iter().filter(|p| self.takes(p)).map(|p| &p.row);
        match self.form {
            "group by" => rows.map(|r| &r.k).collect::<BTreeSet<_>>().len() as u64,
            "distinct" => {
                let keys = rows.map(|r| (&r.k, r.n.map(|n| n % 3)));
                keys.collect::<BTreeSet<_>>().len() as u64
            }
            _ => 1,
        }
    }

    /// Whether the query gets the row.
    pub(super) fn takes(&self, placed: &Placed) -> bool {
        self.condition.is_none_or(|c| c.holds(&placed.row))
    }
}
