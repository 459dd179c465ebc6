//! Columns for records whose fields nobody declared: chosen by rules, from a sample, and with reasons.

mod names;
#[cfg(test)]
mod tests;

use arrow::datatypes::DataType;
use dataflow::Micros;
use dataflow::schema::{Column, ColumnOrigin, TimestampFormat, timestamptz};
use dataflow::time::{MINUTE, SECOND, format_utc};

use crate::json::sample::{Fields, JsonSample, Kinds, Seen};
use names::{EventRank, column_name, event_rank, is_time_like};

/// Most columns that are chosen; further fields are left to the rest.
pub const MAX_COLUMNS: usize = 200;
/// Numbers are taken for times only from 2000-01-01 to 2100-01-01.
const FIRST_TIME: Micros = 946_684_800 * SECOND;
const LAST_TIME: Micros = 4_102_444_800 * SECOND;
/// Integers up to here are exact as double precision.
const EXACT: i64 = 1 << 53;
/// An event time may not be farther ahead of the clock.
const MAX_AHEAD: Micros = 24 * 60 * MINUTE;
/// Delays of watermarks that are chosen from.
const DELAYS: [Micros; 8] = [
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    60 * MINUTE,
];

/// What was chosen for a sample.
#[derive(Debug)]
pub struct Inferred {
    /// The columns, all nullable, in the order in which their fields came.
    pub columns: Vec<Column>,
    /// The event time.
    pub event_time: Option<EventTime>,
    /// What is worth knowing, a sentence each, without full stops.
    pub notes: Vec<String>,
}

/// The column that was chosen as event time.
#[derive(Debug, PartialEq, Eq)]
pub struct EventTime {
    /// Index into the columns.
    pub column: usize,
    /// The watermark's delay, in microseconds.
    pub delay: Micros,
    /// Why it was chosen, and why the delay.
    pub why: String,
}

/// Chooses columns for a sample. `taken` are names that other columns have already; `now` is the clock.
///
/// - `true` and `false` are BOOLEAN; integers BIGINT; other numbers DOUBLE PRECISION; dates DATE; everything else TEXT,
///   which also takes what is sometimes this and sometimes that, arrays, and numbers that would lose digits.
/// - Texts in ISO 8601 are TIMESTAMPTZ. Numbers are, when the field's name speaks of time and all of them, read as the
///   source reads times, lie in the years 2000 to 2099.
/// - The fields of nested objects become columns of their own by their paths.
/// - The event time is a TIMESTAMPTZ that every record has, none of it ahead of the clock by more than a day: the one with
///   the best name; its delay is the least of a few that covers how far records lag behind others of their partition.
pub fn infer(sample: &JsonSample, taken: &[String], now: Micros) -> Inferred {
    let mut choice = Choice {
        sample,
        now,
        taken: taken.to_vec(),
        columns: Vec::new(),
        best: None,
        notes: Vec::new(),
        left_out: 0,
    };
    choice.fields(&sample.fields, &mut Vec::new());
    choice.finish()
}

struct Choice<'a> {
    sample: &'a JsonSample,
    now: Micros,
    /// Names of columns so far.
    taken: Vec<String>,
    columns: Vec<Column>,
    best: Option<Candidate<'a>>,
    notes: Vec<String>,
    left_out: usize,
}

/// A column that may be the event time.
struct Candidate<'a> {
    column: usize,
    rank: (EventRank, usize),
    seen: &'a Seen,
}

impl<'a> Choice<'a> {
    fn fields(&mut self, fields: &'a Fields, path: &mut Vec<String>) {
        for seen in &fields.seen {
            path.push(seen.name.clone());
            if !is_step(&seen.name) {
                self.notes.push(format!(
                    "field {:?} stays in the rest: a path cannot name it",
                    seen.name
                ));
            } else if seen.kinds == Kinds::OBJECT && can_be_split(&seen.fields) {
                self.fields(&seen.fields, path);
            } else {
                self.column(seen, path);
            }
            path.pop();
        }
    }

    fn column(&mut self, seen: &'a Seen, path: &[String]) {
        if self.columns.len() == MAX_COLUMNS {
            self.left_out += 1;
            return;
        }
        let data_type = self.data_type(seen, path);
        let name = column_name(path, &self.taken);
        if data_type == timestamptz() {
            self.consider(seen, path);
        }
        self.taken.push(name.clone());
        self.columns.push(Column {
            name,
            data_type,
            nullable: true,
            origin: ColumnOrigin::Field(path.to_vec()),
        });
    }

