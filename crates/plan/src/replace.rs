//! What a view whose query is replaced can keep of its state.

use std::sync::Arc;

use datafusion::logical_expr::Expr;

use crate::node::{Node, Op};

/// Why a view has to be made again from its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// What the operators hold is something else.
    State,
    /// The rows that are there do not have all that the operators gave, and those cannot be had again.
    Rows,
}

/// A plan as what comes last, projections and filters, the lowest first, and what is below them. State is below only.
#[derive(Debug)]
pub struct Split<'a> {
    /// Projections and filters.
    pub last: Vec<&'a Node>,
    /// The rest.
    pub below: &'a Node,
}

impl<'a> Split<'a> {
    /// Of a plan.
    pub fn of(node: &'a Node) -> Self {
        let (mut last, mut below) = (Vec::new(), node);
        while let (Op::Calc { .. }, [input]) = (&below.op, below.inputs.as_slice()) {
            last.insert(0, below);
            below = input;
        }
        Self { last, below }
    }

    /// Which columns of what is below are asked for.
    fn needed(&self) -> Vec<bool> {
        let schema = &self.below.schema;
        let mut needed = vec![false; schema.fields().len()];
        for node in &self.last {
            let Op::Calc { filter, exprs } = &node.op else {
                continue;
            };
            for expr in filter.iter().chain(exprs.iter().flatten()) {
                for column in expr.column_refs() {
                    if let Some(at) = schema.maybe_index_of_column(column) {
                        needed[at] = true;
                    }
                }
            }
            if exprs.is_some() {
                return needed;
            }
        }
        // Nothing is left out.
        vec![true; needed.len()]
    }

    /// The column of the rows that is column `at` of what is below.
    fn shown_as(&self, at: usize) -> Option<usize> {
        let mut input = self.below;
        let mut at = at;
        for node in &self.last {
            if let Op::Calc {
                exprs: Some(exprs), ..
            } = &node.op
            {
                let is_it = |expr: &Expr| match plain(expr) {
                    Expr::Column(column) => input.schema.maybe_index_of_column(column) == Some(at),
                    _ => false,
                };
                at = exprs.iter().position(is_it)?;
            }
            input = node;
        }
        Some(at)
    }

    /// Whether rows are left out.
    fn filters(&self) -> bool {
        let filters = |node: &&Node| {
            matches!(
                node.op,
                Op::Calc {
                    filter: Some(_),
                    ..
                }
            )
        };
        self.last.iter().any(filters)
    }
}

/// For each column that the operators below the last projections give, the column of the old rows that has it, or none for one that
/// the new query does not ask for. With them the new rows are made, while the operators go on.
///
/// # Errors
/// When the operators are others, or when rows or columns of theirs were left out.
pub fn kept(old: &Node, new: &Node) -> Result<Vec<Option<usize>>, Rebuilt> {
    let (old, new) = (Split::of(old), Split::of(new));
    if !is_same(old.below, new.below) {
        return Err(Rebuilt::State);
    }
    if old.filters() {
        return Err(Rebuilt::Rows);
    }
    let columns = new.needed().into_iter().enumerate();
    columns
        .map(|(at, needed)| match needed {
            true => old.shown_as(at).map(Some).ok_or(Rebuilt::Rows),
            false => Ok(None),
        })
        .collect()
}

/// What an expression is called does not matter.
fn plain(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => plain(&alias.expr),
        other => other,
    }
}

/// Whether two plans hold the same state and give the same rows; what their columns are called does not matter.
fn is_same(a: &Node, b: &Node) -> bool {
    let types = |node: &Node| {
        let fields = node.schema.fields().iter();
        fields
            .map(|field| field.data_type().clone())
            .collect::<Vec<_>>()
    };
    types(a) == types(b) && a.op == b.op && a.inputs == b.inputs && a.mode == b.mode
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op
            && self.mode == other.mode
            && self.state == other.state
            && self.schema == other.schema
            && (self.inputs.len() == other.inputs.len())
            && (self.inputs.iter().zip(&other.inputs)).all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
    }
}
