//! What may stand in FROM.

use dataflow::{Error, Result};
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Join, JoinConstraint, JoinOperator, TableAlias,
    TableFactor, TableFunctionArgs, TableVersion, TableWithJoins,
};

use super::function::argument;
use super::{
    MAX_RELATIONS, TOO_COMPLEX, absent, check_ident, check_name, check_start, unsupported,
};
use crate::location::{from_span, location_of};

/// The relations of one FROM and how they are joined.
pub(super) fn check_from(from: &[TableWithJoins]) -> Result<()> {
    let relations: usize = from.iter().map(|table| 1 + table.joins.len()).sum();
    if relations > MAX_RELATIONS {
        return Err(Error::new(
            TOO_COMPLEX,
            format!("FROM lists more than {MAX_RELATIONS} relations"),
        ));
    }
    from.iter().try_for_each(check_joins)
}

fn check_joins(table: &TableWithJoins) -> Result<()> {
    let TableWithJoins { relation: _, joins } = table;
    joins.iter().try_for_each(|join| {
        check_join(join).map_err(|error| error.at(location_of(&join.relation)))
    })
}

fn check_join(join: &Join) -> Result<()> {
    let Join {
        relation: _,
        global,
        join_operator,
    } = join;
    absent(*global, "GLOBAL JOIN")?;
    match join_operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint) => check_constraint(constraint),
        JoinOperator::CrossJoin(JoinConstraint::None) => Ok(()),
        JoinOperator::CrossJoin(_) => unsupported("CROSS JOIN with a condition"),
        JoinOperator::Semi(_) => {
            Err(Error::unsupported("SEMI JOIN").hint("use LEFT SEMI JOIN, or WHERE EXISTS (…)"))
        }
        JoinOperator::Anti(_) => {
            Err(Error::unsupported("ANTI JOIN").hint("use LEFT ANTI JOIN, or WHERE NOT EXISTS (…)"))
        }
        JoinOperator::CrossApply => {
            Err(Error::unsupported("CROSS APPLY").hint("use CROSS JOIN LATERAL"))
        }
        JoinOperator::OuterApply => {
            Err(Error::unsupported("OUTER APPLY").hint("use LEFT JOIN LATERAL … ON true"))
        }
        JoinOperator::AsOf {
            match_condition: _,
            constraint: _,
        } => unsupported("ASOF JOIN"),
        JoinOperator::StraightJoin(_) => unsupported("STRAIGHT_JOIN"),
        JoinOperator::ArrayJoin | JoinOperator::LeftArrayJoin | JoinOperator::InnerArrayJoin => {
            unsupported("ARRAY JOIN")
        }
    }
}

fn check_constraint(constraint: &JoinConstraint) -> Result<()> {
    match constraint {
        JoinConstraint::On(_) | JoinConstraint::Natural => Ok(()),
        JoinConstraint::Using(columns) => columns.iter().try_for_each(check_name),
        JoinConstraint::None => {
            Err(Error::unsupported("JOIN without ON or USING").hint("CROSS JOIN joins every pair"))
        }
    }
}

/// One relation.
pub(super) fn check_factor(factor: &TableFactor) -> Result<()> {
    match factor {
        TableFactor::Table { .. } => check_table(factor),
        TableFactor::Derived {
            lateral: _,
            subquery: _,
            alias,
            sample,
        } => {
            absent(sample.is_some(), "TABLESAMPLE")?;
            check_alias(alias.as_ref())
        }
        TableFactor::TableFunction { expr, alias } => {
            if !matches!(expr, Expr::Function(_)) {
                return unsupported("TABLE (…) around anything but a function");
            }
            check_alias(alias.as_ref())
        }
        TableFactor::Function {
            lateral: _,
            name,
            args,
            with_ordinality,
            alias,
        } => {
            absent(*with_ordinality, "WITH ORDINALITY")
                .map_err(|error| error.at(location_of(name)))?;
            if args
                .iter()
                .any(|arg| !matches!(arg, FunctionArg::Unnamed(_)))
            {
                return Err(Error::unsupported("LATERAL function with named arguments")
                    .at(location_of(name)));
            }
            check_alias(alias.as_ref())
        }
        TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset,
            with_offset_alias,
            with_ordinality,
        } => {
            let at = array_exprs.first().and_then(location_of);
            absent(*with_ordinality, "WITH ORDINALITY").map_err(|error| error.at(at))?;
            let offset = *with_offset || with_offset_alias.is_some();
            absent(offset, "WITH OFFSET").map_err(|error| error.at(at))?;
            check_alias(alias.as_ref())
        }
        TableFactor::NestedJoin {
            table_with_joins,
            alias,
        } => {
            check_joins(table_with_joins)?;
            check_alias(alias.as_ref())
        }
        other => Err(refuse_construct(other)),
    }
}

