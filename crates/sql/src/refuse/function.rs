//! What may stand in a call, and the windows of OVER.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::OnceLock;

use dataflow::{Error, Result};
use datafusion::execution::SessionStateDefaults;
use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, NullTreatment, WindowSpec,
    WindowType, visit_expressions,
};

use super::{absent, check_ident, check_order, unsupported};
use crate::location::{from_span, location_of};
use crate::name::fold_parts;

/// Functions that heed `IGNORE NULLS`.
const WITH_NULLS: [&str; 6] = [
    "first_value",
    "last_value",
    "nth_value",
    "lead",
    "lag",
    "array_agg",
];

/// Functions that exist over a window only.
const WINDOW_ONLY: [&str; 11] = [
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "nth_value",
];

/// One call, without its arguments.
pub(super) fn check_call(function: &Function) -> Result<()> {
    let Function {
        name,
        uses_odbc_syntax: _,
        parameters,
        args,
        filter,
        null_treatment,
        over,
        within_group,
    } = function;
    let at = location_of(name);
    let written = name.to_string();
    let folded = match name.0.as_slice() {
        [part] => part
            .as_ident()
            .map(|ident| fold_parts(&ident.value, ident.quote_style)),
        _ => None,
    };
    let folded = folded.unwrap_or_default();
    absent(
        *parameters != FunctionArguments::None,
        "a second list of arguments",
    )
    .map_err(|error| error.at(at))?;
    let list = match args {
        FunctionArguments::None => None,
        FunctionArguments::List(list) => Some(list),
        FunctionArguments::Subquery(_) => {
            return Err(Error::unsupported(format!("{written} (SELECT …)")).at(at));
        }
    };
    let given = Given {
        distinct: list
            .is_some_and(|list| list.duplicate_treatment == Some(DuplicateTreatment::Distinct)),
        ordered: list.is_some_and(|list| {
            list.clauses
                .iter()
                .any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)))
        }),
        filter: filter.is_some(),
        over: over.is_some(),
        within_group: !within_group.is_empty(),
        nulls: null_treatment.or(list.and_then(nulls_inside)),
    };
    given.check(&folded).map_err(|error| error.at(at))?;
    if let Some(list) = list {
        check_list(list, &written).map_err(|error| error.at(at))?;
    }
    check_order(within_group)?;
    match over {
        Some(WindowType::WindowSpec(spec)) => check_window(spec),
        Some(WindowType::NamedWindow(name)) => check_ident(name),
        None => Ok(()),
    }
}

/// Flink's older form of windows: functions in GROUP BY and in the select list.
const GROUP_WINDOWS: [&str; 5] = ["tumble", "hop", "session", "cumulate", "count_window"];

/// Refuses window functions outside FROM.
pub(super) fn refuse_group_window(call: &Function) -> Result<()> {
    let name = call.name.to_string().to_ascii_lowercase();
    let window = GROUP_WINDOWS.iter().find(|window| {
        name.strip_prefix(**window)
            .is_some_and(|rest| matches!(rest, "" | "_start" | "_end" | "_rowtime" | "_proctime"))
    });
    let Some(window) = window else {
        return Ok(());
    };
    let window = window.to_uppercase();
    let what = format!("{}() outside FROM", name.to_uppercase());
    Err(Error::unsupported(what)
        .at(location_of(&call.name))
        .hint(format!(
            "write FROM {window}(relation, time_column, …) and GROUP BY window_start, window_end"
        )))
}

/// What was written around the arguments of a call.
struct Given {
    distinct: bool,
    ordered: bool,
    filter: bool,
    over: bool,
    within_group: bool,
    nulls: Option<NullTreatment>,
}

impl Given {
    fn check(&self, name: &str) -> Result<()> {
        if is_scalar(name) {
            let clauses = [
                (self.distinct, "DISTINCT"),
                (self.ordered, "ORDER BY"),
                (self.filter, "FILTER"),
                (self.over, "OVER"),
                (self.within_group, "WITHIN GROUP"),
                (self.nulls.is_some(), "IGNORE NULLS or RESPECT NULLS"),
            ];
            for (there, clause) in clauses {
                let what = format!("{clause} with {name}, which is no aggregate function,");
                absent(there, &what)?;
            }
        }
        if WINDOW_ONLY.contains(&name) && self.over {
            absent(
                self.filter,
                &format!("FILTER with the window function {name}"),
            )?;
            absent(
                self.distinct,
                &format!("DISTINCT with the window function {name}"),
            )?;
        }
        match self.nulls {
            Some(treatment) if !WITH_NULLS.contains(&name) => {
                unsupported(format!("{treatment} with {name}"))
            }
            _ => Ok(()),
        }
    }
}

