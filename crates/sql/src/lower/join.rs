//! Joins: of a stream with a small table, as the table is when the row comes; those of two streams are joins of windows.

use std::sync::Arc;

use dataflow::Result;
use datafusion::common::{DFSchemaRef, JoinType};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Join, LogicalPlan};
use plan::{Mode, Node, Op, Relation, StateRule, TimeColumn};

use super::{Lowering, refused, window_join};
use crate::errors::from_datafusion;

/// The table side of a join.
struct TableSide {
    table: String,
    /// Columns read.
    columns: Vec<usize>,
    read_schema: DFSchemaRef,
    filter: Option<Expr>,
    /// Which of them are joined, and under which names.
    joined: Vec<usize>,
    schema: DFSchemaRef,
}

pub(crate) fn lower(lowering: &Lowering<'_>, join: &Join) -> Result<Arc<Node>> {
    let on = join.on.iter().flat_map(|(left, right)| [left, right]);
    let place = crate::location::location_in(on.chain(&join.filter));
    lower_join(lowering, join).map_err(|error| error.at(place))
}

fn lower_join(lowering: &Lowering<'_>, join: &Join) -> Result<Arc<Node>> {
    let (left_table, right_table) = table_sides(lowering, join);
    let (table_first, kind) = match (join.join_type, left_table, right_table) {
        (_, false, false) => return window_join::lower(lowering, join),
        (_, true, true) => {
            return Err(refused("a join of two tables").hint(
                "one side must be a stream: a source, a view, or the one table with a watermark",
            ));
        }
        (JoinType::Inner, left, _) => (left, JoinType::Inner),
        (kind @ (JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti), false, true) => {
            (false, kind)
        }
        (JoinType::Right, true, false) => (true, JoinType::Left),
        (JoinType::LeftMark | JoinType::RightMark, ..) => return Err(window_join::inside_or()),
        (JoinType::LeftSemi | JoinType::LeftAnti, ..) => {
            return Err(refused("EXISTS or IN (SELECT …) of a table over a stream"));
        }
        (other, ..) => {
            return Err(refused(format!(
                "a {} join with a table on that side",
                other.to_string().to_uppercase()
            )));
        }
    };
    window_join::check_nulls(join)?;
    let (stream, table) = if table_first {
        (&join.right, &join.left)
    } else {
        (&join.left, &join.right)
    };
    let input = lowering.node(stream)?;
    if input.mode == Mode::Updating {
        return Err(
            refused("a join of updated rows with a table").hint("join before the aggregation")
        );
    }
    if input.reads().is_empty() {
        // Its rows come once: what comes into the table afterwards would join nothing.
        return Err(refused("a join of VALUES with a table")
            .hint("INSERT the rows into a table, and join a stream with it"));
    }
    let side = table_side(lowering, table)?;
    let on = join
        .on
        .iter()
        .map(|(l, r)| {
            if table_first {
                (r.clone(), l.clone())
            } else {
                (l.clone(), r.clone())
            }
        })
        .collect();
    let first = if table_first { side.joined.len() } else { 0 };
    let pair_schema = if table_first {
        side.schema.join(&input.schema)
    } else {
        input.schema.join(&side.schema)
    };
    let pair_schema = pair_schema.map_err(from_datafusion)?;
    let times = input
        .times
        .iter()
        .map(|t| TimeColumn {
            index: t.index + first,
            offset: t.offset,
        })
        .collect();
    let window = input.window.iter().map(|(i, c)| (i + first, *c)).collect();
    Ok(Arc::new(Node {
        op: Op::TableJoin {
            table: side.table,
            columns: side.columns,
            read_schema: side.read_schema,
            table_filter: side.filter,
            joined: side.joined,
            table_schema: side.schema,
            on,
            filter: join.filter.clone(),
            kind,
            pair_schema: DFSchemaRef::new(pair_schema),
            table_first,
        },
        inputs: vec![input],
        schema: Arc::clone(&join.schema),
        mode: Mode::Append,
        times,
        window,
        state: StateRule::Fixed("the table"),
    }))
}

/// Which sides are tables. Of two tables, one with a watermark is the stream.
fn table_sides(lowering: &Lowering<'_>, join: &Join) -> (bool, bool) {
    let sides = (
        lowering.table_of(&join.left),
        lowering.table_of(&join.right),
    );
    match &sides {
        (Some(left), Some(right)) => {
            let streams = |table: &Relation| !table.shape.times.is_empty();
            match (streams(left), streams(right)) {
                (true, false) => (false, true),
                (false, true) => (true, false),
                (true, true) => (false, false),
                (false, false) => (true, true),
            }
        }
        (left, right) => (left.is_some(), right.is_some()),
    }
}

fn table_side(lowering: &Lowering<'_>, plan: &LogicalPlan) -> Result<TableSide> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let name = scan.table_name.table();
            let relation = lowering
                .catalog
                .relation(name)
                .ok_or_else(|| refused(format!("relation \"{name}\"")))?;
            let all = || (0..relation.schema.fields().len()).collect();
            let columns: Vec<usize> = scan.projection.clone().unwrap_or_else(all);
            Ok(TableSide {
                joined: (0..columns.len()).collect(),
                columns,
                read_schema: Arc::clone(&scan.projected_schema),
                schema: Arc::clone(&scan.projected_schema),
                filter: conjunction(scan.filters.iter().cloned()),
                table: relation.name,
            })
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let inner = table_side(lowering, &alias.input)?;
            Ok(TableSide {
                schema: Arc::clone(&alias.schema),
                ..inner
            })
        }
        LogicalPlan::Filter(f) => {
            let inner = table_side(lowering, &f.input)?;
            let own = inner.over_read(f.predicate.clone())?;
            let filter = conjunction(inner.filter.iter().cloned().chain([own]));
            Ok(TableSide { filter, ..inner })
        }
        LogicalPlan::Projection(p) => {
            let inner = table_side(lowering, &p.input)?;
            let mut joined = Vec::new();
            for expr in &p.expr {
                let index = super::column_index(expr, &inner.schema)?.ok_or_else(|| {
                    refused("a join with expressions over a table").hint("join the table itself")
                })?;
                joined.push(inner.joined[index]);
            }
            Ok(TableSide {
                joined,
                schema: Arc::clone(&p.schema),
                ..inner
            })
        }
        _ => Err(refused("a join with a subquery").hint("join the table itself")),
    }
}

impl TableSide {
    /// An expression over the joined columns as one over the columns read.
    fn over_read(&self, expr: Expr) -> Result<Expr> {
        use datafusion::common::tree_node::{Transformed, TreeNode};
        let moved = expr.transform_up(|e| match &e {
            Expr::Column(column) => {
                let index = self.joined[self.schema.index_of_column(column)?];
                Ok(Transformed::yes(Expr::from(
                    self.read_schema.qualified_field(index),
                )))
            }
            _ => Ok(Transformed::no(e)),
        });
        Ok(moved.map_err(from_datafusion)?.data)
    }
}
