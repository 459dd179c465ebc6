//! Tables as arguments, EMIT behind a query, and names of arguments.

use sqlparser::ast::{Query, SetExpr, TableFactor};

use super::*;

/// Parses a query; gives it and the tokens that it left.
fn parse(text: &str) -> (Box<Query>, String) {
    let dialect = ClickmillDialect::default();
    let mut parser = Parser::new(&dialect).try_with_sql(text).unwrap();
    let query = parser
        .parse_query()
        .unwrap_or_else(|e| panic!("{text}: {e}"));
    let mut rest = Vec::new();
    while parser.peek_token_ref().token != Token::EOF {
        rest.push(parser.next_token().token.to_string());
    }
    (query, rest.join(" "))
}

/// The first relation's arguments: `name` or `name =>` in front of tables as `table[keys]`.
fn arguments(text: &str) -> Vec<String> {
    let (query, rest) = parse(text);
    assert_eq!(rest, "", "{text}");
    let SetExpr::Select(select) = *query.body else {
        panic!("not a SELECT")
    };
    let args = match &select.from[0].relation {
        TableFactor::Table {
            args: Some(args), ..
        } => args.args.clone(),
        TableFactor::TableFunction {
            expr: Expr::Function(function),
            ..
        } => match &function.args {
            FunctionArguments::List(list) => list.args.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    args.iter()
        .map(|arg| {
            let (name, expr) = match arg {
                FunctionArg::Named {
                    name,
                    arg: FunctionArgExpr::Expr(expr),
                    ..
                } => (format!("{name} => "), expr),
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => (String::new(), expr),
                other => panic!("{other:?}"),
            };
            match table_argument(expr) {
                Some(table) => {
                    let keys: Vec<String> =
                        table.partition_by.iter().map(ToString::to_string).collect();
                    format!("{name}{}[{}]", table.name, keys.join(" "))
                }
                None => format!("{name}{expr}"),
            }
        })
        .collect()
}

#[test]
fn tables_as_arguments() {
    let minute = "INTERVAL '1' MINUTE";
    let cases: &[(&str, &[&str])] = &[
        (
            "TUMBLE(clicks, ts, INTERVAL '1' MINUTE)",
            &["clicks", "ts", minute],
        ),
        (
            "TABLE(SESSION(TABLE clicks PARTITION BY (user_id, page), DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
            &["clicks[user_id page]", "DESCRIPTOR(ts)", minute],
        ),
        (
            "TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) AS t",
            &["clicks[]", "DESCRIPTOR(ts)", minute],
        ),
        (
            "TUMBLE(TABLE db.clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE)",
            &["db.clicks[]", "DESCRIPTOR(ts)", minute],
        ),
        (
            "SESSION(clicks PARTITION BY user_id, ts, INTERVAL '1' MINUTE)",
            &["clicks[user_id]", "ts", minute],
        ),
        (
            "SESSION(a.clicks PARTITION BY user_id, shop, ts, INTERVAL '1' MINUTE)",
            &["a.clicks[user_id shop]", "ts", minute],
        ),
        (
            "SESSION(clicks PARTITION BY lower(a, b), ts, INTERVAL '1' MINUTE, max => INTERVAL '1' MINUTE)",
            &[
                "clicks[lower(a, b)]",
                "ts",
                minute,
                "max => INTERVAL '1' MINUTE",
            ],
        ),
        (
            "TABLE(SESSION(TABLE clicks PARTITION BY user_id, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
            &["clicks[user_id]", "DESCRIPTOR(ts)", minute],
        ),
        (
            "SESSION(TABLE clicks PARTITION BY user_id, shop, DESCRIPTOR(ts), INTERVAL '1' MINUTE)",
            &["clicks[user_id shop]", "DESCRIPTOR(ts)", minute],
        ),
        (
            "SESSION(DATA => TABLE clicks PARTITION BY user_id, TIMECOL => DESCRIPTOR(ts), GAP => 1)",
            &[
                "DATA => clicks[user_id]",
                "TIMECOL => DESCRIPTOR(ts)",
                "GAP => 1",
            ],
        ),
        (
            "SESSION(GAP => 1, DATA => clicks PARTITION BY a, b)",
            &["GAP => 1", "DATA => clicks[a b]"],
        ),
        (
            "HOP(DATA => TABLE clicks, TIMECOL => DESCRIPTOR(ts), SLIDE => 1, SIZE => 5)",
            &[
                "DATA => clicks[]",
                "TIMECOL => DESCRIPTOR(ts)",
                "SLIDE => 1",
                "SIZE => 5",
            ],
        ),
        (
            "SESSION(\"Clicks\" PARTITION BY \"User\", ts, 1)",
            &["\"Clicks\"[\"User\"]", "ts", "1"],
        ),
    ];
    for (relation, expected) in cases {
        assert_eq!(
            &arguments(&format!("SELECT * FROM {relation}")),
            expected,
            "{relation}"
        );
    }
}

#[test]
fn emit_is_left_over() {
    let cases = [
        ("SELECT a, count(*) FROM t EMIT CHANGES", "EMIT CHANGES"),
        ("SELECT a FROM t AS x EMIT CHANGES", "EMIT CHANGES"),
        ("SELECT a FROM t x EMIT FINAL", "EMIT FINAL"),
        (
            "SELECT a, count(*) c FROM t GROUP BY a emit ON WINDOW CLOSE",
            "emit ON WINDOW CLOSE",
        ),
        ("SELECT a FROM t WHERE a > 1 EMIT CHANGES", "EMIT CHANGES"),
        (
            "SELECT a FROM t JOIN u ON t.a = u.a EMIT CHANGES",
            "EMIT CHANGES",
        ),
        ("SELECT a FROM (SELECT 1) EMIT CHANGES", "EMIT CHANGES"),
        (
            "SELECT a FROM TUMBLE(t, ts, INTERVAL '1' MINUTE) EMIT CHANGES",
            "EMIT CHANGES",
        ),
        ("SELECT 1 EMIT CHANGES", "EMIT CHANGES"),
        ("SELECT emit FROM t", ""),
        ("SELECT t.emit AS emit FROM t AS emit", ""),
        (
            "SELECT a FROM t ALLOW LATENESS INTERVAL '1' MINUTE",
            "ALLOW LATENESS INTERVAL '1' MINUTE",
        ),
        ("SELECT a FROM t allow", ""),
        (
            "SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM t",
            "",
        ),
    ];
    for (text, rest) in cases {
        assert_eq!(parse(text).1, rest, "{text}");
    }
}
