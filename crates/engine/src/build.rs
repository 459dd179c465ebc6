//! From plan nodes to operators: the one list of them.

use std::sync::Arc;

use dataflow::{Error, Result};
use datafusion::logical_expr::Expr;
use plan::{Node, Op};

use crate::aggregates::Aggregates;
use crate::expr::{compile, compile_all};
use crate::operator::Operator;
use crate::ops::calc::Calc;
use crate::ops::close_agg::CloseAgg;
use crate::ops::final_rows::FinalRows;
use crate::ops::pane_agg::PaneAgg;
use crate::ops::retime::Retime;
use crate::ops::session_agg::{Ends, SessionAgg};
use crate::ops::table_join::{JoinSpec, TableJoin};
use crate::ops::top_n::{TopN, TopNSpec};
use crate::ops::union::Union;
use crate::ops::updating_agg::{Rules, UpdatingAgg};
use crate::ops::values::Values;
use crate::ops::window_assign::WindowAssign;
use crate::ops::window_join::{Side, WindowJoin, WindowJoinSpec};
use crate::store::Store;

/// Finds the tables that joins read.
pub type Tables<'a> = &'a dyn Fn(&str) -> Option<Arc<Store>>;

/// The operator of a node; `None` for a leaf, which reads a relation.
pub fn operator(node: &Node, tables: Tables<'_>) -> Result<Option<Box<dyn Operator>>> {
    let schema = Arc::clone(node.schema.inner());
    Ok(Some(match &node.op {
        Op::Read { .. } => return Ok(None),
        Op::Values { rows } => Box::new(Values::new(rows, schema)?),
        Op::Calc { filter, exprs } => {
            let input = input(node)?;
            Box::new(Calc {
                filter: filter
                    .as_ref()
                    .map(|f| compile(f, &input.schema))
                    .transpose()?,
                exprs: exprs
                    .as_ref()
                    .map(|e| compile_all(e, &input.schema))
                    .transpose()?,
                schema,
            })
        }
        Op::WindowAssign { window, time } => Box::new(WindowAssign::new(*window, *time, schema)),
        Op::Retime { by } => Box::new(Retime { by: *by }),
        Op::PaneAgg {
            window,
            time,
            spec,
            emit,
        } => {
            let aggregates = Aggregates::new(spec, &input(node)?.schema)?;
            let place = (*window, *time);
            Box::new(PaneAgg::new(
                place,
                spec,
                emit.lateness(),
                aggregates,
                schema,
            )?)
        }
        Op::SessionAgg {
            ends,
            time,
            keep,
            spec,
            emit,
        } => {
            let input = input(node)?;
            let keep = keep
                .as_ref()
                .map(|k| compile(k, &input.schema))
                .transpose()?;
            let when = ends.when.as_ref().map(|w| compile(w, &input.schema));
            let ends = Ends {
                gap: ends.gap,
                max: ends.max,
                when: when.transpose()?,
            };
            let aggregates = Aggregates::new(spec, &input.schema)?;
            Box::new(SessionAgg::new(
                (ends, *time),
                keep,
                spec,
                *emit,
                aggregates,
                schema,
            )?)
        }
        Op::UpdatingAgg {
            spec,
            expires,
            window,
            every,
            ttl,
        } => {
            let input = input(node)?;
            let rules = Rules {
                every: *every,
                expires: *expires,
                window: *window,
                ttl: *ttl,
            };
            let aggregates = Aggregates::new(spec, &input.schema)?;
            Box::new(UpdatingAgg::new(spec, aggregates, rules, schema)?)
        }
        Op::CloseAgg { spec, time } => {
            let aggregates = Aggregates::new(spec, &input(node)?.schema)?;
            Box::new(CloseAgg::new(spec, *time, aggregates, schema))
        }
        Op::FinalRows { time } => Box::new(FinalRows::new(*time, schema)?),
        Op::TopN {
            partition,
            order,
            limit,
            expires,
            ..
        } => {
            let input = input(node)?;
            let order = order
                .iter()
                .map(|o| {
                    let options = datafusion::arrow::compute::SortOptions {
                        descending: !o.asc,
                        nulls_first: o.nulls_first,
                    };
                    compile(&o.expr, &input.schema).map(|e| (e, options))
                })
                .collect::<Result<Vec<_>>>()?;
            let spec = TopNSpec {
                partition: compile_all(partition, &input.schema)?,
                order,
                limit: *limit,
                expires: *expires,
                mode: node.mode,
            };
            Box::new(TopN::new(spec, input.schema.inner(), schema)?)
        }
        Op::Union { .. } => Box::new(Union { schema }),
        Op::TableJoin { .. } => table_join(node, tables)?,
        Op::WindowJoin { .. } => window_join(node)?,
    }))
}

fn table_join(node: &Node, tables: Tables<'_>) -> Result<Box<dyn Operator>> {
    let Op::TableJoin {
        table,
        columns,
        read_schema,
        table_filter,
        joined,
        table_schema,
        on,
        filter,
        kind,
        pair_schema,
        table_first,
    } = &node.op
    else {
        return Err(Error::internal("not a join"));
    };
    let input = input(node)?;
    let store =
        tables(table).ok_or_else(|| Error::internal(format!("table \"{table}\" has no rows")))?;
    Ok(Box::new(TableJoin::new(JoinSpec {
        table: store,
        columns: columns.clone(),
        read_schema: Arc::clone(read_schema.inner()),
        joined: joined.clone(),
        table_schema: Arc::clone(table_schema.inner()),
        table_filter: table_filter
            .as_ref()
            .map(|f| compile(f, read_schema))
            .transpose()?,
        stream_keys: compile_all(on.iter().map(|(s, _)| s), &input.schema)?,
        table_keys: compile_all(on.iter().map(|(_, t)| t), table_schema)?,
        filter: filter
            .as_ref()
            .map(|f| compile(f, pair_schema))
            .transpose()?,
        kind: *kind,
        pair_schema: Arc::clone(pair_schema.inner()),
        table_first: *table_first,
        schema: Arc::clone(node.schema.inner()),
    })?))
}

fn window_join(node: &Node) -> Result<Box<dyn Operator>> {
    let Op::WindowJoin {
        kind,
        times,
        on,
        filter,
        pair_schema,
    } = &node.op
    else {
        return Err(Error::internal("not a join of windows"));
    };
    let [left, right] = node.inputs.as_slice() else {
        return Err(Error::internal("a join has two inputs"));
    };
    let side = |input: &Node, time: usize, keys: Vec<&Expr>| -> Result<Side> {
        Ok(Side {
            schema: Arc::clone(input.schema.inner()),
            time,
            keys: compile_all(keys, &input.schema)?,
        })
    };
    let condition = filter.as_ref().map(|f| compile(f, pair_schema));
    Ok(Box::new(WindowJoin::new(WindowJoinSpec {
        kind: *kind,
        left: side(left, times.0, on.iter().map(|(l, _)| l).collect())?,
        right: side(right, times.1, on.iter().map(|(_, r)| r).collect())?,
        filter: condition.transpose()?,
        pair_schema: Arc::clone(pair_schema.inner()),
        schema: Arc::clone(node.schema.inner()),
    })?))
}

fn input(node: &Node) -> Result<&Node> {
    node.inputs
        .first()
        .map(AsRef::as_ref)
        .ok_or_else(|| Error::internal("an operator without input"))
}
