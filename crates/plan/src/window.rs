//! Window kinds over event time: lengths in microseconds, ends exclusive.

use dataflow::Micros;
use dataflow::time::{MILLI, floor_to};

/// A kind of window. `size % slide` need not be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WindowKind {
    /// `TUMBLE`: one window a row.
    Tumble {
        /// Length.
        size: Micros,
    },
    /// `HOP`: a window of `size` begins every `slide`; `slide <= size`.
    Hop {
        /// Distance between the beginnings of windows.
        slide: Micros,
        /// Length.
        size: Micros,
    },
    /// `SESSION`: rows of one key less than `gap` apart; ends `gap` after its last row.
    Session {
        /// A pause of this length or more ends the session.
        gap: Micros,
    },
}

/// A window kind and its offset from 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// The kind.
    pub kind: WindowKind,
    /// Shift of all windows' beginnings; 0 for sessions.
    pub offset: Micros,
}

/// The columns that a window function adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WindowColumn {
    /// First instant of the window.
    Start,
    /// First instant after the window.
    End,
    /// The window's event time for windows over windows: its end minus one millisecond.
    Time,
}

impl WindowColumn {
    /// All of them, in the order in which they are added.
    pub const ALL: [Self; 3] = [Self::Start, Self::End, Self::Time];

    /// The column's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "window_start",
            Self::End => "window_end",
            Self::Time => "window_time",
        }
    }

    /// The column's value for a window.
    pub fn value(self, start: Micros, end: Micros) -> Micros {
        match self {
            Self::Start => start,
            Self::End => end,
            Self::Time => end - MILLI,
        }
    }
}

impl Window {
    /// Length and distance of aligned windows; `None` for sessions.
    pub fn aligned(&self) -> Option<(Micros, Micros)> {
        match self.kind {
            WindowKind::Tumble { size } => Some((size, size)),
            WindowKind::Hop { slide, size } => Some((slide, size)),
            WindowKind::Session { .. } => None,
        }
    }

    /// Beginning of the last aligned window that holds `at`.
    pub fn last_start(&self, at: Micros, slide: Micros) -> Micros {
        floor_to(at, slide, self.offset)
    }

    /// Name of the window function.
    pub fn function(&self) -> &'static str {
        match self.kind {
            WindowKind::Tumble { .. } => "TUMBLE",
            WindowKind::Hop { .. } => "HOP",
            WindowKind::Session { .. } => "SESSION",
        }
    }
}
