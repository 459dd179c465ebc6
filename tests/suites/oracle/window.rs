//! Windows of random queries: as a window function's call, as plain SQL over integers, and as arithmetic for counts.

use dataflow::time::{MILLI, MINUTE, SECOND};

use super::random::Random;
use super::stream::Interest;

/// A window over event time; lengths in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    Tumble { size: i64, offset: i64 },
    Hop { slide: i64, size: i64, offset: i64 },
    Cumulate { step: i64, size: i64, offset: i64 },
    Session { gap: i64 },
}

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
const SCALES: [i64; 6] = [
    250 * MILLI,
    SECOND,
    10 * SECOND,
    MINUTE,
    60 * MINUTE,
    24 * 60 * MINUTE,
];

impl Window {
    /// A random window of a kind.
    pub(super) fn random(random: &mut Random, kind: Kind) -> Self {
        let scale = *random.pick(&SCALES);
        Self::of_scale(random, kind, scale)
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
                let tenths = *random.pick(&[10, 20, 25, 30, 35, 50, 73, 100, 11]);
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
            Kind::Session => Self::Session { gap: scale },
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
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
            Self::Session { .. } => None,
        }
    }

    /// What a stream should hold for this window.
    pub(super) fn interest(self) -> Interest {
        match self {
            Self::Session { gap } => Interest {
                scale: 2 * gap,
                borders: vec![(gap, 0)],
                gap: Some(gap),
                tail: 10 * gap,
            },
            Self::Tumble { .. } | Self::Hop { .. } | Self::Cumulate { .. } => {
                let (mut slide, size, offset) = self.aligned().unwrap_or((1, 1, 0));
                if let Self::Cumulate { step, .. } = self {
                    slide = step;
                }
                Interest {
                    scale: size,
                    borders: vec![(slide, offset), (slide, offset + size)],
                    gap: None,
                    tail: 10 * (size + slide),
                }
            }
        }
    }

    /// The window function's arguments behind the time column.
    pub(super) fn arguments(self, flink: bool) -> String {
        let length = |micros: i64| interval(micros, flink);
        let shift = |offset: i64| match offset {
            0 => String::new(),
            _ => format!(", {}", length(offset)),
        };
        match self {
            Self::Tumble { size, offset } => format!("{}{}", length(size), shift(offset)),
            Self::Hop {
                slide,
                size,
                offset,
            } => {
                format!("{}, {}{}", length(slide), length(size), shift(offset))
            }
            Self::Cumulate { step, size, offset } => {
                format!("{}, {}{}", length(step), length(size), shift(offset))
            }
            Self::Session { gap } => length(gap),
        }
    }

    /// A query over `input` that adds the window's columns, in plain SQL; `ts` is the time. The rows of one session share
    /// the columns `partition`; rows exactly the gap apart do so only if `inclusive`.
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
            Self::Session { gap } => {
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
        let first = (ts - size - offset).div_euclid(slide);
        let tried = (first..).map(|i| i * slide + offset);
        let lengths = match self {
            Self::Cumulate { step, .. } => (1..=size / step).map(|i| i * step).collect(),
            _ => vec![size],
        };
        tried
            .take_while(|start| *start <= ts)
            .flat_map(|start| lengths.iter().map(move |length| (start, start + length)))
            .filter(|(_, end)| ts < *end)
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
            Self::Session { gap } => Self::Session { gap: more(gap) },
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
