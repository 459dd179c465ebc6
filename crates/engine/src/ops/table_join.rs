//! Joins each row, when it comes, with the rows that a small table has then.

use std::sync::Arc;

use dataflow::batch::Weights;
use dataflow::{DeltaBatch, Result};
use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array, new_null_array};
use datafusion::arrow::compute::{concat_batches, filter_record_batch, take};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::JoinType;

use crate::aggregates::conform;
use crate::expr::{Compiled, evaluate_all, evaluate_filter, without_nulls};
use crate::matching::{Index, Keys, number};
use crate::operator::{Counters, Operator, Out};
use crate::ops::updating_agg::batch_of;
use crate::state::keys::KeyEncoder;
use crate::state::saved::Saved;
use crate::store::Store;

/// What a join with a table is made of.
pub struct JoinSpec {
    /// The table.
    pub table: Arc<Store>,
    /// Columns of the table that are read.
    pub columns: Vec<usize>,
    /// Schema of those columns.
    pub read_schema: SchemaRef,
    /// Rows of the table that take part.
    pub table_filter: Option<Compiled>,
    /// Which of the columns read are joined.
    pub joined: Vec<usize>,
    /// Schema of the joined columns.
    pub table_schema: SchemaRef,
    /// Keys over the stream.
    pub stream_keys: Vec<Compiled>,
    /// The same keys over the table.
    pub table_keys: Vec<Compiled>,
    /// Further condition over the columns of both.
    pub filter: Option<Compiled>,
    /// Which rows come out, with the stream on the left: inner, left, left semi or left anti.
    pub kind: JoinType,
    /// Columns of both, in the order of the output.
    pub pair_schema: SchemaRef,
    /// The table's columns come first.
    pub table_first: bool,
    /// Schema of the output.
    pub schema: SchemaRef,
}

/// A join with a table.
pub struct TableJoin {
    spec: JoinSpec,
    encoder: KeyEncoder,
    table: Option<Table>,
}

/// The table's rows by key, as of one version.
struct Table {
    version: u64,
    rows: RecordBatch,
    by_key: Index,
}

impl TableJoin {
    /// A join as `spec` says.
    pub fn new(spec: JoinSpec) -> Result<Self> {
        let fields = spec
            .table_keys
            .iter()
            .map(|k| {
                k.return_field(&spec.table_schema)
                    .map_err(crate::expr::from_datafusion)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            encoder: KeyEncoder::new(&fields)?,
            spec,
            table: None,
        })
    }

    fn refresh(&mut self) -> Result<()> {
        let version = self.spec.table.changed_at();
        if self.table.as_ref().is_some_and(|t| t.version == version) {
            return Ok(());
        }
        let batches = self.spec.table.snapshot()?;
        let mut read = Vec::with_capacity(batches.len());
        for batch in &batches {
            let columns = self
                .spec
                .columns
                .iter()
                .map(|c| Arc::clone(batch.column(*c)))
                .collect();
            read.push(batch_of(
                Arc::clone(&self.spec.read_schema),
                columns,
                batch.num_rows(),
            )?);
        }
        let mut rows = concat_batches(&self.spec.read_schema, &read)?;
        if let Some(filter) = &self.spec.table_filter {
            rows = filter_record_batch(&rows, &evaluate_filter(filter, &rows)?)?;
        }
        let joined = self
            .spec
            .joined
            .iter()
            .map(|c| Arc::clone(rows.column(*c)))
            .collect();
        let rows = batch_of(Arc::clone(&self.spec.table_schema), joined, rows.num_rows())?;
        let keys = evaluate_all(&self.spec.table_keys, &rows)?;
        let by_key = Index::new(&mut self.encoder, &keys, rows.num_rows())?;
        self.table = Some(Table {
            version,
            rows,
            by_key,
        });
        Ok(())
    }

    /// Pairs of (stream row, table row) with equal keys.
    fn pairs(&mut self, batch: &RecordBatch) -> Result<(Vec<u32>, Vec<u32>)> {
        let keys = evaluate_all(&self.spec.stream_keys, batch)?;
        let keys = Keys::new(&mut self.encoder, &keys)?;
        let mut pairs = (Vec::new(), Vec::new());
        let Some(table) = &self.table else {
            return Ok(pairs);
        };
        for row in 0..batch.num_rows() {
            let others = table.by_key.rows(keys.of(row));
            pairs.0.resize(pairs.0.len() + others.len(), number(row));
            pairs.1.extend_from_slice(others);
        }
        Ok(pairs)
    }