    fn data_type(&mut self, seen: &Seen, path: &[String]) -> DataType {
        let numbers = Kinds::INTEGER.and(Kinds::NUMBER);
        let kinds = seen.kinds;
        if kinds.is_empty() {
            self.notes.push(format!(
                "{} is NULL in all records of the sample, so TEXT",
                shown(path)
            ));
            return DataType::Utf8;
        }
        if kinds == Kinds::BOOLEAN {
            return DataType::Boolean;
        }
        if kinds.only(numbers.and(Kinds::STRING)) && self.is_time(seen) {
            return timestamptz();
        }
        if kinds == Kinds::STRING && seen.dates {
            return DataType::Date32;
        }
        if !kinds.only(numbers) {
            return DataType::Utf8;
        }
        self.note_unit(seen, path);
        let exact = seen
            .integers
            .is_none_or(|(least, most)| -EXACT <= least && most <= EXACT);
        match kinds {
            Kinds::INTEGER if !seen.has_huge_integers => DataType::Int64,
            _ if kinds.has(Kinds::NUMBER)
                && exact
                && !seen.has_huge_integers
                && !seen.has_infinite_numbers =>
            {
                DataType::Float64
            }
            _ => {
                self.notes.push(format!(
                    "{} has numbers that neither BIGINT nor DOUBLE PRECISION holds exactly, so TEXT",
                    shown(path)
                ));
                DataType::Utf8
            }
        }
    }

    /// Whether a field's numbers and texts are times.
    fn is_time(&self, seen: &Seen) -> bool {
        let (Some(least), Some(most), false) =
            (seen.times.least, seen.times.most, seen.times.broken)
        else {
            return false;
        };
        let plausible = FIRST_TIME <= least && most < LAST_TIME;
        seen.kinds == Kinds::STRING || plausible && is_time_like(&seen.name)
    }

    /// Says so when numbers look like times in another unit than the source's.
    fn note_unit(&mut self, seen: &Seen, path: &[String]) {
        let Some((least, most)) = seen.integers.filter(|_| is_time_like(&seen.name)) else {
            return;
        };
        let units = [
            ("epoch_s", TimestampFormat::EpochSeconds, SECOND),
            ("epoch_ms", TimestampFormat::EpochMillis, 1_000),
            ("epoch_us", TimestampFormat::EpochMicros, 1),
        ];
        for (name, format, unit) in units {
            if FIRST_TIME / unit <= least && most < LAST_TIME / unit && format != self.unit() {
                self.notes.push(format!(
                    "{} looks like a time: with timestamp.format = '{name}' it becomes one",
                    shown(path)
                ));
            }
        }
    }

    /// The unit of numbers that are times.
    fn unit(&self) -> TimestampFormat {
        match self.sample.timestamps {
            TimestampFormat::Auto => TimestampFormat::EpochMillis,
            other => other,
        }
    }

    /// Takes the next column as event time if it can be one and is better than those before.
    fn consider(&mut self, seen: &'a Seen, path: &[String]) {
        let Some(rank) = event_rank(&seen.name) else {
            return;
        };
        let limit = self.now.saturating_add(MAX_AHEAD);
        if let Some(most) = seen.times.most.filter(|most| *most > limit) {
            self.notes.push(format!(
                "{} is no event time: {} is ahead of the clock",
                shown(path),
                format_utc(most)
            ));
            return;
        }
        let rank = (rank, path.len());
        let better = self.best.as_ref().is_none_or(|best| rank < best.rank);
        if seen.filled == self.sample.records && better {
            self.best = Some(Candidate {
                column: self.columns.len(),
                rank,
                seen,
            });
        }
    }

    fn finish(mut self) -> Inferred {
        if self.left_out > 0 {
            self.notes.push(format!(
                "{} more fields stay in the rest: {MAX_COLUMNS} columns are the most that are chosen",
                self.left_out
            ));
        }
        if self.sample.fields.too_many {
            self.notes.push(
                "records have too many different fields; the later ones stay in the rest"
                    .to_owned(),
            );
        }
        if self.sample.bad > 0 {
            self.notes.push(format!(
                "{} of {} records of the sample are no JSON objects",
                self.sample.bad,
                self.sample.records()
            ));
        }
        let event_time = self.best.take().map(|best| self.event_time(&best));
        Inferred {
            columns: self.columns,
            event_time,
            notes: self.notes,
        }
    }

    fn event_time(&self, best: &Candidate<'_>) -> EventTime {
        let column = &self.columns[best.column];
        let lag = best.seen.times.lag;
        let delay = DELAYS.into_iter().find(|delay| *delay >= lag);
        let mut why = format!(
            "\"{}\" is the event time: all {} records have it, and {}",
            column.name,
            self.sample.records,
            best.rank.0.why()
        );
        match (lag, delay) {
            (0, _) => why.push_str("; no record of the sample came out of order"),
            (lag, Some(_)) => {
                why.push_str(&format!("; records come up to {} ms late", lag / 1_000 + 1));
            }
            (lag, None) => why.push_str(&format!(
                "; records come up to {} s late, more than the delay chosen: they would be late rows",
                lag / SECOND + 1
            )),
        }
        EventTime {
            column: best.column,
            delay: delay.unwrap_or(DELAYS[DELAYS.len() - 1]),
            why,
        }
    }
}

/// Whether `FROM 'a.b'` can have this step.
fn is_step(name: &str) -> bool {
    !name.is_empty() && !name.contains(['.', '\0'])
}

/// Whether the fields of a nested object become columns: otherwise some of them would be lost, for what is in the object
/// is not in the rest.
fn can_be_split(fields: &Fields) -> bool {
    !fields.too_many
        && !fields.seen.is_empty()
        && fields.seen.iter().all(|seen| is_step(&seen.name))
}

fn shown(path: &[String]) -> String {
    format!("field {:?}", path.join("."))
}
