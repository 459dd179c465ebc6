//! DataFusion's aggregates under the flush-only discipline: state is read by taking it out as rows, never peeked at.

mod distinct;

use std::sync::Arc;

use dataflow::{Error, Result};
use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{CastOptions, and, cast_with_options};
use datafusion::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{EmitTo, Expr, GroupsAccumulator};
use datafusion::physical_expr::GroupsAccumulatorAdapter;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use plan::AggSpec;

use crate::expr::{Compiled, compile_all, evaluate_all, evaluate_filter, from_datafusion};
use crate::ops::updating_agg::batch_of;

/// Compiled keys and aggregates of one operator.
pub struct Aggregates {
    keys: Vec<Compiled>,
    key_fields: Vec<FieldRef>,
    functions: Vec<Function>,
    state_schema: SchemaRef,
}

struct Function {
    expr: Arc<AggregateFunctionExpr>,
    args: Vec<Compiled>,
    filter: Option<Compiled>,
    states: usize,
    /// The arguments of no rows.
    no_rows: Vec<ArrayRef>,
}

/// Evaluated arguments and filters of a batch, one entry a function.
pub struct Arguments {
    values: Vec<Vec<ArrayRef>>,
    filters: Vec<Option<BooleanArray>>,
}

impl Arguments {
    /// The rows at `indices`.
    pub fn take(&self, indices: &datafusion::arrow::array::UInt32Array) -> Result<Self> {
        use datafusion::arrow::compute::take;
        let values = self
            .values
            .iter()
            .map(|arrays| {
                arrays
                    .iter()
                    .map(|a| take(a, indices, None).map_err(Error::from))
                    .collect()
            })
            .collect::<Result<_>>()?;
        let filter = |f: &Option<BooleanArray>| {
            f.as_ref()
                .map(|f| {
                    take(f, indices, None)
                        .map_err(Error::from)
                        .map(|a| BooleanArray::from(a.to_data()))
                })
                .transpose()
        };
        Ok(Self {
            values,
            filters: self.filters.iter().map(filter).collect::<Result<_>>()?,
        })
    }
}

impl Aggregates {
    /// Compiles `spec` over rows of `schema`. Refuses aggregates that need their input in order.
    pub fn new(spec: &AggSpec, schema: &DFSchema) -> Result<Self> {
        let keys = compile_all(&spec.keys, schema)?;
        let mut key_fields = Vec::with_capacity(keys.len());
        for (i, key) in keys.iter().enumerate() {
            let field = key
                .return_field(schema.as_arrow())
                .map_err(from_datafusion)?;
            key_fields.push(Arc::new(Field::new(
                format!("key{i}"),
                field.data_type().clone(),
                true,
            )));
        }
        let functions = spec
            .aggs
            .iter()
            .map(|e| Function::new(e, schema))
            .collect::<Result<Vec<_>>>()?;
        let mut fields: Vec<FieldRef> = key_fields.clone();
        for (i, function) in functions.iter().enumerate() {
            for (j, field) in function
                .expr
                .state_fields()
                .map_err(from_datafusion)?
                .iter()
                .enumerate()
            {
                let field = field
                    .as_ref()
                    .clone()
                    .with_name(format!("state{i}_{j}"))
                    .with_nullable(true);
                fields.push(Arc::new(field));
            }
        }
        Ok(Self {
            keys,
            key_fields,
            functions,
            state_schema: Arc::new(Schema::new(fields)),
        })
    }

    /// Number of keys.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Types of the keys.
    pub fn key_fields(&self) -> &[FieldRef] {
        &self.key_fields
    }

    /// Schema of partial state: the keys, then each function's state columns.
    pub fn state_schema(&self) -> &SchemaRef {
        &self.state_schema
    }

    /// The keys of a batch.
    pub fn eval_keys(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        evaluate_all(&self.keys, batch)
    }

    /// The functions' arguments of a batch; `keep` narrows every filter.
    pub fn eval_arguments(
        &self,
        batch: &RecordBatch,
        keep: Option<&BooleanArray>,
    ) -> Result<Arguments> {
        let mut arguments = Arguments {
            values: Vec::new(),
            filters: Vec::new(),
        };
        for function in &self.functions {
            arguments.values.push(evaluate_all(&function.args, batch)?);
            let own = function
                .filter
                .as_ref()
                .map(|f| evaluate_filter(f, batch))
                .transpose()?;
            arguments.filters.push(match (own, keep) {
                (Some(own), Some(keep)) => Some(and(&own, keep)?),
                (own, keep) => own.or_else(|| keep.cloned()),
            });
        }
        Ok(arguments)
    }

