//! SESSION: rows of a key closer than the gap share a session; rows of a tick are taken in event-time order.
//!
//! A session is `[first, last + gap)`; a row at exactly `last + gap` begins the next one, so the result does not depend
//! on when the watermark passes. A row is late when the session it would be in has ended by the watermark before its tick.
//!
//! Where a longest length or a condition ends sessions too, a row decides where later ones belong: rows wait until the
//! watermark has passed them and are taken in the order of their times; a row behind the watermark is late.

mod cut;
mod emission;
mod pending;
mod saved;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use dataflow::batch::Weights;
use dataflow::time::MILLI;
use dataflow::{DeltaBatch, Error, Micros, Result, Watermark};
use datafusion::arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::SchemaRef;
use plan::node::AggOutput;
use plan::{AggSpec, Emit};

use self::cut::{Cut, Segment, sorted_rows};
use self::pending::Pending;
use crate::aggregates::Aggregates;
use crate::calendar::Calendar;
use crate::expr::Compiled;
use crate::operator::{Counters, Late, Operator, Out, Tick};
use crate::ops::table_join::take_all;
use crate::ops::updating_agg::{batch_of, state_columns};
use crate::state::keys::{KeyEncoder, KeyMap};
use crate::state::rows::{RowStore, Slot};
use crate::state::saved::Saved;
use crate::window::times;

/// What ends a session.
pub struct Ends {
    /// A pause of so long, in microseconds.
    pub gap: Micros,
    /// So long after its first row, in microseconds.
    pub max: Option<Micros>,
    /// The moment of a row that this holds for.
    pub when: Option<Compiled>,
}

impl Ends {
    /// Whether more than pauses end sessions: then rows are taken in order.
    fn is_ordered(&self) -> bool {
        self.max.is_some() || self.when.is_some()
    }
}

/// Aggregation of sessions.
pub struct SessionAgg {
    ends: Ends,
    time: usize,
    keep: Option<Compiled>,
    emit: Emit,
    /// Rows say whether they are final.
    tells_completeness: bool,
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
    /// The earliest end in rows that were given and have to be corrected.
    stale: Option<Micros>,
    /// Keys with sessions that changed since the last emission.
    dirty: HashSet<Box<[u8]>>,
    /// Rows that no session has yet, oldest batch first.
    pending: Vec<Pending>,
    due: Calendar,
    /// When sessions that late rows may still correct give their rows first.
    closing: Calendar,
    open: usize,
    /// No row comes any more for a session that this closes.
    watermark: Watermark,
    last_emission: Option<Micros>,
    late: u64,
}

/// An open session of a key.
#[derive(Clone)]
struct Session {
    first: Micros,
    last: Micros,
    /// First instant after it, as far as is known.
    end: Micros,
    state: Slot,
    given: Option<Slot>,
    /// The end in the row that was given.
    given_end: Micros,
    /// Some row passed the condition.
    passed: bool,
    changed: bool,
}

