//! Records that cannot become rows, and why.

/// One bad record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// The record's row in the slab.
    pub row: u32,
    /// The kind of trouble.
    pub reason: BadReason,
    /// What was found and where, for people; a few hundred bytes at most.
    pub message: String,
}

/// Kinds of trouble with a record. Of several, the size comes first, then UTF-8, then the payload's text from its
/// beginning, then the columns in declared order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BadReason {
    /// The payload is larger than the limit.
    TooLarge,
    /// The payload, or the key of a source that has the key as a column, is not UTF-8.
    NotUtf8,
    /// The payload is not one whole JSON value.
    NotJson,
    /// The payload is not one record of CSV with as many fields as there should be.
    NotCsv,
    /// Objects and arrays are nested beyond the limit.
    TooDeep,
    /// A value, or the record itself, is of another JSON type than its column.
    WrongType,
    /// A value that must be there is absent or NULL: a NOT NULL column or the event time.
    Missing,
    /// A number or time that its column's type cannot hold.
    OutOfRange,
    /// A text that is not a date or time.
    InvalidDatetime,
    /// An event time too far ahead of the clock.
    FarFuture,
    /// A text with the character U+0000, which PostgreSQL's text types cannot hold.
    NulCharacter,
}

impl BadReason {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::TooLarge,
        Self::NotUtf8,
        Self::NotJson,
        Self::NotCsv,
        Self::TooDeep,
        Self::WrongType,
        Self::Missing,
        Self::OutOfRange,
        Self::InvalidDatetime,
        Self::FarFuture,
        Self::NulCharacter,
    ];

    /// The stable name, as status tables and dead letters have it.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotCsv => "not_csv",
            Self::TooDeep => "too_deep",
            Self::WrongType => "wrong_type",
            Self::Missing => "missing",
            Self::OutOfRange => "out_of_range",
            Self::InvalidDatetime => "invalid_datetime",
            Self::FarFuture => "far_future",
            Self::NulCharacter => "nul_character",
        }
    }
}

/// A [`BadRecord`] before its row is known.
#[derive(Debug)]
pub(crate) struct Bad {
    pub(crate) reason: BadReason,
    pub(crate) message: String,
}

impl Bad {
    pub(crate) fn new(reason: BadReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}
