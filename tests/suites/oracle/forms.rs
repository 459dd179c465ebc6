//! The register of everything that random cases are made of, and how often each form occurred.
//!
//! A new form of the grammar gets a name here and is named by the cases that have it; a full run fails when it was seen
//! too rarely, and any run fails when a case names a form that is not here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A full run has every form at least so often.
pub(super) const LEAST: usize = 100;

/// Forms by what they are about.
const FORMS: &[(&str, &[&str])] = &[
    ("views", VIEWS),
    ("views without a window", &super::plain::FORMS),
    ("windows", WINDOWS),
    ("queries", QUERIES),
    ("aggregates", FUNCTIONS),
    ("emission", EMISSION),
    ("streams", STREAMS),
    ("checks", CHECKS),
];

const VIEWS: &[&str] = &[
    "tumble",
    "tumble, updating",
    "hop",
    "hop, updating",
    "cumulate",
    "cumulate, updating",
    "session",
    "session, updating",
    "not grouped",
    "top-n of windows",
    "top-n of windows, updating",
    "top-n of rows",
    "first row of a window",
    "window over a view",
    "window over a view, updating",
    "window over a corrected view",
    "window over a windowed subquery",
    "window over a window over a view",
    "union of windows",
    "union of windows, updating",
    "join of windows",
    "left join of windows",
    "right join of windows",
    "full join of windows",
    "EXISTS in the same window",
    "NOT EXISTS in the same window",
    "IN of the same window",
    "GROUP BY the window of a join",
    "GROUP BY the window of a view",
    "GROUP BY the window of a union",
    "GROUP BY the window of a join with a table",
    "GROUP BY the window of a join with a table, updating",
    "DISTINCT rows of a window",
];

const WINDOWS: &[&str] = &[
    "TUMBLE(s, ts, ...)",
    "TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), ...))",
    "TUMBLE(data => s, timecol => ts, ...)",
    "GROUP BY TUMBLE(ts, ...)",
    "PARTITION BY of SESSION",
    "SESSION by the keys of GROUP BY",
    "SESSION(..., max => ...)",
    "SESSION(..., ends_when => ...)",
    "size no multiple of slide",
    "offset",
    "offset below zero",
    "days in a time zone",
];

const QUERIES: &[&str] = &[
    "window over a source",
    "window over a subquery",
    "window over WITH",
    "window over UNION ALL",
    "window over JOIN table",
    "window over LEFT JOIN table",
    "a subquery around a window",
    "a window without keys",
    "keys that are expressions",
    "WHERE",
    "WHERE on a window column",
    "window_complete",
    "WHERE window_complete",
    "HAVING",
    "GROUP BY without aggregates",
    "GROUPING SETS",
    "ROLLUP",
    "CUBE",
    "FILTER of an aggregate",
    "DISTINCT of an aggregate",
    "ORDER BY of an aggregate",
];

/// Functions, found in the text of a query.
const FUNCTIONS: &[&str] = &[
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "stddev",
    "stddev_pop",
    "var_samp",
    "var_pop",
    "covar_samp",
    "covar_pop",
    "corr",
    "regr_count",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "median",
    "percentile_cont",
    "approx_distinct",
    "approx_percentile_cont",
    "approx_median",
    "array_agg",
    "string_agg",
    "first_value",
    "last_value",
    "grouping",
];

const EMISSION: &[&str] = &[
    "no EMIT",
    "EMIT ON WINDOW CLOSE",
    "EMIT AFTER WINDOW CLOSE",
    "EMIT FINAL",
    "EMIT ON UPDATE",
    "EMIT CHANGES",
    "EMIT ON UPDATE EVERY",
    "EMIT EVERY",
    "ALLOW LATENESS",
    "ALLOW LATENESS with EMIT ON UPDATE",
];

const STREAMS: &[&str] = &[
    "no rows",
    "more than 1,000 rows",
    "one partition",
    "eight partitions",
    "an empty partition",
    "an idle partition",
    "silence of all partitions",
    "partitions that appear later",
    "partitions that wait for others",
    "disorder",
    "ties",
    "times at borders",
    "times before 1970",
    "keys that are NULL",
    "values that are NULL",
    "undecodable records",
    "records far in the future",
    "tombstones",
    "late rows",
    "late rows that correct a window",
    "late rows that correct a session",
    "no row that can be late",
    "ticks of one record",
    "a table that grows",
    "the clock closes the last windows",
];

const CHECKS: &[&str] = &[
    "views at every tick",
    "views at some ticks",
    "updating views at every tick",
    "a subscriber that came in the middle",
    "a view that came later",
    "a crash",
    "several crashes",
    "a checkpoint taken",
    "the same text over what is finite",
    "no state after the last window",
    "rows counted in and out of windows",
    "the same again on replay",
];

/// Functions and clauses of aggregates in a query's text.
pub(super) fn in_text(sql: &str) -> Vec<&'static str> {
    let calls = |name: &str| {
        sql.match_indices(name).any(|(at, _)| {
            let before = sql[..at].chars().next_back();
            sql[at + name.len()..].starts_with('(')
                && !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    };
    let mut forms: Vec<&str> = FUNCTIONS.iter().copied().filter(|f| calls(f)).collect();
    let clauses = [
        (" FILTER (", "FILTER of an aggregate"),
        ("(DISTINCT ", "DISTINCT of an aggregate"),
        (" ORDER BY p", "ORDER BY of an aggregate"),
        (" ORDER BY ts", "ORDER BY of an aggregate"),
    ];
    let has = clauses.iter().filter(|(text, _)| sql.contains(text));
    forms.extend(has.map(|(_, form)| *form));
    forms
}

/// In how many cases each form occurred.
#[derive(Debug, Default)]
pub(super) struct Coverage(BTreeMap<&'static str, usize>);

impl Coverage {
    pub(super) fn add(&mut self, forms: &BTreeSet<&'static str>) {
        for form in forms {
            *self.0.entry(form).or_default() += 1;
        }
    }

    pub(super) fn plus(&mut self, other: &Self) {
        for (form, count) in &other.0 {
            *self.0.entry(form).or_default() += count;
        }
    }

    pub(super) fn of(&self, form: &str) -> usize {
        self.0.get(form).copied().unwrap_or(0)
    }

    /// Forms that cases name and the register does not.
    pub(super) fn unknown(&self) -> Vec<String> {
        let known = |form: &str| FORMS.iter().any(|(_, forms)| forms.contains(&form));
        let unknown = self.0.keys().filter(|form| !known(form));
        unknown
            .map(|form| format!("\"{form}\" is not in the register of forms"))
            .collect()
    }

    /// Forms that occurred too rarely for a full run.
    pub(super) fn rare(&self) -> Vec<String> {
        let all = FORMS.iter().flat_map(|(_, forms)| forms.iter());
        let rare = all.filter(|form| self.of(form) < LEAST);
        rare.map(|form| {
            format!(
                "\"{form}\" occurred in {} cases, at least {LEAST} are wanted",
                self.of(form)
            )
        })
        .collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (about, forms) in FORMS {
            writeln!(f, "  {about}:")?;
            for form in *forms {
                writeln!(f, "    {:>7}  {form}", self.of(form))?;
            }
        }
        Ok(())
    }
}
