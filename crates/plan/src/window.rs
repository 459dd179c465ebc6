//! Window kinds over event time: lengths in microseconds, ends exclusive.

use dataflow::Micros;
use dataflow::time::{MILLI, floor_to};

use crate::zone::Zone;

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
    /// `CUMULATE`: windows of `step`, `2 * step`, … up to `size` that begin together; `size % step` is zero.
    Cumulate {
        /// By how much each window is longer than the one before.
        step: Micros,
        /// Length of the longest.
        size: Micros,
    },
    /// `SESSION`: rows of one key less than `gap` apart; ends `gap` after its last row, or `max` after its first.
    Session {
        /// A pause of this length or more ends the session.
        gap: Micros,
        /// The longest that a session may be.
        max: Option<Micros>,
    },
}

/// A window kind, its offset from 1970-01-01, and the time zone in which that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// The kind.
    pub kind: WindowKind,
    /// Shift of all windows' beginnings; 0 for sessions.
    pub offset: Micros,
    /// For windows of whole days: the zone whose midnights count, UTC when not given.
    pub zone: Option<Zone>,
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

    /// `window_complete`, the pseudo-column of windows that are corrected: whether the row is final.
    pub const COMPLETE: &str = "window_complete";

    /// The column's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "window_start",
            Self::End => "window_end",
            Self::Time => "window_time",
        }
    }

    /// The column's value for a window.
    pub fn value(self, (start, end): Span) -> Micros {
        match self {
            Self::Start => start,
            Self::End => end,
            Self::Time => end.saturating_sub(MILLI),
        }
    }
}

/// Beginning and end of a window.
pub type Span = (Micros, Micros);

/// A piece of time whose rows are in the same windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pane {
    /// First instant.
    pub start: Micros,
    /// First instant after it.
    pub end: Micros,
    /// End of the last window that holds it.
    pub last_end: Micros,
}

/// Lengths of aligned windows in the zone's local time.
#[derive(Clone, Copy)]
struct Lengths {
    /// Distance between beginnings.
    slide: Micros,
    /// Length of the longest.
    size: Micros,
    /// Windows end at multiples of this.
    unit: Micros,
    /// Every window consists of whole panes of this length.
    pane: Micros,
}

impl Window {
    /// A window in UTC without offset.
    pub fn plain(kind: WindowKind) -> Self {
        Self {
            kind,
            offset: 0,
            zone: None,
        }
    }

    /// Whether beginnings and ends are the same for all keys: everything but SESSION.
    pub fn is_aligned(&self) -> bool {
        self.lengths().is_some()
    }

    fn lengths(&self) -> Option<Lengths> {
        let (slide, size, unit) = match self.kind {
            WindowKind::Tumble { size } => (size, size, size),
            WindowKind::Hop { slide, size } => (slide, size, slide),
            WindowKind::Cumulate { step, size } => (size, size, step),
            WindowKind::Session { .. } => return None,
        };
        Some(Lengths {
            slide,
            size,
            unit,
            pane: gcd(unit, size),
        })
    }

    fn local(&self, at: Micros) -> Micros {
        self.zone.map_or(at, |zone| zone.local(at))
    }

    fn utc(&self, local: Micros) -> Micros {
        self.zone.map_or(local, |zone| zone.utc(local))
    }

    /// The aligned windows that hold `at`, each after those that end later.
    pub fn windows_of(&self, at: Micros) -> impl Iterator<Item = Span> + use<'_> {
        let lengths = self.lengths();
        let local = self.local(at);
        let (window, cumulates) = (*self, matches!(self.kind, WindowKind::Cumulate { .. }));
        lengths.into_iter().flat_map(move |l| {
            let start = floor_to(local, l.slide, window.offset);
            (0..)
                .map(move |i| {
                    if cumulates {
                        (start, start.saturating_add(l.size - i * l.unit))
                    } else {
                        let start = start.saturating_sub(i.saturating_mul(l.slide));
                        (start, start.saturating_add(l.size))
                    }
                })
                .take_while(move |(_, end)| *end > local)
                .map(move |(start, end)| (window.utc(start), window.utc(end)))
        })
    }

    /// The pane that holds `at`.
    pub fn pane_of(&self, at: Micros) -> Pane {
        let Some(l) = self.lengths() else {
            return Pane {
                start: at,
                end: at,
                last_end: at,
            };
        };
        let local = self.local(at);
        let start = floor_to(local, l.pane, self.offset);
        Pane {
            start: self.utc(start),
            end: self.utc(start.saturating_add(l.pane)),
            last_end: self.utc(floor_to(local, l.slide, self.offset).saturating_add(l.size)),
        }
    }

    /// The first end of an aligned window after `at`.
    pub fn next_end(&self, at: Micros) -> Micros {
        let Some(l) = self.lengths() else {
            return at;
        };
        let origin = self.offset.saturating_add(l.size);
        let mut end = floor_to(self.local(at), l.unit, origin);
        loop {
            end = end.saturating_add(l.unit);
            // Where clocks are set back, local times repeat.
            if self.utc(end) > at {
                return self.utc(end);
            }
        }
    }

    /// No window is longer: days in a time zone may have an hour more.
    pub fn longest(&self) -> Option<Micros> {
        let slack = if self.zone.is_some() { DAY } else { 0 };
        self.lengths().map(|l| l.size + slack)
    }

    /// Distance between the ends of windows.
    pub fn period(&self) -> Option<Micros> {
        self.lengths().map(|l| l.unit)
    }

    /// Name of the window function.
    pub fn function(&self) -> &'static str {
        match self.kind {
            WindowKind::Tumble { .. } => "TUMBLE",
            WindowKind::Hop { .. } => "HOP",
            WindowKind::Cumulate { .. } => "CUMULATE",
            WindowKind::Session { .. } => "SESSION",
        }
    }
}

