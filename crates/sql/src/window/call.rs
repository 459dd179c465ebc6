//! A window function in FROM, read out of the syntax tree: `HOP(clicks, ts, slide, size)` and Flink's forms.

use dataflow::{Error, Location, Micros, Result, SqlState};
use plan::{Window, WindowKind};
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Spanned,
    TableFactor,
};

use crate::interval::interval_micros;

/// Name of the marker function that the dialect makes of `TABLE x PARTITION BY …`.
pub const TABLE_MARKER: &str = "__table";

/// What a window function reads.
#[derive(Clone, Debug)]
pub enum Input {
    /// A named relation.
    Named(ObjectName),
    /// A subquery.
    Query(Box<Query>),
}

/// A window function call.
#[derive(Clone, Debug)]
pub struct WindowCall {
    /// What it reads.
    pub input: Input,
    /// `PARTITION BY` of a session.
    pub partition: Vec<Expr>,
    /// The event-time column.
    pub time: Ident,
    /// The window.
    pub window: Window,
    /// Where the function's name stands.
    pub location: Option<Location>,
}

/// The place where a piece of syntax begins.
pub fn location(of: &impl Spanned) -> Option<Location> {
    let start = of.span().start;
    (start.line > 0).then_some(Location {
        line: start.line,
        column: start.column,
    })
}

/// The place where an identifier begins.
pub fn ident_location(of: &Ident) -> Option<Location> {
    let start = of.span.start;
    (start.line > 0).then_some(Location {
        line: start.line,
        column: start.column,
    })
}

/// Name, arguments and place of a table factor that is a function call.
pub fn function_of(factor: &TableFactor) -> Option<(String, &[FunctionArg], Option<Location>)> {
    let (name, args) = match factor {
        TableFactor::Table {
            name,
            args: Some(args),
            ..
        } => (name, args.args.as_slice()),
        TableFactor::TableFunction {
            expr: Expr::Function(call),
            ..
        } => match &call.args {
            FunctionArguments::List(list) => (&call.name, list.args.as_slice()),
            _ => return None,
        },
        TableFactor::Function { name, args, .. } => (name, args.as_slice()),
        _ => return None,
    };
    let ident = name.0.last()?.as_ident()?;
    Some((ident.value.to_ascii_uppercase(), args, location(name)))
}

/// Reads a window function; `None` when the table factor is something else.
pub fn window_call(factor: &TableFactor) -> Result<Option<WindowCall>> {
    let Some((name, args, at)) = function_of(factor) else {
        return Ok(None);
    };
    let parameters: &[&'static str] = match name.as_str() {
        "TUMBLE" => &["data", "timecol", "size", "offset"],
        "HOP" => &["data", "timecol", "slide", "size", "offset"],
        "SESSION" => &["data", "timecol", "gap"],
        "CUMULATE" | "COUNT_WINDOW" => {
            return Err(Error::unsupported(format!("{name} window"))
                .at(at)
                .hint("use TUMBLE, HOP or SESSION"));
        }
        _ => return Ok(None),
    };
    let args = Arguments::read(&name, parameters, args, at)?;
    let (input, partition) = input_of(args.require("data")?)?;
    let time = time_of(args.require("timecol")?)?;
    let window = window_of(&name, &args)?;
    if !partition.is_empty() && !matches!(window.kind, WindowKind::Session { .. }) {
        let message = format!("PARTITION BY in {name}");
        return Err(Error::unsupported(message)
            .at(location(&partition[0]))
            .hint("group by the key instead"));
    }
    Ok(Some(WindowCall {
        input,
        partition,
        time,
        window,
        location: at,
    }))
}

/// Arguments by parameter name.
struct Arguments<'a> {
    function: &'a str,
    found: Vec<(&'static str, &'a Expr)>,
    at: Option<Location>,
}

impl<'a> Arguments<'a> {
    fn read(
        function: &'a str,
        parameters: &[&'static str],
        args: &'a [FunctionArg],
        at: Option<Location>,
    ) -> Result<Self> {
        let mut found: Vec<(&'static str, &'a Expr)> = Vec::new();
        for (i, arg) in args.iter().enumerate() {
            let (parameter, value) = match arg {
                FunctionArg::Unnamed(value) => {
                    let too_many = || {
                        Error::new(
                            SqlState::SYNTAX_ERROR,
                            format!("{function} takes at most {} arguments", parameters.len()),
                        )
                        .at(location(arg))
                        .hint(usage(function))
                    };
                    (*parameters.get(i).ok_or_else(too_many)?, value)
                }
                FunctionArg::Named { name, arg, .. } => (named(function, parameters, name)?, arg),
                FunctionArg::ExprNamed {
                    name: Expr::Identifier(name),
                    arg,
                    ..
                } => (named(function, parameters, name)?, arg),
                FunctionArg::ExprNamed { .. } => {
                    return Err(Error::unsupported("a computed argument name").at(location(arg)));
                }
            };
            let FunctionArgExpr::Expr(value) = value else {
                return Err(
                    Error::new(SqlState::SYNTAX_ERROR, format!("{function} takes no *"))
                        .at(location(arg)),
                );
            };
            if found.iter().any(|(name, _)| *name == parameter) {
                let message = format!("argument {parameter} of {function} is given twice");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(location(arg)));
            }
            found.push((parameter, value));
        }
        Ok(Self {
            function,
            found,
            at,
        })
    }

