//! The one text form of a plan, for EXPLAIN and the tests' expectations.

use std::fmt::{self, Write};

use dataflow::Micros;
use dataflow::time::{MILLI, MINUTE, SECOND};
use datafusion::logical_expr::Expr;

use crate::estimate::estimate;
use crate::node::{AggSpec, Emit, Mode, Node, Op, SessionEnds, StateRule};
use crate::window::{Window, WindowKind};

/// A duration as people write it: `90 s`, `5 min`, `250 ms`.
pub fn duration(of: Micros) -> String {
    const HOUR: Micros = 60 * MINUTE;
    const DAY: Micros = 24 * HOUR;
    for (unit, name) in [
        (DAY, "d"),
        (HOUR, "h"),
        (MINUTE, "min"),
        (SECOND, "s"),
        (MILLI, "ms"),
    ] {
        if of != 0 && of % unit == 0 {
            return format!("{} {name}", of / unit);
        }
    }
    if of == 0 {
        "0 s".to_owned()
    } else {
        format!("{of} us")
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            WindowKind::Tumble { size } => write!(f, "TUMBLE {}", duration(size))?,
            WindowKind::Hop { slide, size } => {
                write!(f, "HOP slide {} size {}", duration(slide), duration(size))?
            }
            WindowKind::Cumulate { step, size } => write!(
                f,
                "CUMULATE step {} size {}",
                duration(step),
                duration(size)
            )?,
            WindowKind::Session { gap, max } => {
                write!(f, "SESSION gap {}", duration(gap))?;
                if let Some(max) = max {
                    write!(f, " max {}", duration(max))?;
                }
            }
        }
        if self.offset != 0 {
            write!(f, " offset {}", duration(self.offset))?;
        }
        match self.zone {
            Some(zone) => write!(f, " in {zone}"),
            None => Ok(()),
        }
    }
}

/// Where a watermark comes from: the event time of a source or table, and how far the watermark is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeOrigin {
    /// `source` or `table`.
    pub kind: &'static str,
    /// Its name.
    pub relation: String,
    /// The column of the event time.
    pub column: String,
    /// In microseconds.
    pub delay: Micros,
}

impl fmt::Display for TimeOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.column)?;
        if self.delay != 0 {
            write!(f, " - {}", duration(self.delay))?;
        }
        write!(f, " of {} {}", self.kind, self.relation)
    }
}

/// Tells where the watermark of a relation comes from: several origins where it is the least of theirs, none where there is
/// no event time.
pub type Origins<'a> = &'a dyn Fn(&str) -> Vec<TimeOrigin>;

/// The plan as indented lines, root first.
pub fn lines(root: &Node, origins: Origins<'_>) -> Vec<String> {
    let mut out = Vec::new();
    walk(root, 0, origins, &mut out);
    out
}

/// Where the watermark of a node comes from, each origin once.
pub fn origins_of(node: &Node, origins: Origins<'_>) -> Vec<TimeOrigin> {
    let mut found = match &node.op {
        Op::Read { relation, .. } => origins(relation),
        _ => Vec::new(),
    };
    for input in &node.inputs {
        for origin in origins_of(input, origins) {
            if !found.contains(&origin) {
                found.push(origin);
            }
        }
    }
    found
}

fn walk(node: &Node, depth: usize, origins: Origins<'_>, out: &mut Vec<String>) {
    let mut line = "  ".repeat(depth);
    if depth > 0 {
        line.push_str("-> ");
    }
    line.push_str(&describe(node));
    out.push(line);
    let pad = "  ".repeat(depth) + if depth > 0 { "     " } else { "  " };
    let from = origins_of(node, origins);
    out.push(format!("{pad}{}", properties(node, &from)));
    if let Some(estimate) = estimate(node, from.iter().map(|origin| origin.delay).max()) {
        out.push(format!("{pad}estimate: {estimate}"));
    }
    for input in &node.inputs {
        walk(input, depth + 1, origins, out);
    }
}

