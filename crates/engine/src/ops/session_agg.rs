//! SESSION: rows of a key closer than the gap share a session; rows of a tick are taken in event-time order.
//!
//! A session is `[first, last + gap)`; a row at exactly `last + gap` begins the next one, so the result does not depend
//! on when the watermark passes. A row is late when the session it would be in has ended by the watermark before its tick.

mod emission;

use std::collections::HashSet;
use std::sync::Arc;

use dataflow::batch::Weights;
use dataflow::time::MILLI;
use dataflow::{DeltaBatch, Error, Micros, Result, Watermark};
use datafusion::arrow::array::{Array, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::row::Rows;
use plan::node::AggOutput;
use plan::{AggSpec, Emit};

use crate::aggregates::{Aggregates, Arguments};
use crate::calendar::Calendar;
use crate::expr::{Compiled, evaluate_filter};
use crate::operator::{Counters, Late, Operator, Out, Tick};
use crate::ops::updating_agg::{batch_of, state_columns};
use crate::state::keys::{KeyEncoder, KeyMap};
use crate::state::rows::{RowStore, Slot};
use crate::window::times;

/// Aggregation of sessions.
pub struct SessionAgg {
    gap: Micros,
    time: usize,
    keep: Option<Compiled>,
    emit: Emit,
    aggregates: Aggregates,
    output: Vec<AggOutput>,
    schema: SchemaRef,
    encoder: KeyEncoder,
    sessions: KeyMap<Vec<Session>>,
    states: RowStore,
    /// Rows given for open sessions (`EMIT ON UPDATE`).
    given: RowStore,
    /// Rows given for sessions that were merged into another since the last emission.
    retired: Vec<Slot>,
    /// Keys with sessions that changed since the last emission.
    dirty: HashSet<Box<[u8]>>,
    pending: Vec<Pending>,
    due: Calendar,
    open: usize,
    watermark: Watermark,
    last_emission: Option<Micros>,
    late: u64,
}

/// An open session of a key.
#[derive(Clone)]
struct Session {
    first: Micros,
    last: Micros,
    state: Slot,
    given: Option<Slot>,
    /// Some row passed the condition.
    passed: bool,
    changed: bool,
}

/// A batch that waits for its tick.
struct Pending {
    keys: Option<Rows>,
    arguments: Arguments,
    at: Vec<Micros>,
    keep: Option<BooleanArray>,
    /// Where the rows came in, and they themselves, when late ones are kept.
    whole: Option<(usize, RecordBatch)>,
}

/// A row of a pending batch, in the order of (key, time).
struct Row {
    key: u32,
    at: Micros,
    batch: u32,
    row: u32,
}

/// Sessions and rows that belong together after a tick.
struct Segment {
    key: u32,
    first: Micros,
    last: Micros,
    old: Vec<Session>,
    rows: std::ops::Range<usize>,
    passed: bool,
}

const LATE: usize = usize::MAX;

/// Numbers for segments in the order of first use.
struct Numbers {
    of: Vec<Option<usize>>,
    used: usize,
}

impl Numbers {
    fn new(segments: usize) -> Self {
        Self {
            of: vec![None; segments],
            used: 0,
        }
    }

    fn of(&mut self, segment: usize) -> usize {
        *self.of[segment].get_or_insert_with(|| {
            self.used += 1;
            self.used - 1
        })
    }

    fn count(&self) -> usize {
        self.used
    }
}

fn as_row(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 sessions in a tick")
}

impl SessionAgg {
    /// Over the time column `time`; rows that fail `keep` extend a session without being aggregated.
    pub fn new(
        (gap, time): (Micros, usize),
        keep: Option<Compiled>,
        spec: &AggSpec,
        emit: Emit,
        aggregates: Aggregates,
        schema: SchemaRef,
    ) -> Result<Self> {
        Ok(Self {
            gap,
            time,
            keep,
            emit,
            output: spec.output.clone(),
            encoder: KeyEncoder::new(aggregates.key_fields())?,
            sessions: KeyMap::default(),
            states: RowStore::new(state_columns(&aggregates)),
            given: RowStore::new(Arc::clone(&schema)),
            aggregates,
            schema,
            retired: Vec::new(),
            dirty: HashSet::new(),
            pending: Vec::new(),
            due: Calendar::default(),
            open: 0,
            watermark: Watermark::MIN,
            last_emission: None,
            late: 0,
        })
    }

    /// Folds the tick's rows into sessions.
    fn absorb(&mut self, out: &mut Out) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let (rows, keys) = sorted_rows(&pending);
        let mut segments = Vec::new();
        let mut groups: Vec<Vec<usize>> = pending.iter().map(|p| vec![LATE; p.at.len()]).collect();
        let mut from = 0;
        while from < rows.len() {
            let key = rows[from].key;
            let to = from + rows[from..].partition_point(|r| r.key == key);
            self.segment(
                &pending,
                &rows,
                from..to,
                &keys[key as usize],
                &mut segments,
            );
            from = to;
        }
        for (group, segment) in segments.iter().enumerate() {
            for row in &rows[segment.rows.clone()] {
                groups[row.batch as usize][row.row as usize] = group;
            }
        }
        self.set_late_aside(&pending, &groups, out)?;
        let states = self.aggregate(&pending, &segments, &groups)?;
        self.store(segments, &keys, states)
    }

    /// Rows that are in no segment are late.
    fn set_late_aside(
        &self,
        pending: &[Pending],
        groups: &[Vec<usize>],
        out: &mut Out,
    ) -> Result<()> {
        for (batch, groups) in pending.iter().zip(groups) {
            let Some((leaf, rows)) = &batch.whole else {
                continue;
            };
            let late = (0..).zip(groups).filter(|(_, group)| **group == LATE);
            let late: Vec<u32> = late.map(|(row, _)| row).collect();
            if !late.is_empty() {
                out.set_aside(Late {
                    leaf: *leaf,
                    times: late.iter().map(|row| batch.at[*row as usize]).collect(),
                    rows: take_record_batch(rows, &UInt32Array::from(late))?,
                    watermark: self.watermark,
                });
            }
        }
        Ok(())
    }

    /// Cuts one key's open sessions and new rows at the gaps.
    fn segment(
        &mut self,
        pending: &[Pending],
        all: &[Row],
        range: std::ops::Range<usize>,
        key: &[u8],
        segments: &mut Vec<Segment>,
    ) {
        let mut open = self
            .sessions
            .get_mut(key)
            .map(std::mem::take)
            .unwrap_or_default()
            .into_iter()
            .peekable();
        let mut untouched = Vec::new();
        let mut next = range.start;
        loop {
            let row_at = (next < range.end).then(|| all[next].at);
            let session_at = open.peek().map(|s| s.first);
            let Some(first) = row_at.into_iter().chain(session_at).min() else {
                break;
            };
            let begin = next;
            let mut old: Vec<Session> = Vec::new();
            let mut last = first;
            let mut passed = false;
            loop {
                if let Some(row) = all[..range.end]
                    .get(next)
                    .filter(|r| r.at == first || r.at < last + self.gap)
                {
                    last = last.max(row.at);
                    passed |= pending[row.batch as usize]
                        .keep
                        .as_ref()
                        .is_none_or(|k| k.value(row.row as usize));
                    next += 1;
                } else if let Some(s) =
                    open.next_if(|s| s.first == first || s.first < last + self.gap)
                {
                    last = last.max(s.last);
                    passed |= s.passed;
                    old.push(s);
                } else {
                    break;
                }
            }
            let rows = begin..next;
            if rows.is_empty() {
                untouched.append(&mut old);
            } else if old.is_empty() && self.watermark.closes(last + self.gap) {
                self.late += rows.len() as u64;
            } else {
                segments.push(Segment {
                    key: all[begin].key,
                    first,
                    last,
                    old,
                    rows,
                    passed,
                });
            }
        }
        if !untouched.is_empty() {
            *self.sessions.entry(key, Vec::new) = untouched;
        } else if self.sessions.get(key).is_some_and(Vec::is_empty) {
            self.sessions.remove(key);
        }
    }

    /// New states of the segments: old states merged, rows added. Accumulators take every group below the total of a
    /// call as one that has rows, so the segments are numbered as their old states and rows come.
    fn aggregate(
        &self,
        pending: &[Pending],
        segments: &[Segment],
        groups: &[Vec<usize>],
    ) -> Result<RecordBatch> {
        let schema = state_columns(&self.aggregates);
        if segments.is_empty() {
            return Ok(RecordBatch::new_empty(schema));
        }
        let mut accumulators = self.aggregates.accumulators()?;
        let mut numbers = Numbers::new(segments.len());
        let mut slots = Vec::new();
        let mut targets = Vec::new();
        for (segment, Segment { old, .. }) in segments.iter().enumerate() {
            for session in old {
                slots.push(session.state);
                targets.push(numbers.of(segment));
            }
        }
        if !slots.is_empty() {
            accumulators.merge(
                self.states.get(&slots)?.columns(),
                &targets,
                numbers.count(),
            )?;
        }
        for (batch, groups) in pending.iter().zip(groups) {
            let (rows, groups): (Vec<u32>, Vec<usize>) = (0..)
                .zip(groups)
                .filter(|(_, g)| **g != LATE)
                .map(|(i, g)| (i, numbers.of(*g)))
                .unzip();
            if rows.len() == batch.at.len() {
                accumulators.update(&batch.arguments, &groups, numbers.count())?;
            } else if !rows.is_empty() {
                let arguments = batch.arguments.take(&UInt32Array::from(rows))?;
                accumulators.update(&arguments, &groups, numbers.count())?;
            }
        }
        let states = batch_of(schema, accumulators.take_states()?, segments.len())?;
        let order: UInt32Array = (0..segments.len()).map(|s| as_row(numbers.of(s))).collect();
        Ok(take_record_batch(&states, &order)?)
    }

    fn store(
        &mut self,
        segments: Vec<Segment>,
        keys: &[Box<[u8]>],
        states: RecordBatch,
    ) -> Result<()> {
        let mut slots = Vec::with_capacity(segments.len());
        for segment in segments {
            let key = &keys[segment.key as usize];
            let mut old = segment.old.into_iter();
            let kept = old.next();
            let is_new = kept.is_none();
            let (state, given) = match kept {
                Some(session) => (session.state, session.given),
                None => (self.states.reserve(), None),
            };
            for merged in old {
                self.states.remove(merged.state);
                self.retired.extend(merged.given);
                self.open -= 1;
            }
            if is_new {
                self.open += 1;
                self.due.add(segment.last + self.gap, key);
            }
            let session = Session {
                first: segment.first,
                last: segment.last,
                state,
                given,
                passed: segment.passed,
                changed: true,
            };
            let of_key = self.sessions.entry(key, Vec::new);
            let at = of_key.partition_point(|s| s.first < session.first);
            of_key.insert(at, session);
            if matches!(self.emit, Emit::OnUpdate { .. }) {
                self.dirty.insert(key.clone());
            }
            slots.push(state);
        }
        self.states.put(&slots, states)
    }

    fn free(&mut self, closed: Vec<(Box<[u8]>, Session)>) {
        for (_, session) in closed {
            self.open -= 1;
            self.states.remove(session.state);
            if !session.changed
                && let Some(slot) = session.given
            {
                self.given.remove(slot);
            }
        }
    }
}

