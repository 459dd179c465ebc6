//! How large the state of a node gets: a formula in words, with numbers where the plan knows them.

use dataflow::Micros;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::{Expr, ExprSchemable};

use crate::display::duration;
use crate::node::{AggOutput, AggSpec, Emit, Node, Op, StateRule};
use crate::window::{Window, WindowKind};

/// Bytes that a group, session or row needs beside its values: the place in a hash table, the row's offsets.
const OVERHEAD: usize = 48;
/// Bytes that a text is counted as.
const TEXT: usize = 32;

/// The estimate, `None` for nodes that keep nothing. `delay` is how far the watermark is behind the highest event time, in
/// microseconds, if it is known.
pub(crate) fn estimate(node: &Node, delay: Option<Micros>) -> Option<String> {
    let input = node.inputs.first()?;
    Some(match &node.op {
        Op::PaneAgg {
            window, spec, emit, ..
        } => {
            let pane = pane(window);
            let kept = emit.lateness().saturating_add(delay.unwrap_or(0));
            let count = panes(size(window).saturating_add(kept), pane);
            let panes = if count == 1 { "pane" } else { "panes" };
            let given = match emit {
                Emit::Corrected { .. } => ", and the rows of windows that may be corrected",
                Emit::OnWindowClose | Emit::OnUpdate { .. } => "",
            };
            format!(
                "keys of a pane x {count} {panes} of {} x {}{given}",
                duration(pane),
                group(spec, node, &input.schema)
            )
        }
        Op::SessionAgg {
            ends, spec, emit, ..
        } => {
            let kept = emit.lateness().saturating_add(delay.unwrap_or(0));
            let open = ends.gap.saturating_add(kept);
            format!(
                "sessions with a row in the last {} x {}",
                duration(open),
                group(spec, node, &input.schema)
            )
        }
        Op::UpdatingAgg { spec, .. } => {
            let groups = match &node.state {
                StateRule::Fixed(_) => "1 group".to_owned(),
                StateRule::Ttl(ttl) => format!("keys seen in the last {}", duration(*ttl)),
                StateRule::Window => "keys that the watermark has not passed".to_owned(),
                _ => "all keys ever seen".to_owned(),
            };
            format!("{groups} x {}", group(spec, node, &input.schema))
        }
        Op::CloseAgg { spec, .. } => {
            let group = group(spec, node, &input.schema);
            format!("keys that the watermark has not passed x {group}")
        }
        Op::FinalRows { .. } => {
            let row = OVERHEAD + width_of(&node.schema);
            format!("rows that the watermark has not passed x about {row} bytes")
        }
        Op::WindowJoin { .. } => {
            let wide = node.inputs.iter().map(|i| width_of(&i.schema)).max();
            let row = OVERHEAD + wide.unwrap_or(0);
            format!("rows of open windows of both inputs x about {row} bytes")
        }
        Op::TopN {
            limit, partition, ..
        } => {
            let row = OVERHEAD + width_of(&node.schema);
            let partitions = if partition.is_empty() {
                "1 partition"
            } else {
                "open partitions"
            };
            let kept = match node.inputs[0].mode {
                crate::node::Mode::Append => format!("{limit} rows"),
                crate::node::Mode::Updating => "all their rows".to_owned(),
            };
            format!("{partitions} x {kept} x about {row} bytes")
        }
        Op::TableJoin { table, .. } => format!("none beside the rows that table {table} holds"),
        Op::Read { .. }
        | Op::Values { .. }
        | Op::Calc { .. }
        | Op::WindowAssign { .. }
        | Op::Retime { .. }
        | Op::Union { .. } => return None,
    })
}

/// Panes that a span of time touches at most.
fn panes(span: Micros, pane: Micros) -> Micros {
    let whole = span / pane;
    whole + Micros::from(span % pane != 0)
}

fn size(window: &Window) -> Micros {
    match window.kind {
        WindowKind::Tumble { size }
        | WindowKind::Hop { size, .. }
        | WindowKind::Cumulate { size, .. } => size,
        WindowKind::Session { gap, .. } => gap,
    }
}

/// What rows are aggregated by before windows are put together.
fn pane(window: &Window) -> Micros {
    match window.kind {
        WindowKind::Tumble { size } => size,
        WindowKind::Hop { slide, size } => gcd(slide, size),
        WindowKind::Cumulate { step, .. } => step,
        WindowKind::Session { gap, .. } => gap,
    }
    .max(1)
}

fn gcd(a: Micros, b: Micros) -> Micros {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Bytes of a group, and what its aggregates hold beside it.
fn group(spec: &AggSpec, node: &Node, input: &DFSchemaRef) -> String {
    let keys = spec.keys.iter().map(|key| {
        let data_type = key.get_type(input.as_ref());
        data_type.map_or(TEXT, |data_type| width(&data_type))
    });
    let outputs = spec.output.iter().enumerate();
    let aggregates = outputs
        .filter(|(_, output)| matches!(output, AggOutput::Agg(_)))
        // A count beside the value: of averages, and of rows for corrections.
        .map(|(at, _)| width(node.schema.field(at).data_type()) + 8);
    let bytes: usize = OVERHEAD + keys.sum::<usize>() + aggregates.sum::<usize>();
    let distinct = spec
        .aggs
        .iter()
        .filter_map(|agg| distinct_width(agg, input));
    let mut text = format!("about {bytes} bytes");
    for bytes in distinct {
        text.push_str(&format!(" + distinct values x about {bytes} bytes"));
    }
    text
}

/// Bytes of one value of an aggregate that keeps all different ones.
fn distinct_width(agg: &Expr, input: &DFSchemaRef) -> Option<usize> {
    let Expr::AggregateFunction(function) = agg else {
        return None;
    };
    let argument = function.params.args.first()?;
    let data_type = argument.get_type(input.as_ref()).ok()?;
    function.params.distinct.then(|| 16 + width(&data_type))
}

fn width_of(schema: &DFSchemaRef) -> usize {
    schema.fields().iter().map(|f| width(f.data_type())).sum()
}

/// Bytes of a value of a type.
fn width(data_type: &DataType) -> usize {
    data_type.primitive_width().unwrap_or(match data_type {
        DataType::Boolean => 1,
        _ => TEXT,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_of_a_span() {
        assert_eq!(panes(60, 60), 1);
        assert_eq!(panes(65, 60), 2);
        assert_eq!(panes(300, 10), 30);
        assert_eq!(gcd(10, 4), 2);
    }

    #[test]
    fn widths_of_types() {
        assert_eq!(width(&DataType::Int64), 8);
        assert_eq!(width(&DataType::Boolean), 1);
        assert_eq!(width(&DataType::Utf8), TEXT);
        assert_eq!(width(&DataType::Decimal128(38, 2)), 16);
    }
}