/// The group of a row that is late.
const LATE: usize = usize::MAX;
/// The group of a row whose time has not come, or that has been taken before.
const NOT_NOW: usize = usize::MAX - 1;

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
        (ends, time): (Ends, usize),
        keep: Option<Compiled>,
        spec: &AggSpec,
        emit: Emit,
        aggregates: Aggregates,
        schema: SchemaRef,
    ) -> Result<Self> {
        Ok(Self {
            ends,
            time,
            keep,
            emit,
            tells_completeness: spec.output.contains(&AggOutput::Complete),
            output: spec.output.clone(),
            encoder: KeyEncoder::new(aggregates.key_fields())?,
            sessions: KeyMap::default(),
            states: RowStore::new(state_columns(&aggregates)),
            given: RowStore::new(Arc::clone(&schema)),
            aggregates,
            schema,
            retired: Vec::new(),
            stale: None,
            dirty: HashSet::new(),
            pending: Vec::new(),
            due: Calendar::default(),
            closing: Calendar::default(),
            open: 0,
            watermark: Watermark::MIN,
            last_emission: None,
            late: 0,
        })
    }

    /// Folds the tick's rows into sessions.
    fn absorb(&mut self, out: &mut Out) -> Result<()> {
        let mut pending = std::mem::take(&mut self.pending);
        let ready: Vec<Range<usize>> = pending
            .iter_mut()
            .map(|p| p.take_ready(self.watermark))
            .collect();
        let (rows, keys) = sorted_rows(&pending, &ready);
        let mut segments = Vec::new();
        // Batches that no row is taken of now have no groups.
        let group_of = |(p, ready): (&Pending, &Range<usize>)| match ready.is_empty() {
            true => Vec::new(),
            false => vec![p.outside(); p.at.len()],
        };
        let mut groups: Vec<Vec<usize>> = pending.iter().zip(&ready).map(group_of).collect();
        let mut from = 0;
        while from < rows.len() {
            let key = rows[from].key;
            let to = from + rows[from..].partition_point(|r| r.key == key);
            let of_key = Cut {
                pending: &pending,
                all: &rows[..to],
                from,
            };
            self.cut(of_key, &keys[key as usize], &mut segments);
            from = to;
        }
        for (group, segment) in segments.iter().enumerate() {
            for row in &rows[segment.rows.clone()] {
                groups[row.batch as usize][row.row as usize] = group;
            }
        }
        self.set_late_aside(&pending, &groups, out)?;
        let states = self.aggregate(&pending, &segments, &groups)?;
        self.store(segments, &keys, states)?;
        pending.retain(Pending::waits);
        self.pending = pending;
        Ok(())
    }

    /// Rows that are in no segment are late.
    fn set_late_aside(
        &self,
        pending: &[Pending],
        groups: &[Vec<usize>],
        out: &mut Out,
    ) -> Result<()> {
        for (batch, groups) in pending.iter().zip(groups) {
            let Some(leaf) = batch.late_of else {
                continue;
            };
            let late = (0..).zip(groups).filter(|(_, group)| **group == LATE);
            let late: Vec<u32> = late.map(|(row, _)| row).collect();
            if !late.is_empty() {
                out.set_aside(Late {
                    leaf,
                    times: late.iter().map(|row| batch.at[*row as usize]).collect(),
                    rows: take_record_batch(&batch.rows, &UInt32Array::from(late))?,
                    watermark: self.watermark,
                });
            }
        }
        Ok(())
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
                .filter(|(_, g)| **g < NOT_NOW)
                .map(|(i, g)| (i, numbers.of(*g)))
                .unzip();
            if rows.len() == batch.at.len() {
                accumulators.update(&batch.arguments, &groups, numbers.count())?;
            } else if !rows.is_empty() {
                let arguments = batch.arguments.take(&UInt32Array::from(rows))?;
                accumulators.update(&arguments, &groups, numbers.count())?;
            }
        }
        let count = segments.len();
        let states = batch_of(Arc::clone(&schema), accumulators.take_states()?, count)?;
        let order: UInt32Array = (0..count).map(|s| as_row(numbers.of(s))).collect();
        batch_of(schema, take_all(&states, &order)?, count)
    }

    fn store(
        &mut self,
        segments: Vec<Segment>,
        keys: &[Box<[u8]>],
        states: RecordBatch,
    ) -> Result<()> {
        let closing = self.closing_watermark();
        let mut slots = Vec::with_capacity(segments.len());
        for segment in segments {
            let key = &keys[segment.key as usize];
            let given = segment.old.iter().filter(|s| s.given.is_some());
            let stale = given.map(|s| s.given_end).min();
            let gave = stale.is_some();
            self.stale = self.stale.into_iter().chain(stale).min();
            let had_closed = segment.old.iter().any(|s| closing.closes(s.end));
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
            self.open += usize::from(is_new);
            // An entry that is too early is put right when it is looked at.
            if is_new || segment.ended {
                self.due.add(segment.end, key);
            }
            let closed = closing.closes(segment.end);
            if let Emit::Corrected { .. } = self.emit
                && !closed
                && (is_new || had_closed)
            {
                self.closing.add(segment.end, key);
            }
            let session = Session {
                first: segment.first,
                last: segment.last,
                end: segment.end,
                state,
                given,
                given_end: stale.unwrap_or(segment.end),
                passed: segment.passed,
                changed: true,
            };
            let of_key = self.sessions.entry(key, Vec::new);
            let at = of_key.partition_point(|s| s.first < session.first);
            of_key.insert(at, session);
            match self.emit {
                Emit::OnUpdate { .. } => drop(self.dirty.insert(key.clone())),
                Emit::Corrected { .. } if closed || gave => drop(self.dirty.insert(key.clone())),
                Emit::Corrected { .. } | Emit::OnWindowClose => {}
            }
            slots.push(state);
        }
        self.states.put(&slots, states)
    }

    /// A session that this closes gives its rows.
    fn closing_watermark(&self) -> Watermark {
        self.watermark.shifted(self.emit.lateness())
    }

    /// In rows that are taken in order, those behind the watermark are late.
    fn drop_late(&mut self, batch: DeltaBatch, out: &mut Out) -> Result<DeltaBatch> {
        let at = times(batch.rows.column(self.time))?.values();
        let is_late = |at: &Micros| self.watermark.is_known() && *at <= self.watermark.0;
        if !self.ends.is_ordered() || !at.iter().any(is_late) {
            return Ok(batch);
        }
        let late = (0..).zip(at).filter(|(_, at)| is_late(at));
        let late: Vec<u32> = late.map(|(row, _)| row).collect();
        self.late += late.len() as u64;
        out.set_rows_aside(&batch.rows, at, late, self.watermark)?;
        let keep: BooleanArray = at.iter().map(|at| Some(!is_late(at))).collect();
        Ok(batch.filter(&keep)?)
    }

    fn free(&mut self, closed: Vec<(Box<[u8]>, Session)>) {
        for (_, session) in closed {
            self.open -= 1;
            self.states.remove(session.state);
            if !self.tells_completeness
                && !session.changed
                && let Some(slot) = session.given
            {
                self.given.remove(slot);
            }
        }
    }
}

