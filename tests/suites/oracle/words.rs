//! What random queries are made of: keys and conditions, each as SQL that both sides read alike and as a function here.

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

/// Grouping sets over the columns of one of the key sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sets {
    pub(super) sql: &'static str,
    pub(super) form: &'static str,
    pub(super) count: usize,
    /// Which of [`KEY_SETS`].
    pub(super) keys: usize,
}

const fn sets(form: &'static str, sql: &'static str, count: usize) -> Sets {
    Sets {
        sql,
        form,
        count,
        keys: 3,
    }
}

pub(super) const SETS: &[Sets] = &[
    sets("GROUPING SETS", "GROUPING SETS ((k), (n, k), ())", 3),
    sets("GROUPING SETS", "GROUPING SETS ((n), (k))", 2),
    sets("ROLLUP", "ROLLUP (k, n)", 3),
    sets("CUBE", "CUBE (k, n)", 4),
];

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

/// Conditions over groups.
const HAVING: &[&str] = &[
    "count(*) > 1",
    "count(*) >= 2 AND min(n) < 5",
    "sum(n) IS NOT NULL",
    "max(n) > 3 OR count(DISTINCT k) = 1",
    "count(*) FILTER (WHERE n > 0) > 0",
];

/// A condition over groups, sometimes.
pub(super) fn having(random: &mut Random) -> Option<&'static str> {
    random.chance(20).then(|| *random.pick(HAVING))
}

/// A condition over rows.
pub(super) fn any_condition(random: &mut Random) -> Condition {
    *random.pick(CONDITIONS)
}

/// A condition over rows, in so many of a hundred cases.
pub(super) fn condition(random: &mut Random, percent: usize) -> Option<Condition> {
    random.chance(percent).then(|| any_condition(random))
}
