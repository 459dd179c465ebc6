//! Windows of random queries: as a window function's call, as plain SQL over integers, and as arithmetic for counts.

use dataflow::time::{MILLI, MINUTE, SECOND};

use super::random::Random;
use super::stream::Interest;
use super::words::{Condition, any_condition};
use super::zone::{ZONES, Zone};

/// A window over event time; lengths in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Window {
    Tumble {
        size: i64,
        offset: i64,
    },
    Hop {
        slide: i64,
        size: i64,
        offset: i64,
    },
    Cumulate {
        step: i64,
        size: i64,
        offset: i64,
    },
    Session {
        gap: i64,
        /// The longest that it may be.
        max: Option<i64>,
        /// A row that fulfils this ends it.
        ends_when: Option<Condition>,
    },
    /// Windows of whole days between the midnights of a zone; `size` and `slide` (CUMULATE's step) are days of 24 hours.
    Days {
        kind: Kind,
        slide: i64,
        size: i64,
        offset: i64,
        zone: &'static Zone,
    },
}

/// A day of 24 hours.
pub(super) const DAY: i64 = 24 * 60 * MINUTE;

/// Kinds of windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tumble,
    Hop,
    Cumulate,
    Session,
}

pub(super) const KINDS: [Kind; 4] = [Kind::Tumble, Kind::Hop, Kind::Cumulate, Kind::Session];

/// Lengths from which windows are made.
const SCALES: [i64; 6] = [250 * MILLI, SECOND, 10 * SECOND, MINUTE, 60 * MINUTE, DAY];

impl Window {
    /// A random window of a kind.
    pub(super) fn random(random: &mut Random, kind: Kind) -> Self {
        if kind != Kind::Session && random.chance(10) {
            return Self::days(random, kind);
        }
        let scale = *random.pick(&SCALES);
        match (kind, random.below(10)) {
            (Kind::Session, 0..4) => Self::ending(random, scale),
            _ => Self::of_scale(random, kind, scale),
        }
    }

    /// A session that something other than a pause may end.
    fn ending(random: &mut Random, gap: i64) -> Self {
        let (longest, ends) = *random.pick(&[(true, false), (false, true), (true, true)]);
        let lengths = [gap / 2, gap, 2 * gap, 3 * gap, 7 * gap];
        Self::Session {
            gap,
            max: longest.then(|| *random.pick(&lengths)),
            ends_when: ends.then(|| any_condition(random)),
        }
    }

    /// Whether rows are taken in the order of their times, once the watermark has passed them.
    pub(super) fn is_ordered(self) -> bool {
        let Self::Session { max, ends_when, .. } = self else {
            return false;
        };
        max.is_some() || ends_when.is_some()
    }

    /// A random window whose slide, size or gap is about `scale`.
    pub(super) fn of_scale(random: &mut Random, kind: Kind, scale: i64) -> Self {
        let offset = match random.below(10) {
            0..=5 => 0,
            6..=7 => scale / 10,
            8 => -scale / 5,
            // Longer than the window, and no multiple of anything.
            _ => 7 * scale + 3 * MILLI,
        };
        match kind {
            Kind::Tumble => Self::Tumble {
                size: scale,
                offset,
            },
            Kind::Hop => {
                // Tenths of a size per slide; some divide evenly, some do not.
                let tenths = *random.pick(&[10, 20, 25, 30, 35, 50, 73, 100, 11, 135, 240]);
                Self::Hop {
                    slide: scale,
                    size: scale / 10 * tenths,
                    offset,
                }
            }
            Kind::Cumulate => Self::Cumulate {
                step: scale,
                size: scale * *random.pick(&[1, 2, 3, 5, 12]),
                offset,
            },
            Kind::Session => Self::Session {
                gap: scale,
                max: None,
                ends_when: None,
            },
        }
    }

    fn days(random: &mut Random, kind: Kind) -> Self {
        let days = *random.pick(&[1, 1, 2, 3]);
        let (slide, size) = match kind {
            Kind::Hop => (DAY, days * DAY),
            Kind::Cumulate => (DAY, (1 + days) * DAY),
            Kind::Tumble | Kind::Session => (days * DAY, days * DAY),
        };
        Self::Days {
            kind,
            slide,
            size,
            offset: *random.pick(&[0, 0, 0, 6 * 60 * MINUTE, -90 * MINUTE]),
            zone: random.pick(&ZONES),
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Days { kind, .. } => kind,
            Self::Tumble { .. } => Kind::Tumble,
            Self::Hop { .. } => Kind::Hop,
            Self::Cumulate { .. } => Kind::Cumulate,
            Self::Session { .. } => Kind::Session,
        }
    }

