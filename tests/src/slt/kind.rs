//! The letters behind `query`: what kind of value each column has.

use pg::types::oid;
use sqllogictest::ColumnType;

/// A kind of column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `T`: text and all that is not named below.
    Text,
    /// `I`: whole numbers of fixed width.
    Integer,
    /// `R`: floating point and NUMERIC.
    Real,
    /// `B`: boolean.
    Boolean,
    /// `D`: dates and times.
    Time,
}

impl Kind {
    /// The kind of a PostgreSQL type.
    pub fn of(type_oid: u32) -> Self {
        match type_oid {
            oid::INT2 | oid::INT4 | oid::INT8 => Self::Integer,
            oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC => Self::Real,
            oid::BOOL => Self::Boolean,
            oid::DATE | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ => Self::Time,
            _ => Self::Text,
        }
    }
}

impl ColumnType for Kind {
    fn from_char(value: char) -> Option<Self> {
        Some(match value {
            'T' => Self::Text,
            'I' => Self::Integer,
            'R' => Self::Real,
            'B' => Self::Boolean,
            'D' => Self::Time,
            _ => return None,
        })
    }

    fn to_char(&self) -> char {
        match self {
            Self::Text => 'T',
            Self::Integer => 'I',
            Self::Real => 'R',
            Self::Boolean => 'B',
            Self::Time => 'D',
        }
    }
}
