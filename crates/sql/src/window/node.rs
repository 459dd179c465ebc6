//! The logical node of a window function: passes its input's columns and adds `window_start, window_end, window_time`.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{
    Column, DFSchema, DFSchemaRef, ExprSchema, Result, TableReference, plan_err,
};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use plan::{Window, WindowColumn, WindowKind};

/// A window function over `input`. Columns of the input called like a window column are hidden by the new ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowNode {
    /// What it reads.
    pub input: LogicalPlan,
    /// The event-time column.
    pub time: Column,
    /// Partition columns of a session.
    pub partition: Vec<Expr>,
    /// The window.
    pub window: Window,
    /// A condition over the input whose rows end their session.
    pub ends_when: Option<Expr>,
    /// Adds `window_complete` too.
    pub complete: bool,
    schema: DFSchemaRef,
}

impl WindowNode {
    /// A window function; `time` is a column of `input`.
    pub fn try_new(
        input: LogicalPlan,
        time: Column,
        partition: Vec<Expr>,
        window: Window,
        ends_when: Option<Expr>,
        complete: bool,
    ) -> Result<Self> {
        let time_type = input.schema().field_from_column(&time)?.data_type().clone();
        let mut fields: Vec<(Option<TableReference>, FieldRef)> = kept(input.schema())
            .map(|i| {
                let (qualifier, field) = input.schema().qualified_field(i);
                (qualifier.cloned(), Arc::clone(field))
            })
            .collect();
        for column in WindowColumn::ALL {
            fields.push((
                None,
                Arc::new(Field::new(column.name(), time_type.clone(), false)),
            ));
        }
        if complete {
            let field = Field::new(WindowColumn::COMPLETE, DataType::Boolean, false);
            fields.push((None, Arc::new(field)));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(
            fields,
            input.schema().as_ref().as_arrow().metadata().clone(),
        )?);
        Ok(Self {
            input,
            time,
            partition,
            window,
            ends_when,
            complete,
            schema,
        })
    }

    /// Whether a row decides where later ones belong: sessions that more than pauses end.
    pub fn takes_rows_in_order(&self) -> bool {
        let max = matches!(self.window.kind, WindowKind::Session { max: Some(_), .. });
        max || self.ends_when.is_some()
    }
}

/// Indexes of the input's columns that the node passes.
pub fn kept(schema: &DFSchema) -> impl Iterator<Item = usize> + '_ {
    (0..schema.fields().len()).filter(|i| {
        !WindowColumn::ALL
            .iter()
            .any(|c| c.name() == schema.field(*i).name())
    })
}

impl PartialOrd for WindowNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.time, &self.window, &self.partition).partial_cmp(&(
            &other.time,
            &other.window,
            &other.partition,
        ))
    }
}

impl UserDefinedLogicalNodeCore for WindowNode {
    fn name(&self) -> &str {
        "Window"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let mut exprs = vec![Expr::Column(self.time.clone())];
        exprs.extend(self.ends_when.iter().cloned());
        exprs.extend(self.partition.iter().cloned());
        exprs
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        if self.window.is_aligned() {
            return WindowColumn::ALL
                .iter()
                .map(|c| c.name().to_owned())
                .chain([WindowColumn::COMPLETE.to_owned()])
                .collect();
        }
        let partition: HashSet<String> = self
            .partition
            .iter()
            .filter_map(|e| e.try_as_col().map(|c| c.name.clone()))
            .collect();
        self.schema
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .filter(|name| !partition.contains(name))
            .collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Window: {} on {}", self.window, self.time)
    }

    fn with_exprs_and_inputs(
        &self,
        mut exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let (Some(input), false) = (inputs.pop(), exprs.is_empty()) else {
            return plan_err!("a window function has one input and a time column");
        };
        let mut partition = exprs.split_off(1);
        let ends_when = self.ends_when.as_ref().map(|_| partition.remove(0));
        let time = match exprs.pop() {
            Some(Expr::Column(column)) => column,
            _ => self.time.clone(),
        };
        Self::try_new(
            input,
            time,
            partition,
            self.window,
            ends_when,
            self.complete,
        )
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let input = self.input.schema();
        let passed: Vec<usize> = kept(input).collect();
        let mut needed: Vec<usize> = output_columns
            .iter()
            .filter_map(|i| passed.get(*i).copied())
            .collect();
        needed.extend(input.maybe_index_of_column(&self.time));
        for expr in self.partition.iter().chain(&self.ends_when) {
            needed.extend(
                expr.column_refs()
                    .into_iter()
                    .filter_map(|c| input.maybe_index_of_column(c)),
            );
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}