    /// Distance between beginnings, length and origin; `None` for sessions.
    fn aligned(self) -> Option<(i64, i64, i64)> {
        match self {
            Self::Cumulate { size, offset, .. } => Some((size, size, offset)),
            Self::Tumble { size, offset } => Some((size, size, offset)),
            Self::Hop {
                slide,
                size,
                offset,
            } => Some((slide, size, offset)),
            Self::Days {
                kind,
                slide,
                size,
                offset,
                ..
            } => Some((if kind == Kind::Hop { slide } else { size }, size, offset)),
            Self::Session { .. } => None,
        }
    }

    /// The zone, and how much longer than its size a window in it may be.
    fn zone(self) -> (Option<&'static Zone>, i64) {
        match self {
            Self::Days { zone, .. } => (Some(zone), DAY),
            _ => (None, 0),
        }
    }

    pub(super) fn is_zoned(self) -> bool {
        self.zone().0.is_some()
    }

    /// Lengths of windows that begin together.
    fn lengths(self) -> Vec<i64> {
        let multiples = |step: i64, size: i64| (1..=size / step).map(|i| i * step).collect();
        match self {
            Self::Cumulate { step, size, .. } => multiples(step, size),
            Self::Days {
                kind: Kind::Cumulate,
                slide,
                size,
                ..
            } => multiples(slide, size),
            _ => self
                .aligned()
                .map(|(_, size, _)| size)
                .into_iter()
                .collect(),
        }
    }

    /// Distance between the ends of windows, or a session's gap.
    pub(super) fn period(self) -> i64 {
        match self {
            Self::Session { gap, .. } => gap,
            _ => {
                let (slide, ..) = self.aligned().unwrap_or((1, 1, 0));
                self.lengths().first().map_or(slide, |l| slide.min(*l))
            }
        }
    }

