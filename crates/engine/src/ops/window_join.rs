//! Joins the rows of a window with those of the same window of another input, once, when it has closed in both.

use std::sync::Arc;

use dataflow::batch::Weights;
use dataflow::{DeltaBatch, Error, Result, Watermark};
use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array, new_null_array};
use datafusion::arrow::compute::{concat_batches, filter, filter_record_batch, take_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::JoinType;

use crate::expr::{Compiled, evaluate_all, evaluate_filter, without_nulls};
use crate::matching::{Index, Keys, number};
use crate::operator::{Counters, Operator, Out, Tick};
use crate::ops::table_join::take_all;
use crate::ops::updating_agg::batch_of;
use crate::state::keys::KeyEncoder;
use crate::state::saved::Saved;
use crate::waiting::Waiting;
use crate::window::times;

/// Pairs that are looked at together.
const PAIRS: usize = 8192;

/// What a join of windows is made of.
pub struct WindowJoinSpec {
    /// Which rows come out.
    pub kind: JoinType,
    /// The first input.
    pub left: Side,
    /// The second input.
    pub right: Side,
    /// Further condition over the columns of both.
    pub filter: Option<Compiled>,
    /// The columns of both.
    pub pair_schema: SchemaRef,
    /// Schema of the output.
    pub schema: SchemaRef,
}

/// An input of a join.
pub struct Side {
    /// Its columns.
    pub schema: SchemaRef,
    /// The column of event time by which windows are told apart.
    pub time: usize,
    /// What must be equal.
    pub keys: Vec<Compiled>,
}

/// A join of windows.
pub struct WindowJoin {
    spec: WindowJoinSpec,
    encoder: KeyEncoder,
    /// By the time that both have in common: the rows of the inputs.
    windows: Waiting<[Vec<RecordBatch>; 2]>,
    late: u64,
}

/// Which rows of each side have found another.
struct Matched {
    left: Vec<bool>,
    right: Vec<bool>,
}

impl WindowJoin {
    /// A join as `spec` says.
    pub fn new(spec: WindowJoinSpec) -> Result<Self> {
        let field = |key: &Compiled| {
            let field = key.return_field(&spec.left.schema);
            field.map_err(crate::expr::from_datafusion)
        };
        let fields = spec
            .left
            .keys
            .iter()
            .map(field)
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            encoder: KeyEncoder::new(&fields)?,
            spec,
            windows: Waiting::default(),
            late: 0,
        })
    }

    /// Gives the rows of one window.
    fn join(&mut self, [left, right]: [Vec<RecordBatch>; 2], out: &mut Out) -> Result<()> {
        let left = concat_batches(&self.spec.left.schema, &left)?;
        let right = concat_batches(&self.spec.right.schema, &right)?;
        let right_keys = evaluate_all(&self.spec.right.keys, &right)?;
        let index = Index::new(&mut self.encoder, &right_keys, right.num_rows())?;
        let left_keys = evaluate_all(&self.spec.left.keys, &left)?;
        let keys = Keys::new(&mut self.encoder, &left_keys)?;
        let mut matched = Matched {
            left: vec![false; left.num_rows()],
            right: vec![false; right.num_rows()],
        };
        let mut pairs = (Vec::new(), Vec::new());
        for row in 0..left.num_rows() {
            for others in index.rows(keys.of(row)).chunks(PAIRS) {
                pairs.0.resize(pairs.0.len() + others.len(), number(row));
                pairs.1.extend_from_slice(others);
                if pairs.0.len() >= PAIRS {
                    self.give_pairs(&left, &right, std::mem::take(&mut pairs), &mut matched, out)?;
                }
            }
        }
        self.give_pairs(&left, &right, pairs, &mut matched, out)?;
        self.give_single(&left, &right, &matched, out)
    }

    /// Looks at pairs with equal keys: those that pass the condition are matches.
    fn give_pairs(
        &self,
        left: &RecordBatch,
        right: &RecordBatch,
        (mut of_left, mut of_right): (Vec<u32>, Vec<u32>),
        matched: &mut Matched,
        out: &mut Out,
    ) -> Result<()> {
        if of_left.is_empty() {
            return Ok(());
        }
        let mut pairs = None;
        if self.spec.filter.is_some() || self.gives_pairs() {
            let mut columns = take_all(left, &UInt32Array::from(of_left.clone()))?;
            columns.extend(take_all(right, &UInt32Array::from(of_right.clone()))?);
            pairs = Some(batch_of(
                Arc::clone(&self.spec.pair_schema),
                columns,
                of_left.len(),
            )?);
        }
        if let (Some(condition), Some(rows)) = (&self.spec.filter, &pairs) {
            let passed = without_nulls(evaluate_filter(condition, rows)?);
            let mut passes = passed.values().iter();
            of_left.retain(|_| passes.next().unwrap_or(false));
            let mut passes = passed.values().iter();
            of_right.retain(|_| passes.next().unwrap_or(false));
            pairs = Some(filter_record_batch(rows, &passed)?);
        }
        of_left
            .iter()
            .for_each(|row| matched.left[*row as usize] = true);
        of_right
            .iter()
            .for_each(|row| matched.right[*row as usize] = true);
        if let (true, Some(rows)) = (self.gives_pairs(), pairs) {
            let count = rows.num_rows();
            let rows = batch_of(
                Arc::clone(&self.spec.schema),
                rows.columns().to_vec(),
                count,
            )?;
            out.push(DeltaBatch::inserts(rows));
        }
        Ok(())
    }

    fn gives_pairs(&self) -> bool {
        use JoinType::{Full, Inner, Left, Right};
        matches!(self.spec.kind, Inner | Left | Right | Full)
    }

    /// Gives the rows that come out by themselves: those without a match, or of SEMI joins those with one.
    fn give_single(
        &self,
        left: &RecordBatch,
        right: &RecordBatch,
        matched: &Matched,
        out: &mut Out,
    ) -> Result<()> {
        use JoinType::{Full, Left, LeftAnti, LeftSemi, Right, RightAnti, RightSemi};
        let chosen = |matched: &[bool], wanted: bool| -> BooleanArray {
            matched.iter().map(|m| Some(*m == wanted)).collect()
        };
        let kind = self.spec.kind;
        let nulls = |schema: &SchemaRef, rows: usize| -> Vec<ArrayRef> {
            let fields = schema.fields().iter();
            fields
                .map(|f| new_null_array(f.data_type(), rows))
                .collect()
        };
        if matches!(kind, Left | Full | LeftAnti | LeftSemi) {
            let keep = chosen(&matched.left, kind == LeftSemi);
            let rows = keep.true_count();
            let mut columns = filtered(left, &keep)?;
            if matches!(kind, Left | Full) {
                columns.extend(nulls(&self.spec.right.schema, rows));
            }
            out.push(DeltaBatch::inserts(batch_of(
                Arc::clone(&self.spec.schema),
                columns,
                rows,
            )?));
        }
        if matches!(kind, Right | Full | RightAnti | RightSemi) {
            let keep = chosen(&matched.right, kind == RightSemi);
            let rows = keep.true_count();
            let mut columns = Vec::new();
            if matches!(kind, Right | Full) {
                columns.extend(nulls(&self.spec.left.schema, rows));
            }
            columns.extend(filtered(right, &keep)?);
            out.push(DeltaBatch::inserts(batch_of(
                Arc::clone(&self.spec.schema),
                columns,
                rows,
            )?));
        }
        Ok(())
    }
}

