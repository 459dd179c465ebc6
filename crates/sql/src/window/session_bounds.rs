//! The beginning and end of every row's session, over finite input in the order of its times.

use std::sync::Arc;

use dataflow::Micros;
use datafusion::arrow::array::{Array, ArrayRef, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::Result;
use datafusion::common::cast::{as_boolean_array, as_timestamp_microsecond_array};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, WindowUDFImpl};
use plan::WindowColumn;
use plan::window::Span;

/// `session_start(time, ends)` and its kin as a window function; rows of one partition are ordered by time, NULLs last.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionBounds {
    /// A pause of this length or more ends a session.
    pub(super) gap: Micros,
    /// The longest that a session may be.
    pub(super) max: Option<Micros>,
    /// Which column of the window.
    pub(super) column: WindowColumn,
    /// Of any two arguments.
    pub(super) signature: Signature,
}

impl WindowUDFImpl for SessionBounds {
    fn name(&self) -> &str {
        match self.column {
            WindowColumn::Start => "session_start",
            WindowColumn::End => "session_end",
            WindowColumn::Time => "session_time",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(
        &self,
        _args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Bounds {
            gap: self.gap,
            max: self.max,
            column: self.column,
        }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let time = args.input_fields().first().map(|f| f.data_type().clone());
        let data_type = time.unwrap_or(DataType::Timestamp(TimeUnit::Microsecond, None));
        Ok(Arc::new(Field::new(args.name(), data_type, true)))
    }
}

#[derive(Debug)]
struct Bounds {
    gap: Micros,
    max: Option<Micros>,
    column: WindowColumn,
}

impl Bounds {
    /// The sessions of times that are in order, each with its number of rows. Rows of one time are in one session.
    fn sessions(&self, times: &[Micros], ends: &dyn Fn(usize) -> bool) -> Vec<(Span, usize)> {
        let mut sessions = Vec::new();
        let mut next = 0;
        while next < times.len() {
            let (begin, first) = (next, times[next]);
            let mut end = first;
            while next < times.len() && (times[next] < end || next == begin) {
                let now = times[next];
                let to = next + times[next..].partition_point(|time| *time == now);
                let by_pause = now.saturating_add(self.gap);
                let longest = self.max.map_or(by_pause, |max| first.saturating_add(max));
                end = by_pause.min(longest);
                let ended = (next..to).any(ends);
                next = to;
                if ended {
                    end = now.saturating_add(1);
                    break;
                }
            }
            sessions.push(((first, end), next - begin));
        }
        sessions
    }
}

impl PartitionEvaluator for Bounds {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let times = as_timestamp_microsecond_array(&values[0])?;
        let ends = as_boolean_array(&values[1])?;
        let known = num_rows - times.null_count();
        let holds = |row: usize| ends.is_valid(row) && ends.value(row);
        let mut found: Vec<Option<Micros>> = Vec::with_capacity(num_rows);
        for (span, rows) in self.sessions(&times.values()[..known], &holds) {
            found.extend(std::iter::repeat_n(Some(self.column.value(span)), rows));
        }
        found.resize(num_rows, None);
        let zone = match times.data_type() {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        Ok(Arc::new(
            TimestampMicrosecondArray::from(found).with_timezone_opt(zone),
        ))
    }
}