/// The condition with NULL as false.
fn without_nulls(mask: BooleanArray) -> BooleanArray {
    match mask.nulls() {
        Some(_) => datafusion::arrow::compute::prep_null_mask_filter(&mask),
        None => mask,
    }
}

/// Rows of all pending batches by (key, time, arrival), and the keys that their numbers mean.
fn sorted_rows(pending: &[Pending]) -> (Vec<Row>, Vec<Box<[u8]>>) {
    let mut numbers: KeyMap<u32> = KeyMap::default();
    let mut keys: Vec<Box<[u8]>> = Vec::new();
    let mut rows = Vec::with_capacity(pending.iter().map(|p| p.at.len()).sum());
    for (batch, p) in (0..).zip(pending) {
        for (row, at) in (0..).zip(&p.at) {
            let bytes: &[u8] = p.keys.as_ref().map_or(&[], |k| k.row(row as usize).data());
            let key = *numbers.entry(bytes, || {
                keys.push(bytes.into());
                u32::try_from(keys.len() - 1).expect("fewer than 2^32 keys in a tick")
            });
            rows.push(Row {
                key,
                at: *at,
                batch,
                row,
            });
        }
    }
    rows.sort_by_key(|r| (r.key, r.at));
    (rows, keys)
}

impl Operator for SessionAgg {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, out: &mut Out) -> Result<()> {
        if batch.weights != Weights::Ones {
            return Err(Error::internal("a session got rows that are taken back"));
        }
        let keep = self
            .keep
            .as_ref()
            .map(|k| evaluate_filter(k, &batch.rows))
            .transpose()?;
        let keep = keep.map(without_nulls);
        let keys = self.aggregates.eval_keys(&batch.rows)?;
        let arguments = self.aggregates.eval_arguments(&batch.rows, keep.as_ref())?;
        let at = times(batch.rows.column(self.time))?.values().to_vec();
        self.pending.push(Pending {
            keys: self.encoder.encode(&keys)?,
            arguments,
            at,
            keep,
            whole: out.kept_leaf().map(|leaf| (leaf, batch.rows)),
        });
        Ok(())
    }

    fn on_tick(&mut self, tick: Tick, out: &mut Out) -> Result<Watermark> {
        if !self.pending.is_empty() {
            self.absorb(out)?;
        }
        self.watermark = self.watermark.max(tick.watermark);
        let closed = self.close();
        match self.emit {
            Emit::OnWindowClose => self.emit_closed(&closed, out)?,
            Emit::OnUpdate { every } => {
                let waited = self
                    .last_emission
                    .is_none_or(|last| tick.wall.saturating_sub(last) >= every);
                let due = waited || tick.flush || tick.last || !closed.is_empty();
                if due && (!self.dirty.is_empty() || !closed.is_empty() || !self.retired.is_empty())
                {
                    self.last_emission = Some(tick.wall);
                    self.emit_changes(&closed, out)?;
                }
            }
        }
        self.free(closed);
        Ok(self.watermark.shifted(1 - MILLI))
    }

    fn waits(&self) -> bool {
        !self.dirty.is_empty() || !self.retired.is_empty()
    }

    fn counters(&self) -> Counters {
        Counters {
            late_rows: self.late,
            state_rows: self.open as u64,
            next_close: self.due.next(),
        }
    }
}