fn filtered(batch: &RecordBatch, keep: &BooleanArray) -> Result<Vec<ArrayRef>> {
    let columns = batch.columns().iter();
    columns
        .map(|c| filter(c, keep).map_err(Error::from))
        .collect()
}

impl Operator for WindowJoin {
    fn on_batch(&mut self, port: usize, batch: DeltaBatch, out: &mut Out) -> Result<()> {
        if batch.weights != Weights::Ones {
            return Err(Error::internal(
                "a join of windows got rows that are taken back",
            ));
        }
        let side = if port == 0 {
            &self.spec.left
        } else {
            &self.spec.right
        };
        let at = times(batch.rows.column(side.time))?.values();
        let (parts, late) = self.windows.split(at);
        self.late += late.len() as u64;
        out.set_rows_aside(&batch.rows, at, late, self.windows.watermark())?;
        for (at, rows) in parts {
            let part = if rows.len() == batch.len() {
                batch.rows.clone()
            } else {
                take_record_batch(&batch.rows, &UInt32Array::from(rows))?
            };
            let sides = self.windows.at(at, || Ok::<_, Error>(Default::default()))?;
            sides[port].push(part);
        }
        Ok(())
    }

    fn on_tick(&mut self, tick: Tick, out: &mut Out) -> Result<Watermark> {
        for sides in self.windows.advance(tick.watermark) {
            self.join(sides, out)?;
        }
        Ok(self.windows.watermark())
    }

    fn counters(&self) -> Counters {
        let sides = self.windows.values().flatten().flatten();
        Counters {
            late_rows: self.late,
            state_rows: sides.map(|rows| rows.num_rows() as u64).sum(),
            next_close: self.windows.next(),
        }
    }

    fn save(&self, saved: &mut Saved) -> Result<()> {
        saved.counter(self.late);
        self.windows.save(saved, |sides, saved| {
            for side in sides {
                saved.count(side.len());
                side.iter().for_each(|rows| saved.rows(rows));
            }
            Ok(())
        })
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.late = saved.take_counter()?;
        self.windows.load(saved, |saved| {
            let mut sides = [Vec::new(), Vec::new()];
            for side in &mut sides {
                for _ in 0..saved.take_count()? {
                    side.push(saved.take_rows()?);
                }
            }
            Ok(sides)
        })
    }
}
