//! What the rewriter makes of single statements.

use sqlparser::ast::Statement;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use super::{is_catalog_query, rewrite};

/// The text of a rewritten query.
fn rewritten(sql: &str) -> String {
    let statements =
        Parser::parse_sql(&GenericDialect {}, sql).expect("the test's statement is SQL");
    let Some(Statement::Query(mut query)) = statements.into_iter().next() else {
        unreachable!("the test's statement is a query");
    };
    rewrite(&mut query);
    query.to_string()
}

#[test]
fn other_queries_stay_as_they_are() {
    for sql in [
        "SELECT count(*), count(*) FROM page_views",
        "SELECT a::TEXT FROM t WHERE b = '{0}'",
        "SELECT lower(x)",
    ] {
        assert_eq!(rewritten(sql), sql);
    }
}

#[test]
fn catalog_queries_are_known() {
    let known = |sql: &str| {
        let statements =
            Parser::parse_sql(&GenericDialect {}, sql).expect("the test's statement is SQL");
        matches!(&statements[0], Statement::Query(query) if is_catalog_query(query))
    };
    for sql in [
        "SELECT 1 FROM pg_class",
        "SELECT 1 FROM information_schema.tables",
        "SELECT version()",
        "SELECT current_schema",
        "SELECT current_user",
        "SELECT 'a'::regclass",
        "SELECT 1::pg_catalog.int4",
        "SELECT pg_catalog.lower('A')",
        "SELECT (SELECT 1 WHERE EXISTS (SELECT 1 FROM pg_type))",
        "SELECT 1 FROM pg_stat_activity",
    ] {
        assert!(known(sql), "{sql}");
    }
    assert!(!known("SELECT \"current_schema\" FROM t"));
}

#[test]
fn names_are_those_of_postgres() {
    for (sql, names) in [
        ("SELECT version()", "version"),
        (
            "SELECT pg_catalog.version(), version()",
            "version \"version\u{1}1\"",
        ),
        (
            "SELECT NULL, NULL FROM pg_class",
            "\"?column?\" \"?column?\u{1}1\"",
        ),
        ("SELECT oid::regclass FROM pg_class", "oid"),
        ("SELECT '1'::regclass", "regclass"),
        ("SELECT CASE WHEN oid = 0 THEN '' END FROM pg_class", "case"),
        ("SELECT ARRAY(SELECT 1 FROM pg_class)", "array"),
        ("SELECT (SELECT relname FROM pg_class)", "relname"),
        ("SELECT EXISTS (SELECT 1 FROM pg_class)", "exists"),
        (
            "SELECT trim(trailing ';' from relname) FROM pg_class",
            "rtrim",
        ),
    ] {
        let text = rewritten(sql);
        for name in names.split(' ') {
            let quoted = if name.starts_with('"') {
                name.to_owned()
            } else {
                format!("\"{name}\"")
            };
            assert!(
                text.contains(&format!("AS {quoted}")),
                "{text} has no {quoted}"
            );
        }
    }
}

#[test]
fn forms_of_postgres_become_forms_of_datafusion() {
    for (sql, part) in [
        ("SELECT 1 FROM pg_class c", "FROM pg_catalog.pg_class"),
        (
            "WITH pg_class AS (SELECT 1) SELECT pg_catalog.lower('') FROM pg_class",
            "lower('') AS \"lower\" FROM pg_class",
        ),
        (
            "SELECT 1 FROM pg_class WHERE relname OPERATOR(pg_catalog.~) '^a$' COLLATE pg_catalog.default",
            "relname ~ '^a$'",
        ),
        (
            "SELECT 1 FROM pg_class WHERE oid = 'a'::regclass",
            "oid = __regclass_oid('a')",
        ),
        (
            "SELECT oid::regclass::text FROM pg_class",
            "__regclass_text(oid) AS",
        ),
        (
            "SELECT 'a'::pg_catalog.regclass::pg_catalog.oid",
            "__regclass_oid('a')::INTEGER UNSIGNED",
        ),
        (
            "SELECT 1 FROM pg_class WHERE relkind = ANY ('{r,p,\"\"}')",
            "ANY(ARRAY['r', 'p', ''])",
        ),
        (
            "SELECT 1 FROM pg_class WHERE relkind <> ALL ('{a,b}'::text[])",
            "ALL(ARRAY['a', 'b'])",
        ),
        (
            "SELECT polroles = '{0}' FROM pg_policy",
            "__array_text(polroles) = '{0}'",
        ),
        (
            "SELECT 1 FROM pg_class WHERE relname LIKE 'pg/_' || '%' ESCAPE '/'",
            "LIKE 'pg\\_%'",
        ),
        (
            "SELECT ARRAY(SELECT rolname FROM pg_roles ORDER BY 1)",
            "__array_or_empty((SELECT array_agg(rolname ORDER BY rolname) AS \"array_agg\" FROM pg_catalog.pg_roles))",
        ),
        (
            "SELECT 1 FROM pg_catalog.unnest(current_schemas(true)) x",
            "FROM UNNEST(current_schemas(true)) x (x)",
        ),
        (
            "SELECT (information_schema._pg_expandarray(indkey)).n FROM pg_index",
            "get_field(",
        ),
    ] {
        let text = rewritten(sql);
        assert!(text.contains(part), "{text}\nhas no\n{part}");
    }
}