    /// Fresh accumulators over groups that the caller numbers.
    pub fn accumulators(&self) -> Result<Accumulators> {
        let each = self
            .functions
            .iter()
            .map(Function::accumulator)
            .collect::<Result<Vec<_>>>()?;
        Ok(Accumulators {
            each,
            states: self.functions.iter().map(|f| f.states).collect(),
            groups: 0,
        })
    }

    /// The state of one group that no row has come to, as a run without keys: an aggregation without keys has a result
    /// before its first row.
    pub fn empty_state(&self) -> Result<RecordBatch> {
        // A filter makes the accumulators note that the group has no rows: without one they take it as one that has.
        let nobody = BooleanArray::from(Vec::<bool>::new());
        let mut columns = Vec::new();
        for function in &self.functions {
            let mut accumulator = function.accumulator()?;
            accumulator
                .update_batch(&function.no_rows, &[], Some(&nobody), 1)
                .map_err(from_datafusion)?;
            columns.extend(accumulator.state(EmitTo::All).map_err(from_datafusion)?);
        }
        conform(&self.state_schema, columns)
    }

    /// A fresh table of groups by key.
    pub fn table(&self) -> Result<HotTable> {
        let values = if self.keys.is_empty() {
            None
        } else {
            let schema = Arc::new(Schema::new(self.key_fields.clone()));
            Some(new_group_values(schema, &GroupOrdering::None).map_err(from_datafusion)?)
        };
        Ok(HotTable {
            values,
            accumulators: self.accumulators()?,
            groups: Vec::new(),
        })
    }
}

impl Function {
    fn new(expr: &Expr, schema: &DFSchema) -> Result<Self> {
        let lowered = LoweredAggregateBuilder::new(
            expr,
            schema,
            schema.as_arrow(),
            &ExecutionProps::new(),
            &PhysicalPlanningContext::default(),
        )
        .build()
        .map_err(from_datafusion)?;
        let mut function = lowered.aggregate;
        // WITHIN GROUP (ORDER BY x) says what is aggregated, not in which order rows must come: x is an argument already.
        let within_group = function.fun().supports_within_group_clause();
        let order_bys = if within_group {
            Vec::new()
        } else {
            lowered.order_bys
        };
        if !order_bys.is_empty() {
            // string_agg says that it needs its rows in order, and sorts them itself.
            let sorts = function.fun().name() == "string_agg";
            if function.order_sensitivity().hard_requires() && !sorts {
                return Err(Error::unsupported(format!(
                    "ORDER BY inside {} in a continuous query",
                    function.fun().name()
                )));
            }
            let unordered = Arc::clone(&function)
                .with_beneficial_ordering(false)
                .map_err(from_datafusion)?;
            function = unordered.map_or(function, Arc::new);
        }
        let mut args = function.expressions();
        args.extend(order_bys.iter().map(|o| Arc::clone(&o.expr)));
        let states = function.state_fields().map_err(from_datafusion)?.len();
        let nothing = RecordBatch::new_empty(Arc::clone(schema.inner()));
        let no_rows = evaluate_all(&args, &nothing)?;
        Ok(Self {
            expr: function,
            args,
            filter: lowered.filter,
            states,
            no_rows,
        })
    }

    fn accumulator(&self) -> Result<Box<dyn GroupsAccumulator>> {
        if distinct::counts(&self.expr, &self.no_rows) {
            return Ok(Box::new(distinct::DistinctTexts::default()));
        }
        if self.expr.groups_accumulator_supported() {
            return self
                .expr
                .create_groups_accumulator()
                .map_err(from_datafusion);
        }
        let expr = Arc::clone(&self.expr);
        Ok(Box::new(GroupsAccumulatorAdapter::new(move || {
            expr.create_accumulator()
        })))
    }
}

/// Accumulators of all functions over groups numbered from 0 by the caller.
pub struct Accumulators {
    each: Vec<Box<dyn GroupsAccumulator>>,
    states: Vec<usize>,
    groups: usize,
}