fn nulls_inside(list: &FunctionArgumentList) -> Option<NullTreatment> {
    list.clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::IgnoreOrRespectNulls(treatment) => Some(*treatment),
        _ => None,
    })
}

/// The value of an argument, which has no name or one before `=>`.
pub(super) fn argument(arg: &FunctionArg) -> Result<&FunctionArgExpr> {
    match arg {
        FunctionArg::Unnamed(value) => Ok(value),
        FunctionArg::Named {
            name,
            arg,
            operator: FunctionArgOperator::RightArrow,
        } => {
            check_ident(name)?;
            Ok(arg)
        }
        FunctionArg::Named {
            name,
            arg: _,
            operator: _,
        } => Err(Error::unsupported("a named argument without =>").at(from_span(name.span))),
        FunctionArg::ExprNamed {
            name,
            arg: _,
            operator: _,
        } => Err(Error::unsupported("an argument named by an expression").at(location_of(name))),
    }
}

fn check_list(list: &FunctionArgumentList, name: &str) -> Result<()> {
    let FunctionArgumentList {
        duplicate_treatment: _,
        args,
        clauses,
    } = list;
    for arg in args {
        let value = argument(arg)?;
        if let FunctionArgExpr::WildcardWithOptions(_) = value {
            return unsupported(format!("{name}(* …)"));
        }
    }
    for clause in clauses {
        match clause {
            FunctionArgumentClause::IgnoreOrRespectNulls(_) => {}
            FunctionArgumentClause::OrderBy(items) => check_order(items)?,
            FunctionArgumentClause::Limit(_) => {
                return unsupported(format!("LIMIT in a call of {name}"));
            }
            FunctionArgumentClause::OnOverflow(_) => {
                return unsupported(format!("ON OVERFLOW in a call of {name}"));
            }
            FunctionArgumentClause::Having(_) => {
                return unsupported(format!("HAVING in a call of {name}"));
            }
            FunctionArgumentClause::Separator(_) => {
                return unsupported(format!("SEPARATOR in a call of {name}"));
            }
            FunctionArgumentClause::JsonNullClause(_)
            | FunctionArgumentClause::JsonReturningClause(_) => {
                return unsupported(format!("a JSON clause in a call of {name}"));
            }
        }
    }
    Ok(())
}

/// The window of an OVER or a WINDOW clause.
pub(super) fn check_window(spec: &WindowSpec) -> Result<()> {
    let WindowSpec {
        window_name,
        partition_by: _,
        order_by,
        window_frame: _,
    } = spec;
    if let Some(name) = window_name {
        return Err(Error::unsupported("a window that extends a named one")
            .hint("write the whole window out")
            .at(from_span(name.span)));
    }
    check_order(order_by)
}

/// Refuses `OVER name` in a clause where DataFusion would forget the window: it knows named windows in the select list
/// only.
pub(super) fn refuse_named_windows(expr: &Expr) -> Result<()> {
    let found = visit_expressions(expr, |expr| match expr {
        Expr::Function(Function {
            over: Some(WindowType::NamedWindow(name)),
            ..
        }) => ControlFlow::Break(from_span(name.span)),
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(at) => Err(Error::unsupported(
            "OVER with a named window outside the select list",
        )
        .hint("write the window out")
        .at(at)),
    }
}

/// Whether DataFusion has a scalar function of this name: it drops DISTINCT, FILTER, OVER and the like from its calls.
fn is_scalar(name: &str) -> bool {
    static NAMES: OnceLock<HashSet<String>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let functions = SessionStateDefaults::default_scalar_functions();
        let names = functions.iter().flat_map(|function| {
            std::iter::once(function.name().to_owned()).chain(function.aliases().iter().cloned())
        });
        names.collect()
    });
    names.contains(name)
}
