//! Correlated subqueries of all sorts, and errors of system functions.

use datafusion::error::DataFusionError;

use crate::CatalogError;
use crate::tests::{rows, run, sample};

#[tokio::test]
async fn subqueries_see_the_outer_row() {
    let snapshot = sample::objects();
    for (sql, expected) in [
        // Two levels: the inner one names the outermost relation.
        (
            "SELECT relname, (SELECT (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = x.n + 1) \
             FROM (SELECT 1 AS n) x) FROM pg_class c WHERE relnamespace = 2200 ORDER BY 1",
            &[
                "clicks|url",
                "page_views|views",
                "pages|section",
                "recent|url",
            ][..],
        ),
        // EXISTS as a value, with an inequality.
        (
            "SELECT relname, EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > c.relnatts - 1 \
             AND a.attname = 'last') FROM pg_class c WHERE relnamespace = 2200 ORDER BY 1",
            &["clicks|f", "page_views|t", "pages|f", "recent|f"],
        ),
        // Arrays, sorted, and of nothing.
        (
            "SELECT relname, ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum < 3 ORDER BY 1 DESC), \
             ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 99) \
             FROM pg_class c WHERE relname IN ('clicks', 'recent') ORDER BY 1",
            &["clicks|{user_id,url}|{}", "recent|{user_id,url}|{}"],
        ),
        // A set made of the outer row.
        (
            "SELECT ARRAY(SELECT upper(x) FROM pg_catalog.unnest(f.ftoptions) x) FROM pg_foreign_table f",
            &["{TOPIC=CLICK-STREAM,FORMAT=JSON}"],
        ),
        // In a filter.
        (
            "SELECT relname FROM pg_class c WHERE relnamespace = 2200 AND relnatts > \
             (SELECT count(*) + 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname LIKE 'a%') ORDER BY 1",
            &["clicks", "page_views", "pages", "recent"],
        ),
        // The same subquery in the same row twice, and an outer row of NULLs.
        (
            "SELECT (SELECT d.description FROM pg_description d WHERE d.objoid = t.oid AND d.objsubid = 0) \
             FROM pg_namespace n LEFT JOIN pg_class t ON t.relnamespace = n.oid AND t.relname = 'pages' ORDER BY n.oid",
            &["", "", "what the site has", ""],
        ),
    ] {
        assert_eq!(rows(&snapshot, sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn failures_have_the_sqlstates_of_postgres() {
    let snapshot = sample::objects();
    for (sql, sqlstate, message) in [
        (
            "SELECT (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid) FROM pg_class c",
            "21000",
            "more than one row returned by a subquery used as an expression",
        ),
        (
            "SELECT 'nothing'::regclass",
            "42P01",
            "relation \"nothing\" does not exist",
        ),
        (
            "SELECT 'no.Such'::regtype",
            "42704",
            "type \"no.such\" does not exist",
        ),
        (
            "SELECT current_setting('no_such')",
            "42704",
            "unrecognized configuration parameter \"no_such\"",
        ),
        (
            "SELECT has_table_privilege('nothing', 'select')",
            "42P01",
            "relation \"nothing\" does not exist",
        ),
    ] {
        let error = run(&snapshot, sql).await.expect_err(sql);
        let DataFusionError::External(inner) = error.find_root() else {
            unreachable!("{sql} gave {error:?}");
        };
        let expected = CatalogError {
            sqlstate,
            message: message.to_owned(),
        };
        assert_eq!(
            inner.downcast_ref::<CatalogError>(),
            Some(&expected),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn functions_take_the_arguments_that_postgres_has() {
    let snapshot = sample::objects();
    for sql in [
        "SELECT quote_ident()",
        "SELECT version(1)",
        "SELECT has_table_privilege('pages')",
    ] {
        assert!(run(&snapshot, sql).await.is_err(), "{sql}");
    }
}
