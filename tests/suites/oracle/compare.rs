//! Rows as values, compared as multisets; floating-point numbers to 1e-9.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use dataflow::DeltaBatch;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type,
};

/// Largest relative difference of equal floating-point numbers, and largest absolute one of numbers below one.
const TOLERANCE: f64 = 1e-9;
/// Rows of a difference that are shown.
const SHOWN: usize = 6;

/// A value; times are microseconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    Float(f64),
}

pub(super) type Rows = Vec<Vec<Value>>;

impl Value {
    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Text(_) => 3,
            Self::Float(_) => 4,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => {
                a == b
                    || a.is_nan() && b.is_nan()
                    || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0)
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Float(value) => write!(f, "{value:?}"),
        }
    }
}

/// First by what can be compared exactly, then by the rest, so that near numbers do not tear rows apart.
fn order(a: &[Value], b: &[Value]) -> Ordering {
    let by = |floats: bool| {
        let pairs = a.iter().zip(b).filter(|(x, y)| {
            (matches!(x, Value::Float(_)) && matches!(y, Value::Float(_))) == floats
        });
        pairs
            .map(|(x, y)| x.order(y))
            .find(|o| o.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    by(false).then_with(|| by(true))
}

fn same(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.same(y))
}

/// How two multisets of rows differ, in words; `None` when they do not.
pub(super) fn difference(mut found: Rows, mut expected: Rows) -> Option<String> {
    found.sort_by(|a, b| order(a, b));
    expected.sort_by(|a, b| order(a, b));
    if found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| same(a, b)) {
        return None;
    }
    let only = |these: &Rows, those: &Rows| {
        let mut rest: Vec<&Vec<Value>> = those.iter().collect();
        let mut lines = Vec::new();
        for row in these {
            match rest.iter().position(|r| same(r, row)) {
                Some(at) => drop(rest.swap_remove(at)),
                None => lines.push(format!("    {}", line(row))),
            }
        }
        let more = lines.len().saturating_sub(SHOWN);
        lines.truncate(SHOWN);
        if more > 0 {
            lines.push(format!("    and {more} more"));
        }
        lines.join("\n")
    };
    Some(format!(
        "{} rows, expected {}\n  only found:\n{}\n  only expected:\n{}",
        found.len(),
        expected.len(),
        only(&found, &expected),
        only(&expected, &found)
    ))
}

/// A row on one line.
pub(super) fn line(row: &[Value]) -> String {
    row.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" | ")
}

/// Changes with their versions, one line a row.
pub(super) fn lines(log: &[(u64, DeltaBatch)]) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    for (version, batch) in log {
        let rows = rows_of(std::slice::from_ref(&batch.rows))?;
        let rows = rows.iter().enumerate();
        lines.extend(
            rows.map(|(at, row)| format!("{version} {} {}", batch.weights.get(at), line(row))),
        );
    }
    Ok(lines)
}

/// The rows of batches.
pub(super) fn rows_of(batches: &[RecordBatch]) -> Result<Rows, String> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .map(|c| values(c.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|c| c[row].clone()).collect()),
        );
    }
    Ok(rows)
}

fn values(array: &dyn Array) -> Result<Vec<Value>, String> {
    let valued = |of: &dyn Fn(usize) -> Value| {
        let value = |row| {
            if array.is_null(row) {
                Value::Null
            } else {
                of(row)
            }
        };
        Ok((0..array.len()).map(value).collect())
    };
    match array.data_type() {
        DataType::Boolean => valued(&|i| Value::Bool(array.as_boolean().value(i))),
        DataType::Int64 => valued(&|i| Value::Int(array.as_primitive::<Int64Type>().value(i))),
        DataType::Int32 => {
            valued(&|i| Value::Int(array.as_primitive::<Int32Type>().value(i).into()))
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let inner = values(lists.values().as_ref())?;
            let offsets = lists.value_offsets();
            valued(&|i| {
                let range = offsets[i] as usize..offsets[i + 1] as usize;
                Value::Text(format!("[{}]", line(&inner[range])))
            })
        }
        DataType::UInt64 => {
            valued(&|i| Value::Int(array.as_primitive::<UInt64Type>().value(i) as i64))
        }
        DataType::Float64 => {
            valued(&|i| Value::Float(array.as_primitive::<Float64Type>().value(i)))
        }
        DataType::Utf8 => valued(&|i| Value::Text(array.as_string::<i32>().value(i).to_owned())),
        DataType::LargeUtf8 => {
            valued(&|i| Value::Text(array.as_string::<i64>().value(i).to_owned()))
        }
        DataType::Utf8View => valued(&|i| Value::Text(array.as_string_view().value(i).to_owned())),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            valued(&|i| Value::Int(array.as_primitive::<TimestampMicrosecondType>().value(i)))
        }
        other => Err(format!("no value is made of {other}")),
    }
}

/// Rows as a subscriber has them: the rows that it began with, and all changes after them.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriber(BTreeMap<String, (i64, Vec<Value>)>);

impl Subscriber {
    /// One that begins with these rows.
    pub(super) fn new(rows: Rows) -> Self {
        let mut subscriber = Self::default();
        for row in rows {
            subscriber.0.entry(line(&row)).or_insert((0, row)).0 += 1;
        }
        subscriber
    }

    /// Takes the changes of some versions. An error when anything occurs less than never; and, where rows are `distinct`,
    /// when a version takes back what it inserts.
    pub(super) fn follow(
        &mut self,
        log: &[(u64, DeltaBatch)],
        distinct: bool,
    ) -> Result<(), String> {
        for of_version in log.chunk_by(|a, b| a.0 == b.0) {
            let version = of_version[0].0;
            let mut signs: BTreeMap<String, i8> = BTreeMap::new();
            for (_, batch) in of_version {
                let rows = rows_of(std::slice::from_ref(&batch.rows))?;
                for (row, values) in rows.into_iter().enumerate() {
                    let weight = batch.weights.get(row);
                    let shown = line(&values);
                    if distinct && *signs.entry(shown.clone()).or_insert(weight) != weight {
                        return Err(format!(
                            "version {version} both inserts and takes back {shown}"
                        ));
                    }
                    self.0.entry(shown).or_insert((0, values)).0 += i64::from(weight);
                }
            }
            if let Some((shown, _)) = self.0.iter().find(|(_, (count, _))| *count < 0) {
                return Err(format!(
                    "version {version} takes back {shown}, which is not there"
                ));
            }
            self.0.retain(|_, (count, _)| *count != 0);
        }
        Ok(())
    }

    /// The rows that it has.
    pub(super) fn rows(&self) -> Rows {
        let times = |(count, values): &(i64, Vec<Value>)| {
            std::iter::repeat_n(values.clone(), usize::try_from(*count).unwrap_or(0))
        };
        self.0.values().flat_map(times).collect()
    }
}