    /// Names of what it has.
    pub(super) fn forms(self) -> Vec<&'static str> {
        let mut forms = Vec::new();
        let (slide, size, offset) = self.aligned().unwrap_or((1, 1, 0));
        if size % slide != 0 {
            forms.push("size no multiple of slide");
        }
        match self {
            Self::Days { .. } => forms.push("days in a time zone"),
            _ if offset < 0 => forms.push("offset below zero"),
            _ if offset > 0 => forms.push("offset"),
            Self::Session { max, ends_when, .. } => {
                forms.extend(max.map(|_| "SESSION(..., max => ...)"));
                forms.extend(ends_when.map(|_| "SESSION(..., ends_when => ...)"));
            }
            _ => {}
        }
        forms
    }

    /// What a stream should hold for this window.
    pub(super) fn interest(self) -> Interest {
        match self {
            Self::Session { gap, max, .. } => Interest {
                scale: 2 * gap,
                borders: vec![(gap, 0)],
                zone: None,
                gap: Some(gap),
                tail: 10 * gap + max.unwrap_or(0),
            },
            _ => {
                let (_, size, offset) = self.aligned().unwrap_or((1, 1, 0));
                let slide = self.period();
                let (zone, longer) = self.zone();
                Interest {
                    scale: size,
                    borders: vec![(slide, offset), (slide, offset + size)],
                    zone,
                    gap: None,
                    tail: 10 * (size + slide + longer),
                }
            }
        }
    }

    /// The window function's arguments behind the time column, by name if they are.
    pub(super) fn arguments(self, flink: bool, named: bool) -> String {
        let (mut lengths, offset) = match self {
            Self::Tumble { size, offset } => (vec![("size", size)], offset),
            Self::Hop {
                slide,
                size,
                offset,
            } => (vec![("slide", slide), ("size", size)], offset),
            Self::Cumulate { step, size, offset } => (vec![("step", step), ("size", size)], offset),
            Self::Session { gap, .. } => (vec![("gap", gap)], 0),
            Self::Days {
                kind,
                slide,
                size,
                offset,
                ..
            } => match kind {
                Kind::Hop => (vec![("slide", slide), ("size", size)], offset),
                Kind::Cumulate => (vec![("step", slide), ("size", size)], offset),
                Kind::Tumble | Kind::Session => (vec![("size", size)], offset),
            },
        };
        if offset != 0 {
            lengths.push(("offset", offset));
        }
        let mut arguments: Vec<String> = lengths
            .into_iter()
            .map(|(name, micros)| match named {
                true => format!("{name} => {}", interval(micros, flink)),
                false => interval(micros, flink),
            })
            .collect();
        if let (Some(zone), _) = self.zone() {
            arguments.push(match named {
                true => format!("time_zone => '{}'", zone.name),
                false => format!("TIME ZONE '{}'", zone.name),
            });
        }
        if let Self::Session { max, ends_when, .. } = self {
            arguments.extend(max.map(|max| format!("max => {}", interval(max, flink))));
            arguments.extend(ends_when.map(|c| format!("ends_when => {}", c.sql)));
        }
        arguments.join(", ")
    }

    /// A query over `input` that adds the window's columns, in plain SQL; `ts` is the time. The rows of one session share
    /// the columns `partition`; rows exactly the gap apart do so only if `inclusive`. Windows in a zone are those of
    /// relation `spans`.
    pub(super) fn plain(self, input: &str, partition: &str, inclusive: bool) -> String {
        let near = if inclusive { "<=" } else { "<" };
        let ends = "window_end - 1000 AS window_time";
        match self {
            Self::Tumble { size, offset } => format!(
                "SELECT *, {ends} FROM (SELECT *, window_start + {size} AS window_end FROM (SELECT *, \
                 ts - ((ts - {offset}) % {size} + {size}) % {size} AS window_start FROM {input}))"
            ),
            Self::Hop {
                slide,
                size,
                offset,
            } => format!(
                "SELECT *, {ends} FROM (SELECT *, window_start + {size} AS window_end FROM (SELECT i.*, \
                 ts - ((ts - {offset}) % {slide} + {slide}) % {slide} - h.value * {slide} AS window_start \
                 FROM {input} AS i CROSS JOIN generate_series(0, {}) AS h)) WHERE window_end > ts",
                size / slide
            ),
            Self::Cumulate { step, size, offset } => format!(
                "SELECT *, {ends} FROM (SELECT i.*, i.window_start + h.value * {step} AS window_end FROM (SELECT *, \
                 ts - ((ts - {offset}) % {size} + {size}) % {size} AS window_start FROM {input}) AS i \
                 CROSS JOIN generate_series(1, {}) AS h) WHERE window_end > ts",
                size / step
            ),
            Self::Days { .. } => format!(
                "SELECT *, {ends} FROM (SELECT i.*, w.window_start, w.window_end FROM {input} AS i \
                 JOIN spans AS w ON i.ts >= w.window_start AND i.ts < w.window_end)"
            ),
            Self::Session { gap, .. } => {
                let over = format!("OVER (PARTITION BY {partition} ORDER BY ts, o, p");
                let number = format!("PARTITION BY {partition}, session_number");
                format!(
                    "SELECT *, {ends} FROM (SELECT *, min(ts) OVER ({number}) AS window_start, \
                     max(ts) OVER ({number}) + {gap} AS window_end FROM (SELECT *, sum(begins) {over} \
                     ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS session_number FROM (SELECT *, \
                     CASE WHEN ts - lag(ts) {over}) {near} {gap} THEN 0 ELSE 1 END AS begins FROM {input})))"
                )
            }
        }
    }

    /// Beginnings and ends of the aligned windows that hold `ts`, by trying all that could.
    pub(super) fn spans(self, ts: i64) -> Vec<(i64, i64)> {
        let Some((slide, size, offset)) = self.aligned() else {
            return Vec::new();
        };
        let (zone, longer) = self.zone();
        let utc = |local: i64| zone.map_or(local, |z| z.utc(local));
        let first = (ts - size - longer - offset).div_euclid(slide);
        let tried = (first..).map(|i| i * slide + offset);
        let lengths = self.lengths();
        tried
            .take_while(|start| *start <= ts + longer)
            .flat_map(|start| lengths.iter().map(move |length| (start, start + length)))
            .map(|(start, end)| (utc(start), utc(end)))
            .filter(|(start, end)| *start <= ts && ts < *end)
            .collect()
    }

    /// The same window, a little wrong: longer by a thousandth.
    pub(super) fn longer(self) -> Self {
        let more = |length: i64| length + (length / 1000).max(MILLI);
        match self {
            Self::Tumble { size, offset } => Self::Tumble {
                size: more(size),
                offset,
            },
            Self::Hop {
                slide,
                size,
                offset,
            } => Self::Hop {
                slide,
                size: more(size),
                offset,
            },
            Self::Cumulate { step, size, offset } => Self::Cumulate {
                step: more(step),
                size: size / step * more(step),
                offset,
            },
            Self::Session {
                gap,
                max,
                ends_when,
            } => Self::Session {
                gap: more(gap),
                max,
                ends_when,
            },
            Self::Days { .. } => self,
        }
    }
}

/// An interval of whole milliseconds.
pub(super) fn interval(micros: i64, flink: bool) -> String {
    let (sign, length) = if micros < 0 {
        ("-", -micros)
    } else {
        ("", micros)
    };
    let (amount, unit) = match length {
        _ if length % DAY == 0 && length > 0 => (length / DAY, "DAY"),
        _ if length % MINUTE == 0 => (length / MINUTE, "MINUTE"),
        _ if length % SECOND == 0 => (length / SECOND, "SECOND"),
        _ => (length / MILLI, "MILLISECOND"),
    };
    if flink && unit != "MILLISECOND" {
        format!("INTERVAL '{sign}{amount}' {unit}")
    } else {
        format!("INTERVAL '{sign}{amount} {}s'", unit.to_lowercase())
    }
}
