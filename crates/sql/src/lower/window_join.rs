//! Joins of two streams over the same window: rows of a window wait until it has closed in both.

use std::sync::Arc;

use dataflow::Result;
use datafusion::common::{DFSchemaRef, JoinType, NullEquality};
use datafusion::logical_expr::{Expr, Join};
use plan::{Mode, Node, Op, StateRule, TimeColumn};

use super::properties::{self, rank_of_time, role_of};
use super::windowed::final_rows;
use super::{Lowering, column_index, refused};
use crate::errors::from_datafusion;

/// Lowers a join of two streams.
pub(super) fn lower(lowering: &Lowering<'_>, join: &Join) -> Result<Arc<Node>> {
    let corrected =
        || refused("a join of rows that are corrected").hint("join final rows, or windows");
    let left = final_rows(lowering.below(&join.left)?).ok_or_else(corrected)?;
    let right = final_rows(lowering.below(&join.right)?).ok_or_else(corrected)?;
    let Some((left_time, right_time)) = common_time(join, &left, &right)? else {
        return Err(refused("a join of two streams that does not say that their windows are equal").hint(
            "join rows of the same window: ON a.window_start = b.window_start AND a.window_end = b.window_end; or make one side a table (CREATE TABLE)",
        ));
    };
    if matches!(join.join_type, JoinType::LeftMark | JoinType::RightMark) {
        return Err(inside_or());
    }
    check_nulls(join)?;
    let left = side(left, left_time);
    let right = side(right, right_time);
    let pair_schema = left.schema.join(&right.schema).map_err(from_datafusion)?;
    let mut times = Vec::new();
    let mut window = Vec::new();
    for (input, time, first) in shown(join.join_type, &left, left_time, &right, right_time) {
        times.extend(times_of(input, time, first));
        window.extend(input.window.iter().map(|(i, c)| (i + first, *c)));
    }
    Ok(Arc::new(Node {
        op: Op::WindowJoin {
            kind: join.join_type,
            times: (left_time, right_time),
            on: join.on.clone(),
            filter: join.filter.clone(),
            pair_schema: DFSchemaRef::new(pair_schema),
        },
        inputs: vec![left, right],
        schema: Arc::clone(&join.schema),
        mode: Mode::Append,
        times,
        window,
        state: StateRule::Window,
    }))
}

/// The columns of event time that the join says are equal: best the ends of windows.
fn common_time(join: &Join, left: &Node, right: &Node) -> Result<Option<(usize, usize)>> {
    let mut best: Option<(u8, usize, usize)> = None;
    for (a, b) in &join.on {
        let (a, b) = (
            column_index(a, &left.schema)?,
            column_index(b, &right.schema)?,
        );
        let (Some(a), Some(b)) = (a, b) else { continue };
        if left.time_offset(a).is_none() || right.time_offset(b).is_none() {
            continue;
        }
        let rank = rank_of_time(left, a);
        if role_of(left, a) == role_of(right, b) && best.is_none_or(|(r, ..)| r > rank) {
            best = Some((rank, a, b));
        }
    }
    Ok(best.map(|(_, a, b)| (a, b)))
}

/// An input under the watermark of its column of time.
fn side(node: Arc<Node>, time: usize) -> Arc<Node> {
    let offset = node.time_offset(time).unwrap_or(0);
    properties::retime(node, offset)
}

/// The refusal of a subquery that does not decide alone whether a row stays.
pub(super) fn inside_or() -> dataflow::Error {
    refused("EXISTS or IN (SELECT …) inside OR, CASE or NOT (…)")
        .hint("let it stand by itself in WHERE, with AND")
}

/// Refuses comparisons that take NULL for a value.
pub(super) fn check_nulls(join: &Join) -> Result<()> {
    if join.null_equality == NullEquality::NullEqualsNull {
        return Err(refused("a join by IS NOT DISTINCT FROM").hint("use ="));
    }
    let nullable = |expr: &Expr, schema: &DFSchemaRef| {
        use datafusion::logical_expr::ExprSchemable;
        expr.nullable(schema).unwrap_or(true)
    };
    let nulls = join
        .on
        .iter()
        .any(|(a, b)| nullable(a, join.left.schema()) || nullable(b, join.right.schema()));
    if join.null_aware && nulls {
        return Err(
            refused("NOT IN (SELECT …) over columns that may be NULL").hint("use NOT EXISTS")
        );
    }
    Ok(())
}

type Shown<'a> = (&'a Node, usize, usize);

/// The sides whose columns come out and are never NULL for want of a match: node, column of time, index of the first column.
fn shown<'a>(
    kind: JoinType,
    left: &'a Node,
    left_time: usize,
    right: &'a Node,
    right_time: usize,
) -> Vec<Shown<'a>> {
    let first = left.schema.fields().len();
    match kind {
        JoinType::Inner => vec![(left, left_time, 0), (right, right_time, first)],
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            vec![(left, left_time, 0)]
        }
        JoinType::Right => vec![(right, right_time, first)],
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            vec![(right, right_time, 0)]
        }
        JoinType::Full => Vec::new(),
    }
}

/// The columns of a side that follow the watermark behind the join, which is that of the common time.
fn times_of(node: &Node, time: usize, first: usize) -> impl Iterator<Item = TimeColumn> {
    let times = properties::carried_times(node, time);
    times.into_iter().map(move |t| TimeColumn {
        index: first + t.index,
        offset: t.offset,
    })
}