impl Accumulators {
    /// Adds rows; `groups[i]` is the group of row `i`, below `total`.
    pub fn update(&mut self, arguments: &Arguments, groups: &[usize], total: usize) -> Result<()> {
        self.groups = self.groups.max(total);
        for (i, accumulator) in self.each.iter_mut().enumerate() {
            accumulator
                .update_batch(
                    &arguments.values[i],
                    groups,
                    arguments.filters[i].as_ref(),
                    total,
                )
                .map_err(from_datafusion)?;
        }
        Ok(())
    }

    /// Adds partial states: the state columns of a run without its keys.
    pub fn merge(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.groups = self.groups.max(total);
        let mut first = 0;
        for (accumulator, count) in self.each.iter_mut().zip(&self.states) {
            accumulator
                .merge_batch(&states[first..first + count], groups, total)
                .map_err(from_datafusion)?;
            first += count;
        }
        Ok(())
    }

    /// Takes all state out, in group order.
    pub fn take_states(&mut self) -> Result<Vec<ArrayRef>> {
        self.groups = 0;
        let mut states = Vec::new();
        for accumulator in &mut self.each {
            states.extend(accumulator.state(EmitTo::All).map_err(from_datafusion)?);
        }
        Ok(states)
    }

    /// Takes all results out, in group order.
    pub fn take_results(&mut self) -> Result<Vec<ArrayRef>> {
        self.groups = 0;
        self.each
            .iter_mut()
            .map(|a| a.evaluate(EmitTo::All).map_err(from_datafusion))
            .collect()
    }
}

/// Groups by key with their accumulators; emptied by taking its rows out.
pub struct HotTable {
    values: Option<Box<dyn GroupValues>>,
    accumulators: Accumulators,
    groups: Vec<usize>,
}

impl HotTable {
    /// Number of groups.
    pub fn len(&self) -> usize {
        self.values
            .as_ref()
            .map_or(self.accumulators.groups, |v| v.len())
    }

    /// Whether there are no groups.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn intern(&mut self, keys: &[ArrayRef], rows: usize) -> Result<usize> {
        match &mut self.values {
            Some(values) => {
                values
                    .intern(keys, &mut self.groups)
                    .map_err(from_datafusion)?;
                Ok(values.len())
            }
            None => {
                self.groups.clear();
                self.groups.resize(rows, 0);
                Ok(1)
            }
        }
    }

    /// Adds `rows` rows.
    pub fn update(&mut self, keys: &[ArrayRef], arguments: &Arguments, rows: usize) -> Result<()> {
        let total = self.intern(keys, rows)?;
        self.accumulators.update(arguments, &self.groups, total)
    }

    /// Adds a run of partial states (keys first).
    pub fn merge(&mut self, run: &RecordBatch, keys: usize) -> Result<()> {
        let columns = run.columns();
        let total = self.intern(&columns[..keys], run.num_rows())?;
        self.accumulators
            .merge(&columns[keys..], &self.groups, total)
    }

    /// Takes the keys out. Emitting alone leaves the hash table of several columns filled: it must be cleared too.
    fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        let Some(values) = &mut self.values else {
            return Ok(Vec::new());
        };
        let rows = values.len();
        let keys = values.emit(EmitTo::All).map_err(from_datafusion)?;
        values.clear_shrink(rows);
        Ok(keys)
    }

    /// Takes everything out as a run of partial states; `None` when empty.
    pub fn take_run(&mut self, aggregates: &Aggregates) -> Result<Option<RecordBatch>> {
        let groups = self.len();
        if groups == 0 {
            return Ok(None);
        }
        let mut columns = self.take_keys()?;
        columns.extend(self.accumulators.take_states()?);
        // Windows that are all that is grouped by, without aggregates, have no columns here.
        batch_of(Arc::clone(aggregates.state_schema()), columns, groups).map(Some)
    }

    /// Takes everything out as keys and results.
    pub fn take_results(&mut self) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>)> {
        Ok((self.take_keys()?, self.accumulators.take_results()?))
    }
}

/// A batch of `columns` under `schema`, cast where an accumulator gave a near type.
pub fn conform(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let columns = columns
        .into_iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(column)
            } else {
                let strict = CastOptions {
                    safe: false,
                    ..CastOptions::default()
                };
                cast_with_options(&column, field.data_type(), &strict).map_err(Error::from)
            }
        })
        .collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(Error::from)
}