impl Operator for SessionAgg {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, out: &mut Out) -> Result<()> {
        if batch.weights != Weights::Ones {
            return Err(Error::internal("a session got rows that are taken back"));
        }
        let batch = self.drop_late(batch, out)?;
        if batch.is_empty() {
            return Ok(());
        }
        let pending = self.pend(batch.rows, out.kept_leaf())?;
        self.pending.push(pending);
        Ok(())
    }

    fn on_tick(&mut self, tick: Tick, out: &mut Out) -> Result<Watermark> {
        let now = self.watermark.max(tick.watermark);
        if self.ends.is_ordered() {
            self.watermark = now;
        }
        if !self.pending.is_empty() {
            self.absorb(out)?;
        }
        self.watermark = now;
        self.wake_closing();
        let closed = self.close();
        let due = match self.emit {
            Emit::OnWindowClose => false,
            Emit::Corrected { .. } => true,
            Emit::OnUpdate { every } => {
                let waited = |last| tick.wall.saturating_sub(last) >= every;
                self.last_emission.is_none_or(waited)
                    || tick.flush
                    || tick.last
                    || !closed.is_empty()
                    || self.stale.is_some_and(|end| now.closes(end))
            }
        };
        if self.emit == Emit::OnWindowClose {
            self.emit_closed(&closed, out)?;
        } else if due && !(self.dirty.is_empty() && closed.is_empty() && self.retired.is_empty()) {
            self.last_emission = Some(tick.wall);
            self.stale = None;
            self.emit_changes(&closed, out)?;
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
            state_rows: (self.open + self.pending.iter().map(Pending::waiting).sum::<usize>())
                as u64,
            next_close: self.closing.next().or(self.due.next()),
        }
    }

    fn save(&self, saved: &mut Saved) -> Result<()> {
        self.put(saved)
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.take(saved)
    }
}