/// A named relation or a call of a table function.
fn check_table(factor: &TableFactor) -> Result<()> {
    let TableFactor::Table {
        name: _,
        alias,
        args,
        with_hints,
        version,
        with_ordinality,
        partitions,
        json_path,
        sample,
        index_hints,
    } = factor
    else {
        return Ok(());
    };
    let at = with_hints.first().and_then(location_of);
    absent(!with_hints.is_empty(), "WITH (…) behind a relation").map_err(|error| error.at(at))?;
    if let Some(version) = version {
        return Err(refuse_version(version));
    }
    absent(*with_ordinality, "WITH ORDINALITY")?;
    absent(!partitions.is_empty(), "PARTITION (…) behind a relation")?;
    absent(json_path.is_some(), "a path behind a relation")?;
    absent(sample.is_some(), "TABLESAMPLE")?;
    absent(!index_hints.is_empty(), "index hints")?;
    if let Some(TableFunctionArgs { args, settings }) = args {
        absent(settings.is_some(), "SETTINGS")?;
        check_arguments(args)?;
    }
    check_alias(alias.as_ref())
}

/// Refuses a relation of a kind that clickmill does not have.
fn refuse_construct(factor: &TableFactor) -> Error {
    let (name, at) = match factor {
        TableFactor::JsonTable { json_expr, .. } => ("JSON_TABLE", location_of(json_expr)),
        TableFactor::OpenJsonTable { json_expr, .. } => ("OPENJSON", location_of(json_expr)),
        TableFactor::XmlTable { row_expression, .. } => ("XMLTABLE", location_of(row_expression)),
        TableFactor::Pivot { .. } => ("PIVOT", None),
        TableFactor::Unpivot { .. } => ("UNPIVOT", None),
        TableFactor::MatchRecognize { .. } => ("MATCH_RECOGNIZE", None),
        TableFactor::SemanticView { .. } => ("SEMANTIC_VIEW", None),
        _ => ("this relation", None),
    };
    Error::unsupported(name).at(at)
}

fn refuse_version(version: &TableVersion) -> Error {
    let (what, at) = match version {
        TableVersion::ForSystemTimeAsOf(expr) => ("FOR SYSTEM_TIME AS OF", location_of(expr)),
        TableVersion::TimestampAsOf(expr) => ("TIMESTAMP AS OF", location_of(expr)),
        TableVersion::VersionAsOf(expr) => ("VERSION AS OF", location_of(expr)),
        TableVersion::Function(_) => ("AT and BEFORE behind a relation", None),
        TableVersion::Changes { .. } => ("CHANGES behind a relation", None),
    };
    Error::unsupported(what).at(at)
}

fn check_arguments(args: &[FunctionArg]) -> Result<()> {
    for arg in args {
        if !matches!(argument(arg)?, FunctionArgExpr::Expr(_)) {
            return unsupported("* as an argument of a relation");
        }
    }
    Ok(())
}

/// An alias and its columns.
pub(super) fn check_alias(alias: Option<&TableAlias>) -> Result<()> {
    let Some(TableAlias {
        explicit: _,
        name,
        columns,
        at,
    }) = alias
    else {
        return Ok(());
    };
    check_start(name)?;
    for column in columns {
        check_ident(&column.name)?;
        let result = absent(
            column.data_type.is_some(),
            "a type in a list of column aliases",
        );
        result.map_err(|error| error.at(from_span(column.name.span)))?;
    }
    absent(at.is_some(), "AT behind an alias").map_err(|error| error.at(from_span(name.span)))
}