    fn get(&self, parameter: &str) -> Option<&'a Expr> {
        self.found
            .iter()
            .find(|(name, _)| *name == parameter)
            .map(|(_, value)| *value)
    }

    fn require(&self, parameter: &str) -> Result<&'a Expr> {
        self.get(parameter).ok_or_else(|| {
            let message = format!("argument {parameter} of {} is missing", self.function);
            Error::new(SqlState::SYNTAX_ERROR, message)
                .at(self.at)
                .hint(usage(self.function))
        })
    }

    fn positive(&self, parameter: &str) -> Result<Micros> {
        let expr = self.require(parameter)?;
        let value = interval_micros(expr)?;
        if value <= 0 {
            let message = format!("{parameter} of {} must be above zero", self.function);
            return Err(Error::new(SqlState::INVALID_PARAMETER, message).at(location(expr)));
        }
        if value % dataflow::time::MILLI != 0 {
            let message = format!(
                "{parameter} of {} must be a whole number of milliseconds",
                self.function
            );
            return Err(Error::new(SqlState::INVALID_PARAMETER, message).at(location(expr)));
        }
        Ok(value)
    }
}

fn usage(function: &str) -> &'static str {
    match function {
        "TUMBLE" => "write TUMBLE(relation, time_column, INTERVAL '1 minute' [, offset])",
        "HOP" => "write HOP(relation, time_column, slide, size [, offset])",
        _ => "write SESSION(relation PARTITION BY key, time_column, INTERVAL '15 minutes')",
    }
}

fn named(function: &str, parameters: &[&'static str], name: &Ident) -> Result<&'static str> {
    let wanted = name.value.to_ascii_lowercase();
    if let Some(parameter) = parameters.iter().find(|p| **p == wanted) {
        return Ok(parameter);
    }
    if matches!(wanted.as_str(), "max" | "ends_when") && function == "SESSION" {
        return Err(
            Error::unsupported(format!("argument {wanted} of SESSION")).at(ident_location(name))
        );
    }
    let message = format!("{function} has no argument \"{}\"", name.value);
    Err(Error::new(SqlState::SYNTAX_ERROR, message)
        .at(ident_location(name))
        .hint(format!("arguments: {}", parameters.join(", "))))
}

fn input_of(expr: &Expr) -> Result<(Input, Vec<Expr>)> {
    match expr {
        Expr::Identifier(name) => Ok((
            Input::Named(ObjectName::from(vec![name.clone()])),
            Vec::new(),
        )),
        Expr::CompoundIdentifier(parts) => {
            Ok((Input::Named(ObjectName::from(parts.clone())), Vec::new()))
        }
        Expr::Subquery(query) => Ok((Input::Query(query.clone()), Vec::new())),
        Expr::Nested(inner) => input_of(inner),
        Expr::Function(call) if call.name.to_string() == TABLE_MARKER => {
            let FunctionArguments::List(list) = &call.args else {
                return Err(Error::internal("the table marker has no arguments"));
            };
            let mut exprs = list.args.iter().filter_map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            });
            let first = exprs
                .next()
                .ok_or_else(|| Error::internal("the table marker is empty"))?;
            let (input, _) = input_of(&first)?;
            Ok((input, exprs.collect()))
        }
        other => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "the first argument of a window function is a relation",
        )
        .at(location(other))
        .hint("name a source, table or view, or put a subquery in parentheses")),
    }
}

fn time_of(expr: &Expr) -> Result<Ident> {
    match expr {
        Expr::Identifier(name) => Ok(name.clone()),
        Expr::CompoundIdentifier(parts) => parts
            .last()
            .cloned()
            .ok_or_else(|| Error::internal("an empty compound name")),
        Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("descriptor") => {
            match &call.args {
                FunctionArguments::List(list) => match list.args.as_slice() {
                    [FunctionArg::Unnamed(FunctionArgExpr::Expr(inner))] => time_of(inner),
                    _ => Err(
                        Error::new(SqlState::SYNTAX_ERROR, "DESCRIPTOR takes one column")
                            .at(location(expr)),
                    ),
                },
                _ => Err(
                    Error::new(SqlState::SYNTAX_ERROR, "DESCRIPTOR takes one column")
                        .at(location(expr)),
                ),
            }
        }
        other => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "the time argument of a window function is a column",
        )
        .at(location(other))),
    }
}

fn window_of(function: &str, args: &Arguments<'_>) -> Result<Window> {
    let offset = match args.get("offset") {
        Some(expr) => interval_micros(expr)?,
        None => 0,
    };
    let kind = match function {
        "TUMBLE" => WindowKind::Tumble {
            size: args.positive("size")?,
        },
        "HOP" => {
            let (slide, size) = (args.positive("slide")?, args.positive("size")?);
            if slide > size {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER,
                    "the slide of HOP is longer than its size",
                )
                .at(location(args.require("slide")?))
                .hint("the slide comes before the size; they look swapped"));
            }
            if size / slide > MAX_OVERLAP {
                let message = format!(
                    "HOP puts a row in {} windows; the limit is {MAX_OVERLAP}",
                    size / slide
                );
                return Err(Error::new(SqlState::PROGRAM_LIMIT, message)
                    .at(location(args.require("slide")?)));
            }
            WindowKind::Hop { slide, size }
        }
        _ => WindowKind::Session {
            gap: args.positive("gap")?,
        },
    };
    Ok(Window { kind, offset })
}

/// Most windows that one row may belong to.
const MAX_OVERLAP: Micros = 10_000;