/// Microseconds in a day of 24 hours.
pub const DAY: Micros = 24 * 60 * dataflow::time::MINUTE;

/// Greatest common divisor of two positive lengths (Euclid).
fn gcd(a: Micros, b: Micros) -> Micros {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataflow::time::{MINUTE, SECOND};

    fn spans(window: Window, at: Micros) -> Vec<Span> {
        window.windows_of(at).collect()
    }

    #[test]
    fn rows_are_in_their_windows() {
        let tumble = Window::plain(WindowKind::Tumble { size: 10 });
        assert_eq!(spans(tumble, -1), [(-10, 0)]);
        let hop = Window::plain(WindowKind::Hop { slide: 2, size: 5 });
        assert_eq!(spans(hop, 4), [(4, 9), (2, 7), (0, 5)]);
        let cumulate = Window {
            offset: 1,
            ..Window::plain(WindowKind::Cumulate { step: 2, size: 6 })
        };
        assert_eq!(spans(cumulate, 3), [(1, 7), (1, 5)]);
        assert_eq!(spans(cumulate, 6), [(1, 7)]);
        let session = WindowKind::Session { gap: 1, max: None };
        assert!(spans(Window::plain(session), 3).is_empty());
    }

    #[test]
    fn panes_and_ends_agree_with_windows() {
        let kinds = [
            WindowKind::Tumble { size: 7 },
            WindowKind::Hop { slide: 4, size: 6 },
            WindowKind::Hop { slide: 3, size: 10 },
            WindowKind::Cumulate { step: 3, size: 9 },
        ];
        for kind in kinds {
            let window = Window {
                offset: 2,
                ..Window::plain(kind)
            };
            for at in -40..40 {
                let all = spans(window, at);
                let pane = window.pane_of(at);
                assert!(pane.start <= at && at < pane.end, "{window:?} {at}");
                assert_eq!(pane.last_end, all[0].1, "{window:?} {at}");
                for other in pane.start..pane.end {
                    assert_eq!(spans(window, other), all, "{window:?} {at} {other}");
                }
                let next =
                    (at + 1..).find(|end| spans(window, end - 1).iter().any(|w| w.1 == *end));
                assert_eq!(Some(window.next_end(at)), next, "{window:?} {at}");
            }
        }
    }

    #[test]
    fn days_in_a_zone_have_23_to_25_hours() {
        const HOUR: Micros = 60 * MINUTE;
        let berlin = Window {
            zone: Zone::named("Europe/Berlin"),
            ..Window::plain(WindowKind::Tumble { size: DAY })
        };
        // 2026-03-29 and 2026-10-25, when clocks change.
        let (spring, autumn) = (1_774_738_800 * SECOND, 1_792_879_200 * SECOND);
        assert_eq!(spans(berlin, spring), [(spring, spring + 23 * HOUR)]);
        assert_eq!(spans(berlin, spring - 1), [(spring - 24 * HOUR, spring)]);
        assert_eq!(
            spans(berlin, autumn + 24 * HOUR),
            [(autumn, autumn + 25 * HOUR)]
        );
        assert_eq!(berlin.next_end(autumn), autumn + 25 * HOUR);
        assert_eq!(berlin.pane_of(spring + HOUR).last_end, spring + 23 * HOUR);
        // Midnight of 2018-11-04 does not exist in Sao Paulo: the day begins at one.
        let sao_paulo = Window {
            zone: Zone::named("America/Sao_Paulo"),
            ..berlin
        };
        let begin = 1_541_300_400 * SECOND;
        assert_eq!(spans(sao_paulo, begin), [(begin, begin + 23 * HOUR)]);
        assert_eq!(spans(sao_paulo, begin - 1), [(begin - 24 * HOUR, begin)]);
    }
}
