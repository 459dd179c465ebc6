//! GROUPING SETS, ROLLUP and CUBE: one aggregation for each set, their rows together.

use std::sync::Arc;

use dataflow::{Error, Result, SqlState};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, GroupingSet, lit};
use plan::Node;

use super::{Lowering, aggregate, properties, union_of};
use crate::errors::from_datafusion;

/// Most sets of one GROUP BY: each keeps state of its own.
const MAX_SETS: usize = 64;

/// Lowers an aggregation whose only key is a grouping set.
pub(crate) fn lower(lowering: &Lowering<'_>, aggregate: &Aggregate) -> Result<Arc<Node>> {
    let Some(Expr::GroupingSet(grouping)) = aggregate.group_expr.first() else {
        return Err(Error::internal("no grouping set"));
    };
    let all = grouping_set_to_exprlist(&aggregate.group_expr).map_err(from_datafusion)?;
    let sets = sets_of(grouping);
    let place = crate::location::location_in(all.iter().copied());
    if sets.len() > MAX_SETS {
        let message = format!(
            "GROUP BY has {} grouping sets; the limit is {MAX_SETS}",
            sets.len()
        );
        return Err(Error::new(SqlState::PROGRAM_LIMIT, message).at(place));
    }
    let mut nodes = Vec::with_capacity(sets.len());
    for (at, set) in sets.iter().enumerate() {
        let same =
            |other: &Vec<&Expr>| other.len() == set.len() && other.iter().all(|e| set.contains(e));
        if sets[..at].iter().any(same) {
            return Err(super::refused("a grouping set that is there twice").at(place));
        }
        nodes.push(one_set(lowering, aggregate, &all, set)?);
    }
    Ok(union_of(nodes, Arc::clone(&aggregate.schema), true))
}

fn sets_of(grouping: &GroupingSet) -> Vec<Vec<&Expr>> {
    match grouping {
        GroupingSet::GroupingSets(sets) => sets.iter().map(|set| set.iter().collect()).collect(),
        GroupingSet::Rollup(exprs) => (0..=exprs.len())
            .rev()
            .map(|length| exprs[..length].iter().collect())
            .collect(),
        GroupingSet::Cube(exprs) => {
            // More than MAX_SETS is refused anyway.
            let bits = exprs.len().min(MAX_SETS.ilog2() as usize + 1);
            let subset = |mask: usize| {
                let chosen = exprs
                    .iter()
                    .enumerate()
                    .filter(move |(i, _)| mask >> i & 1 == 0);
                chosen.map(|(_, expr)| expr).collect()
            };
            (0..1 << bits).map(subset).collect()
        }
    }
}

/// The aggregation by one set, with NULL for the keys of the others and the set's number for `grouping()`.
fn one_set(
    lowering: &Lowering<'_>,
    aggregate: &Aggregate,
    all: &[&Expr],
    set: &[&Expr],
) -> Result<Arc<Node>> {
    let keys: Vec<Expr> = set.iter().map(|e| (*e).clone()).collect();
    let one = Aggregate::try_new(
        Arc::clone(&aggregate.input),
        keys,
        aggregate.aggr_expr.clone(),
    )
    .map_err(from_datafusion)?;
    let node = aggregate::lower(lowering, &one)?;
    let column = |index: usize| Expr::from(node.schema.qualified_field(index));
    let schema = &aggregate.schema;
    let mut exprs = Vec::with_capacity(schema.fields().len());
    let mut number: u64 = 0;
    for (index, key) in all.iter().enumerate() {
        let place = set.iter().position(|e| e == key);
        number = number << 1 | u64::from(place.is_none());
        exprs.push(match place {
            Some(place) => column(place),
            None => Expr::Literal(
                ScalarValue::try_from(schema.field(index).data_type()).map_err(from_datafusion)?,
                None,
            ),
        });
    }
    let number = lit(number)
        .cast_to(schema.field(all.len()).data_type(), &node.schema)
        .map_err(from_datafusion)?;
    exprs.push(number);
    exprs.extend((0..aggregate.aggr_expr.len()).map(|i| column(set.len() + i)));
    Ok(properties::project(node, exprs, Arc::clone(schema)))
}