fn describe(node: &Node) -> String {
    match &node.op {
        Op::Read {
            relation,
            kind,
            columns,
        } => {
            let names: Vec<_> = node
                .schema
                .fields()
                .iter()
                .map(|f| f.name().as_str())
                .collect();
            debug_assert_eq!(names.len(), columns.len());
            format!(
                "Read {} {relation} [{}]",
                format!("{kind:?}").to_lowercase(),
                names.join(", ")
            )
        }
        Op::Values { rows } => format!("Values of {} rows", rows.len()),
        Op::Calc { filter, exprs } => calc(filter.as_ref(), exprs.as_deref()),
        Op::WindowAssign { window, .. } => format!("WindowAssign {window}"),
        Op::Retime { by } if *by < 0 => format!("Retime {} back", duration(-by)),
        Op::Retime { by } => format!("Retime {} ahead", duration(*by)),
        Op::PaneAgg {
            window, spec, emit, ..
        } => format!("PaneAgg {window} {}{}", agg(spec), emission(*emit)),
        Op::SessionAgg {
            ends,
            spec,
            keep,
            emit,
            ..
        } => {
            let keep = keep
                .as_ref()
                .map(|k| format!(" keep {k}"))
                .unwrap_or_default();
            format!(
                "SessionAgg {} {}{keep}{}",
                session(ends),
                agg(spec),
                emission(*emit)
            )
        }
        Op::UpdatingAgg { spec, every, .. } => {
            format!("UpdatingAgg {} every {}", agg(spec), duration(*every))
        }
        Op::FinalRows { time } => {
            format!("FinalRows by {}", node.schema.field(*time).name())
        }
        Op::CloseAgg { spec, .. } => format!("CloseAgg {}", agg(spec)),
        Op::TopN {
            partition,
            order,
            limit,
            ..
        } => {
            let order: Vec<_> = order.iter().map(ToString::to_string).collect();
            format!(
                "TopN {limit} by [{}] order [{}]",
                list(partition),
                order.join(", ")
            )
        }
        Op::Union { .. } => "Union".to_owned(),
        Op::TableJoin {
            table, on, kind, ..
        } => format!(
            "TableJoin {} {table} on [{}]",
            kind.to_string().to_lowercase(),
            pairs(on)
        ),
        Op::WindowJoin {
            kind, on, filter, ..
        } => {
            let filter = filter.as_ref().map(|f| format!(" where {f}"));
            format!(
                "WindowJoin {} on [{}]{}",
                kind.to_string().to_lowercase(),
                pairs(on),
                filter.unwrap_or_default()
            )
        }
    }
}

fn calc(filter: Option<&Expr>, exprs: Option<&[Expr]>) -> String {
    let mut text = "Calc".to_owned();
    if let Some(exprs) = exprs {
        let _ = write!(text, " [{}]", list(exprs));
    }
    if let Some(filter) = filter {
        let _ = write!(text, " where {filter}");
    }
    text
}

fn agg(spec: &AggSpec) -> String {
    format!(
        "keys [{}] aggregates [{}]",
        list(&spec.keys),
        list(&spec.aggs)
    )
}

fn session(ends: &SessionEnds) -> String {
    let mut text = format!("gap {}", duration(ends.gap));
    if let Some(max) = ends.max {
        let _ = write!(text, " max {}", duration(max));
    }
    if let Some(when) = &ends.when {
        let _ = write!(text, " ends when {when}");
    }
    text
}

fn emission(emit: Emit) -> String {
    match emit {
        Emit::OnWindowClose => String::new(),
        Emit::Corrected { lateness } => format!(" corrected for {}", duration(lateness)),
        Emit::OnUpdate { every } => format!(" every {}", duration(every)),
    }
}

fn pairs(on: &[(Expr, Expr)]) -> String {
    let on: Vec<_> = on.iter().map(|(l, r)| format!("{l} = {r}")).collect();
    on.join(", ")
}

fn list(exprs: &[Expr]) -> String {
    exprs
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn properties(node: &Node, from: &[TimeOrigin]) -> String {
    let mode = match node.mode {
        Mode::Append => "append",
        Mode::Updating => "updating",
    };
    let times: Vec<_> = node
        .times
        .iter()
        .map(|t| node.schema.field(t.index).name().clone())
        .collect();
    let from: Vec<String> = from.iter().map(ToString::to_string).collect();
    let watermark = match (times.is_empty(), from.as_slice()) {
        (true, _) => "none".to_owned(),
        (false, []) => times.join(", "),
        (false, [one]) => format!("{} from {one}", times.join(", ")),
        (false, many) => format!("{} from the least of {}", times.join(", "), many.join(", ")),
    };
    format!(
        "mode {mode}; watermark {watermark}; state {}",
        state(&node.state)
    )
}

fn state(rule: &StateRule) -> String {
    match rule {
        StateRule::None => "none".to_owned(),
        StateRule::Window => "until the watermark passes the window".to_owned(),
        StateRule::Fixed(what) => (*what).to_owned(),
        StateRule::Ttl(ttl) => format!("groups untouched for {} are forgotten", duration(*ttl)),
        StateRule::Unbounded => "unbounded, as the view says".to_owned(),
        StateRule::Input => "as large as its input".to_owned(),
    }
}
