//! What random queries are made of: keys, conditions and aggregates, each as SQL that both sides read alike.

use super::random::Random;
use super::stream::Row;

/// A key of GROUP BY.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) sql: &'static str,
    /// Its name in the result.
    pub(super) name: &'static str,
    /// The same, computed here; only equality counts.
    pub(super) of: fn(&Row) -> Option<String>,
}

impl Key {
    /// Whether the key is a column as it is.
    pub(super) fn is_column(self) -> bool {
        self.sql == self.name
    }
}

fn text_of_n(row: &Row, of: fn(i64) -> i64) -> Option<String> {
    row.n.map(|n| of(n).to_string())
}

pub(super) const KEY_SETS: &[&[Key]] = &[&[K], &[K], &[N], &[K, N], &[N3], &[UPPER], &[FILLED, N3]];
pub(super) const K: Key = Key {
    sql: "k",
    name: "k",
    of: |r| r.k.clone(),
};
const N: Key = Key {
    sql: "n",
    name: "n",
    of: |r| text_of_n(r, |n| n),
};
const N3: Key = Key {
    sql: "n % 3",
    name: "n3",
    of: |r| text_of_n(r, |n| n % 3),
};
const UPPER: Key = Key {
    sql: "upper(k)",
    name: "ku",
    of: |r| r.k.as_ref().map(|k| k.to_uppercase()),
};
const FILLED: Key = Key {
    sql: "coalesce(k, 'none')",
    name: "kf",
    of: |r| Some(r.k.clone().unwrap_or_else(|| "none".to_owned())),
};

/// A condition over rows: all of its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition {
    pub(super) sql: &'static str,
    parts: &'static [Part],
}

/// A part of a condition, which may be evaluated on its own.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// The only column in it.
    column: Option<&'static str>,
    /// The same, computed here; NULL is false.
    holds: fn(&Row) -> bool,
}

impl Condition {
    /// Whether a row fulfils it.
    pub(super) fn holds(&self, row: &Row) -> bool {
        self.parts.iter().all(|p| (p.holds)(row))
    }

    /// Whether a row fulfils the parts that concern one of `columns` alone.
    pub(super) fn holds_for(&self, columns: &[Key], row: &Row) -> bool {
        let concerns = |p: &&Part| {
            p.column
                .is_some_and(|c| columns.iter().any(|k| k.is_column() && k.sql == c))
        };
        self.parts.iter().filter(concerns).all(|p| (p.holds)(row))
    }
}

const CONDITIONS: &[Condition] = &[
    Condition {
        sql: "n > 2",
        parts: &[Part {
            column: Some("n"),
            holds: |r| r.n.is_some_and(|n| n > 2),
        }],
    },
    Condition {
        sql: "k IS NOT NULL",
        parts: &[Part {
            column: Some("k"),
            holds: |r| r.k.is_some(),
        }],
    },
    Condition {
        sql: "k <> 'a'",
        parts: &[Part {
            column: Some("k"),
            holds: |r| r.k.as_ref().is_some_and(|k| k != "a"),
        }],
    },
    Condition {
        sql: "x < 50 OR n IS NULL",
        parts: &[Part {
            column: None,
            holds: |r| r.x.is_some_and(|x| x < 50.0) || r.n.is_none(),
        }],
    },
    Condition {
        sql: "k IN ('a', 'c', 'last') AND n <> 0",
        parts: &[
            Part {
                column: Some("k"),
                holds: |r| matches!(r.k.as_deref(), Some("a" | "c" | "last")),
            },
            Part {
                column: Some("n"),
                holds: |r| r.n.is_some_and(|n| n != 0),
            },
        ],
    },
    Condition {
        sql: "NOT (n % 2 = 0)",
        parts: &[Part {
            column: Some("n"),
            holds: |r| r.n.is_some_and(|n| n % 2 != 0),
        }],
    },
    Condition {
        sql: "n > 1000",
        parts: &[Part {
            column: Some("n"),
            holds: |r| r.n.is_some_and(|n| n > 1000),
        }],
    },
];

/// Aggregates over the stream.
const AGGREGATES: &[&str] = &[
    "count(n)",
    "count(k)",
    "count(DISTINCT k)",
    "count(DISTINCT n)",
    "count(DISTINCT n % 4)",
    "sum(n)",
    "min(n)",
    "max(n)",
    "avg(n)",
    "sum(x)",
    "min(x)",
    "max(x)",
    "avg(x)",
    "min(k)",
    "max(upper(k))",
    "min(ts)",
    "max(ts)",
    "count(*) FILTER (WHERE n > 0)",
    "sum(n) FILTER (WHERE k IS NOT NULL)",
    "avg(x) FILTER (WHERE k = 'a')",
    "count(DISTINCT k) FILTER (WHERE n IS NOT NULL)",
    "sum(n * 2 + 1)",
    "max(n) - min(n)",
    "count(*) * 2 + count(n)",
    "sum(CASE WHEN k = 'a' THEN 1 ELSE 0 END)",
    "bool_and(n > 0)",
    "coalesce(sum(n), -1)",
];

/// Aggregates over a view with a count `c` and a sum `s`.
const SECOND_AGGREGATES: &[&str] = &[
    "count(*)",
    "sum(s)",
    "max(c)",
    "min(c)",
    "avg(s)",
    "count(DISTINCT k)",
    "count(DISTINCT c)",
    "sum(c) FILTER (WHERE s > 0)",
    "max(k)",
];

/// Conditions over groups.
const HAVING: &[&str] = &[
    "count(*) > 1",
    "count(*) >= 2 AND min(n) < 5",
    "sum(n) IS NOT NULL",
    "max(n) > 3 OR count(DISTINCT k) = 1",
    "count(*) FILTER (WHERE n > 0) > 0",
];

/// Some aggregates with names; the first is the number of rows.
pub(super) fn aggregates(random: &mut Random) -> Vec<String> {
    named("count(*)", AGGREGATES, random)
}

/// Some aggregates over the rows of a view.
pub(super) fn second_aggregates(random: &mut Random) -> Vec<String> {
    named("sum(c)", SECOND_AGGREGATES, random)
}

fn named(first: &str, choices: &[&str], random: &mut Random) -> Vec<String> {
    let mut chosen = vec![first.to_owned()];
    chosen.extend((0..random.below(5)).map(|_| (*random.pick(choices)).to_owned()));
    let named = chosen.iter().enumerate();
    named.map(|(i, sql)| format!("{sql} AS a{i}")).collect()
}

/// A condition over groups, sometimes.
pub(super) fn having(random: &mut Random) -> Option<&'static str> {
    random.chance(20).then(|| *random.pick(HAVING))
}

/// A condition over rows, in so many of a hundred cases.
pub(super) fn condition(random: &mut Random, percent: usize) -> Option<Condition> {
    random.chance(percent).then(|| *random.pick(CONDITIONS))
}
