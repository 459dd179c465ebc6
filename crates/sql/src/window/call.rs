//! A window function in FROM, read out of the syntax tree: `HOP(clicks, ts, slide, size)` and Flink's forms.

use dataflow::{Error, Location, Micros, Result, SqlState};
use plan::window::DAY;
use plan::{Window, WindowKind, Zone};
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Spanned,
    TableAlias, TableFactor, TableFunctionArgs, Value, ValueWithSpan,
};

use crate::dialect::ZONE_MARKER;
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
    /// `ends_when` of a session.
    pub ends_when: Option<Expr>,
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
        "TUMBLE" => &["data", "timecol", "size", "offset", "time_zone"],
        "HOP" => &["data", "timecol", "slide", "size", "offset", "time_zone"],
        "CUMULATE" => &["data", "timecol", "step", "size", "offset", "time_zone"],
        "SESSION" => &["data", "timecol", "gap", "max", "ends_when"],
        "COUNT_WINDOW" => {
            return Err(Error::unsupported(format!("{name} window"))
                .at(at)
                .hint("use TUMBLE, HOP, CUMULATE or SESSION"));
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
        ends_when: args.get("ends_when").cloned(),
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
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value))
                    if parameters.contains(&"time_zone") && zone_name(value).is_some() =>
                {
                    if found.iter().any(|(name, _)| *name == "time_zone") {
                        return Err(twice(function, "time_zone").at(location(arg)));
                    }
                    found.push(("time_zone", value));
                    continue;
                }
                FunctionArg::Unnamed(value) => {
                    // The time zone is named, or written out.
                    let most = parameters.iter().filter(|p| **p != "time_zone").count();
                    let too_many = || {
                        Error::new(
                            SqlState::SYNTAX_ERROR,
                            format!("{function} takes at most {most} arguments"),
                        )
                        .at(location(arg))
                        .hint(usage(function))
                    };
                    (*parameters[..most].get(i).ok_or_else(too_many)?, value)
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
                return Err(twice(function, parameter).at(location(arg)));
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
        if value > LONGEST {
            let message = format!(
                "{parameter} of {} must not be longer than 100 years",
                self.function
            );
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

fn twice(function: &str, parameter: &str) -> Error {
    let message = format!("argument {parameter} of {function} is given twice");
    Error::new(SqlState::SYNTAX_ERROR, message)
}

/// The name in `TIME ZONE 'name'`, which the dialect makes a call of its marker.
fn zone_name(expr: &Expr) -> Option<&Expr> {
    let Expr::Function(call) = expr else {
        return None;
    };
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(name))]
            if call.name.to_string() == ZONE_MARKER =>
        {
            Some(name)
        }
        _ => None,
    }
}

fn usage(function: &str) -> &'static str {
    match function {
        "TUMBLE" => "write TUMBLE(relation, time_column, INTERVAL '1 minute' [, offset])",
        "HOP" => "write HOP(relation, time_column, slide, size [, offset])",
        "CUMULATE" => "write CUMULATE(relation, time_column, step, size [, offset])",
        _ => {
            "write SESSION(relation PARTITION BY key, time_column, INTERVAL '15 minutes' [, max => …] [, ends_when => …])"
        }
    }
}

fn named(function: &str, parameters: &[&'static str], name: &Ident) -> Result<&'static str> {
    let wanted = name.value.to_ascii_lowercase();
    if let Some(parameter) = parameters.iter().find(|p| **p == wanted) {
        return Ok(parameter);
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
        "CUMULATE" => cumulate_of(args)?,
        _ => session_of(args)?,
    };
    let zone = zone_of(args, kind, offset)?;
    Ok(Window { kind, offset, zone })
}

fn session_of(args: &Arguments<'_>) -> Result<WindowKind> {
    let gap = args.positive("gap")?;
    let max = args.get("max").map(|_| args.positive("max"));
    let max = max.transpose()?;
    Ok(WindowKind::Session { gap, max })
}

fn cumulate_of(args: &Arguments<'_>) -> Result<WindowKind> {
    let (step, size) = (args.positive("step")?, args.positive("size")?);
    let at = location(args.require("step")?);
    if step > size {
        let message = "the step of CUMULATE is longer than its size";
        return Err(Error::new(SqlState::INVALID_PARAMETER, message)
            .at(at)
            .hint("the step comes before the size; they look swapped"));
    }
    if size % step != 0 {
        let message = "the size of CUMULATE must be a multiple of its step";
        return Err(Error::new(SqlState::INVALID_PARAMETER, message).at(at));
    }
    if size / step > MAX_OVERLAP {
        let message = format!(
            "CUMULATE puts a row in up to {} windows; the limit is {MAX_OVERLAP}",
            size / step
        );
        return Err(Error::new(SqlState::PROGRAM_LIMIT, message).at(at));
    }
    Ok(WindowKind::Cumulate { step, size })
}

/// The time zone of windows of whole days.
fn zone_of(args: &Arguments<'_>, kind: WindowKind, offset: Micros) -> Result<Option<Zone>> {
    let Some(expr) = args.get("time_zone") else {
        return Ok(None);
    };
    let name = zone_name(expr).unwrap_or(expr);
    let Expr::Value(ValueWithSpan {
        value: Value::SingleQuotedString(text),
        ..
    }) = name
    else {
        let message = "the time zone of a window is a string";
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(location(name)));
    };
    let lengths = match kind {
        WindowKind::Tumble { size } => [size, size],
        WindowKind::Hop { slide, size } => [slide, size],
        WindowKind::Cumulate { step, size } => [step, size],
        WindowKind::Session { .. } => [DAY, DAY],
    };
    if lengths.iter().any(|length| length % DAY != 0) {
        return Err(Error::unsupported(format!(
            "a time zone for windows of {} that are not whole days",
            args.function
        ))
        .at(location(name))
        .hint(
            "shorter windows are the same in zones that differ by whole windows; use the offset",
        ));
    }
    if offset.abs() >= DAY {
        let message = "with a time zone the offset must be less than a day";
        return Err(Error::new(SqlState::INVALID_PARAMETER, message)
            .at(args.get("offset").and_then(location)));
    }
    match Zone::named(text) {
        Some(zone) => Ok(Some(zone)),
        None => {
            let message = format!("time zone \"{text}\" not recognized");
            Err(Error::new(SqlState::INVALID_PARAMETER, message)
                .at(location(name))
                .hint("names are those of the IANA database, such as 'Europe/Berlin'"))
        }
    }
}

/// The longest window, pause or slide.
const LONGEST: Micros = 36_525 * DAY;

/// Most windows that one row may belong to.
const MAX_OVERLAP: Micros = 10_000;

/// A relation of a FROM clause: a name, or a call when there are `args`.
pub(super) fn table_factor(
    name: ObjectName,
    args: Option<TableFunctionArgs>,
    alias: Option<TableAlias>,
) -> TableFactor {
    TableFactor::Table {
        name,
        alias,
        args,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}