    fn combine(&self, stream: Vec<ArrayRef>, table: Vec<ArrayRef>) -> Result<RecordBatch> {
        let columns = if self.spec.table_first {
            table.into_iter().chain(stream).collect()
        } else {
            stream.into_iter().chain(table).collect()
        };
        conform(&self.spec.pair_schema, columns)
    }
}

/// All columns of some rows.
pub fn take_all(batch: &RecordBatch, rows: &UInt32Array) -> Result<Vec<ArrayRef>> {
    batch
        .columns()
        .iter()
        .map(|c| take(c, rows, None).map_err(Into::into))
        .collect()
}

impl TableJoin {
    /// Pairs that pass the condition, with the weights of the stream's rows; notes which of these have a match.
    fn matches(
        &mut self,
        batch: &DeltaBatch,
        matched: &mut [bool],
    ) -> Result<Option<(RecordBatch, Vec<i8>)>> {
        let (left, right) = self.pairs(&batch.rows)?;
        let left_rows = UInt32Array::from(left);
        let Some(held) = self.table.as_ref().filter(|_| !left_rows.is_empty()) else {
            return Ok(None);
        };
        let table = take_all(&held.rows, &UInt32Array::from(right))?;
        let joined = self.combine(take_all(&batch.rows, &left_rows)?, table)?;
        let keep = match &self.spec.filter {
            Some(filter) => without_nulls(evaluate_filter(filter, &joined)?),
            None => BooleanArray::from(vec![true; joined.num_rows()]),
        };
        let mut weights = Vec::new();
        for (row, keep) in left_rows.values().iter().zip(keep.values()) {
            if keep {
                matched[*row as usize] = true;
                weights.push(batch.weights.get(*row as usize));
            }
        }
        Ok(Some((filter_record_batch(&joined, &keep)?, weights)))
    }

    /// Rows of the stream by themselves: with NULLs for the table's columns where those come out.
    fn single(&self, batch: &DeltaBatch, rows: Vec<u32>) -> Result<DeltaBatch> {
        let weights = rows.iter().map(|row| batch.weights.get(*row as usize));
        let weights = weights.collect();
        let rows = UInt32Array::from(rows);
        let stream = take_all(&batch.rows, &rows)?;
        if self.spec.kind != JoinType::Left {
            let rows = batch_of(Arc::clone(&self.spec.schema), stream, rows.len())?;
            return Ok(DeltaBatch::new(rows, weights));
        }
        let fields = self.spec.table_schema.fields().iter();
        let nulls = fields.map(|f| new_null_array(f.data_type(), rows.len()));
        let rows = self.combine(stream, nulls.collect())?;
        Ok(DeltaBatch::new(rows, weights))
    }
}

impl Operator for TableJoin {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, out: &mut Out) -> Result<()> {
        debug_assert!(
            matches!(batch.weights, Weights::Ones),
            "joins with tables take inserts only"
        );
        self.refresh()?;
        let mut matched = vec![false; batch.len()];
        let pairs = self.matches(&batch, &mut matched)?;
        let wanted = match self.spec.kind {
            JoinType::LeftSemi => Some(true),
            JoinType::LeftAnti | JoinType::Left => Some(false),
            _ => None,
        };
        if let (Some((rows, weights)), JoinType::Inner | JoinType::Left) = (pairs, self.spec.kind) {
            out.push(DeltaBatch::new(rows, weights));
        }
        if let Some(wanted) = wanted {
            let chosen = (0..).zip(&matched).filter(|(_, m)| **m == wanted);
            out.push(self.single(&batch, chosen.map(|(row, _)| row).collect())?);
        }
        Ok(())
    }

    fn counters(&self) -> Counters {
        let rows = self.table.as_ref().map_or(0, |t| t.rows.num_rows() as u64);
        Counters {
            state_rows: rows,
            ..Counters::default()
        }
    }

    fn save(&self, _saved: &mut Saved) -> Result<()> {
        Ok(())
    }

    fn load(&mut self, _saved: &mut Saved) -> Result<()> {
        Ok(())
    }
}
