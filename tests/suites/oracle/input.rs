//! What a window stands over: the stream itself, a query over it, or the stream joined to a small table.

use super::model::Placed;
use super::random::Random;
use super::words::{Condition, any_condition};

/// The input of a window.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Stream,
    /// Some of the rows, by a subquery or, where `named`, by WITH.
    Some {
        rows: Condition,
        named: bool,
    },
    /// The rows of one condition and those of another, some twice.
    Union(Condition, Condition),
    /// Each row once for every row of the table with its key; without one once, if `outer`, or not at all.
    Joined {
        outer: bool,
    },
}

impl Input {
    pub(super) fn random(random: &mut Random) -> Self {
        match random.below(100) {
            0..8 => Self::Some {
                rows: any_condition(random),
                named: false,
            },
            8..13 => Self::Some {
                rows: any_condition(random),
                named: true,
            },
            13..17 => Self::Union(any_condition(random), any_condition(random)),
            17..23 => Self::Joined {
                outer: random.chance(50),
            },
            _ => Self::Stream,
        }
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream)
    }

    pub(super) fn is_joined(&self) -> bool {
        matches!(self, Self::Joined { .. })
    }

    pub(super) fn form(&self) -> &'static str {
        match self {
            Self::Stream => "window over a source",
            Self::Some { named: false, .. } => "window over a subquery",
            Self::Some { named: true, .. } => "window over WITH",
            Self::Union(..) => "window over UNION ALL",
            Self::Joined { outer: false } => "window over JOIN table",
            Self::Joined { outer: true } => "window over LEFT JOIN table",
        }
    }

    /// How many rows the window gets of a row.
    pub(super) fn copies(&self, placed: &Placed) -> usize {
        let row = &placed.row;
        match self {
            Self::Stream => 1,
            Self::Some { rows, .. } => usize::from(rows.holds(row)),
            Self::Union(a, b) => usize::from(a.holds(row)) + usize::from(b.holds(row)),
            Self::Joined { outer } => placed.matches.max(usize::from(*outer)),
        }
    }

    /// What stands before SELECT, and the relation, in clickmill's SQL over relation `name`.
    pub(super) fn continuous(&self, name: &str) -> (String, String) {
        let query = match self {
            Self::Stream => return (String::new(), name.to_owned()),
            Self::Joined { outer } => format!(
                "SELECT l.k, l.n, l.x, l.ts, l.p, l.o, t.g FROM {name} AS l {} t ON l.k = t.id",
                join(*outer)
            ),
            _ => self.of_rows(name),
        };
        match self {
            Self::Some { named: true, .. } => (format!("WITH q AS ({query}) "), "q".to_owned()),
            _ => (String::new(), format!("({query})")),
        }
    }

    /// The relation in plain SQL. A row of the table counts for the rows that came in later ticks than it.
    pub(super) fn plain(&self, name: &str) -> String {
        match self {
            Self::Stream => name.to_owned(),
            Self::Joined { outer } => format!(
                "(SELECT l.*, t.g FROM {name} AS l {} t ON l.k = t.id AND t.tick < l.tick)",
                join(*outer)
            ),
            _ => format!("({})", self.of_rows(name)),
        }
    }

    fn of_rows(&self, name: &str) -> String {
        match self {
            Self::Some { rows, .. } => format!("SELECT * FROM {name} WHERE {}", rows.sql),
            Self::Union(a, b) => format!(
                "SELECT * FROM {name} WHERE {} UNION ALL SELECT * FROM {name} WHERE {}",
                a.sql, b.sql
            ),
            Self::Stream | Self::Joined { .. } => format!("SELECT * FROM {name}"),
        }
    }
}

/// `JOIN` or `LEFT JOIN`.
pub(super) fn join(outer: bool) -> &'static str {
    if outer { "LEFT JOIN" } else { "JOIN" }
}
