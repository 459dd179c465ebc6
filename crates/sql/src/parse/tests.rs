//! Statements as they are read, and as they are refused: state, message and place.

use arrow::datatypes::DataType;
use dataflow::schema::{ColumnOrigin, TimestampFormat, timestamp, timestamptz};
use dataflow::time::{MINUTE, SECOND};
use datafusion::arrow;

use super::*;
use crate::ast::{
    CopyFormat, CreateSource, CreateTable, CreateView, Emit, Explain, ObjectKind, Show, Subscribe,
};

mod create;
mod refused;
mod robust;

fn one(text: &str) -> Statement {
    let mut parsed = parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    assert_eq!(parsed.len(), 1, "{text}");
    parsed.remove(0).statement
}

fn at(line: u64, column: u64) -> Option<Location> {
    Some(Location { line, column })
}

#[test]
fn many_statements_with_their_texts_and_places() {
    let text = " ;; SELECT 'a;b' -- c;d\n; /* x; */ SELECT 'é' ;\n\tSHOW all;";
    let found: Vec<(String, Location)> = parse(text)
        .unwrap()
        .into_iter()
        .map(|p| (p.text, p.location))
        .collect();
    let expected = [
        ("SELECT 'a;b'", 1, 5),
        ("SELECT 'é'", 2, 12),
        ("SHOW all", 3, 2),
    ];
    let expected =
        expected.map(|(text, line, column)| (text.to_owned(), Location { line, column }));
    assert_eq!(found, expected);
    for empty in ["", " ", ";", " ; -- nothing\n ;", "/* */"] {
        assert!(parse(empty).unwrap().is_empty(), "{empty}");
    }
}

#[test]
fn queries() {
    let cases = [
        ("SELECT 1", "SELECT 1"),
        ("(SELECT 1) UNION SELECT 2", "(SELECT 1) UNION SELECT 2"),
        (
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "WITH a AS (SELECT 1) SELECT * FROM a",
        ),
        ("VALUES (1)", "VALUES (1)"),
        (
            "TABLE \"Clicks\" ORDER BY 1",
            "SELECT * FROM \"Clicks\" ORDER BY 1",
        ),
        (
            "TABLE a UNION ALL TABLE s.b",
            "SELECT * FROM a UNION ALL SELECT * FROM s.b",
        ),
        (
            "SELECT * FROM (TABLE a) x",
            "SELECT * FROM (SELECT * FROM a) x",
        ),
        (
            "SELECT 1 WHERE a>-1 AND b<=-2 AND c<>-3",
            "SELECT 1 WHERE a > -1 AND b <= -2 AND c <> -3",
        ),
    ];
    for (text, expected) in cases {
        let Statement::Query(query) = one(text) else {
            panic!("{text}")
        };
        assert_eq!(query.to_string(), expected);
    }
}

#[test]
fn drops() {
    let cases = [
        ("DROP SOURCE a", ObjectKind::Source, false, false, vec!["a"]),
        (
            "drop table if exists A, \"B\" cascade",
            ObjectKind::Table,
            true,
            true,
            vec!["a", "B"],
        ),
        (
            "DROP VIEW public.v RESTRICT",
            ObjectKind::View,
            false,
            false,
            vec!["v"],
        ),
        (
            "DROP MATERIALIZED VIEW v",
            ObjectKind::MaterializedView,
            false,
            false,
            vec!["v"],
        ),
    ];
    for (text, kind, if_exists, cascade, names) in cases {
        let Statement::Drop(drop) = one(text) else {
            panic!("{text}")
        };
        let found: Vec<&str> = drop.names.iter().map(|name| name.value.as_str()).collect();
        assert_eq!(
            (drop.kind, drop.if_exists, drop.cascade, found),
            (kind, if_exists, cascade, names),
            "{text}"
        );
    }
}

#[test]
fn inserts() {
    let cases = [
        (
            "INSERT INTO t VALUES (1, 'a'), (2, NULL)",
            "t()",
            "VALUES (1, 'a'), (2, NULL)",
        ),
        (
            "INSERT INTO public.T (A, \"B\") SELECT * FROM u",
            "t(a B)",
            "SELECT * FROM u",
        ),
        ("INSERT INTO t (SELECT 1)", "t()", "(SELECT 1)"),
        (
            "INSERT INTO t (a) WITH x AS (SELECT 1) SELECT * FROM x",
            "t(a)",
            "WITH x AS (SELECT 1) SELECT * FROM x",
        ),
        ("INSERT INTO t TABLE u", "t()", "SELECT * FROM u"),
    ];
    for (text, target, query) in cases {
        let Statement::Insert(insert) = one(text) else {
            panic!("{text}")
        };
        let columns: Vec<&str> = insert
            .columns
            .iter()
            .map(|column| column.value.as_str())
            .collect();
        assert_eq!(
            format!("{}({})", insert.table.value, columns.join(" ")),
            target,
            "{text}"
        );
        assert_eq!(insert.query.to_string(), query, "{text}");
    }
}

#[test]
fn advance_watermark() {
    let Statement::AdvanceWatermark { name, to } =
        one("ADVANCE WATERMARK FOR clicks TO '2026-01-01 00:01:00Z'")
    else {
        panic!("no ADVANCE");
    };
    assert_eq!((name.value.as_str(), name.location), ("clicks", at(1, 23)));
    assert_eq!(to.to_string(), "'2026-01-01 00:01:00Z'");
}

#[test]
fn subscriptions() {
    let every = |every| Some(Emit::OnUpdate { every });
    let cases = [
        (
            "SUBSCRIBE v",
            Some("v"),
            "SELECT * FROM v",
            (true, false),
            None,
        ),
        (
            "SUBSCRIBE TO public.\"V\"",
            Some("V"),
            "SELECT * FROM public.\"V\"",
            (true, false),
            None,
        ),
        (
            "SUBSCRIBE clickmill.sources",
            None,
            "SELECT * FROM clickmill.sources",
            (true, false),
            None,
        ),
        (
            "SUBSCRIBE v WITH (progress)",
            Some("v"),
            "SELECT * FROM v",
            (true, true),
            None,
        ),
        (
            "SUBSCRIBE v WITH (snapshot = false, progress = on)",
            Some("v"),
            "SELECT * FROM v",
            (false, true),
            None,
        ),
        (
            "SUBSCRIBE (SELECT a FROM t)",
            None,
            "SELECT a FROM t",
            (true, false),
            None,
        ),
        (
            "SUBSCRIBE TO (SELECT a FROM t EMIT CHANGES)",
            None,
            "SELECT a FROM t",
            (true, false),
            every(SECOND),
        ),
        (
            "SUBSCRIBE (SELECT a FROM t) EMIT FINAL",
            None,
            "SELECT a FROM t",
            (true, false),
            Some(Emit::OnWindowClose),
        ),
        (
            "SUBSCRIBE (SELECT 1) UNION ALL (SELECT 2)",
            None,
            "(SELECT 1) UNION ALL (SELECT 2)",
            (true, false),
            None,
        ),
        (
            "SUBSCRIBE SELECT a FROM t x WITH (snapshot false) EMIT ON UPDATE EVERY INTERVAL '100 ms'",
            None,
            "SELECT a FROM t x",
            (false, false),
            every(100_000),
        ),
        (
            "SUBSCRIBE v EMIT EVERY INTERVAL '1 s' WITH (progress)",
            Some("v"),
            "SELECT * FROM v",
            (true, true),
            every(SECOND),
        ),
        (
            "SUBSCRIBE WITH q AS (SELECT 1) SELECT * FROM q EMIT ON WINDOW CLOSE WITH (progress true)",
            None,
            "WITH q AS (SELECT 1) SELECT * FROM q",
            (true, true),
            Some(Emit::OnWindowClose),
        ),
        (
            "SUBSCRIBE TABLE t",
            None,
            "SELECT * FROM t",
            (true, false),
            None,
        ),
    ];
    for (text, name, query, options, emit) in cases {
        let Statement::Subscribe(subscribe) = one(text) else {
            panic!("{text}")
        };
        let Subscribe {
            query: found,
            name: found_name,
            snapshot,
            progress,
            as_of,
            emission,
            location,
        } = subscribe;
        assert_eq!(as_of, None, "{text}");
        assert_eq!(found.to_string(), query, "{text}");
        assert_eq!(found_name.map(|name| name.value).as_deref(), name, "{text}");
        assert_eq!(
            ((snapshot, progress), emission.emit),
            (options, emit),
            "{text}"
        );
        assert!(location.is_some(), "{text}");
        assert_eq!(emission.location.is_some(), emit.is_some(), "{text}");
    }
}

#[test]
fn copies() {
    let csv = |header| CopyFormat::Csv { header };
    let cases = [
        ("COPY v TO STDOUT", "SELECT * FROM v", CopyFormat::Text),
        (
            "COPY public.v (a, \"B\") TO STDOUT",
            "SELECT a, \"B\" FROM public.v",
            CopyFormat::Text,
        ),
        (
            "COPY (SELECT 1) TO STDOUT WITH (FORMAT csv, HEADER)",
            "SELECT 1",
            csv(true),
        ),
        (
            "COPY (SELECT (1)) TO STDOUT (FORMAT 'CSV', HEADER false)",
            "SELECT (1)",
            csv(false),
        ),
        (
            "COPY (VALUES (1)) TO STDOUT WITH (FORMAT text)",
            "VALUES (1)",
            CopyFormat::Text,
        ),
        (
            "COPY v TO STDOUT WITH CSV HEADER",
            "SELECT * FROM v",
            csv(true),
        ),
        ("COPY v TO stdout csv", "SELECT * FROM v", csv(false)),
        (
            "COPY (TABLE v) TO STDOUT",
            "SELECT * FROM v",
            CopyFormat::Text,
        ),
        (
            "COPY (SUBSCRIBE v WITH (progress)) TO STDOUT",
            "SUBSCRIBE SELECT * FROM v",
            CopyFormat::Text,
        ),
        (
            "COPY (SUBSCRIBE SELECT a FROM t EMIT FINAL) TO STDOUT CSV",
            "SUBSCRIBE SELECT a FROM t",
            csv(false),
        ),
    ];
    for (text, source, format) in cases {
        let Statement::CopyTo(copy) = one(text) else {
            panic!("{text}")
        };
        let found = match *copy.source {
            Statement::Query(query) => query.to_string(),
            Statement::Subscribe(subscribe) => format!("SUBSCRIBE {}", subscribe.query),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!((found.as_str(), copy.format), (source, format), "{text}");
    }
}

#[test]
fn explains() {
    let cases = [
        ("EXPLAIN SELECT 1", false, "query"),
        ("EXPLAIN VERBOSE SELECT 1", true, "query"),
        ("EXPLAIN (VERBOSE) SELECT 1", true, "query"),
        ("EXPLAIN (VERBOSE false) (SELECT 1)", false, "query"),
        ("EXPLAIN (SELECT 1)", false, "query"),
        ("EXPLAIN TABLE t", false, "query"),
        ("EXPLAIN SUBSCRIBE v EMIT CHANGES", false, "subscribe"),
        (
            "EXPLAIN CREATE MATERIALIZED VIEW v AS SELECT 1 EMIT CHANGES",
            false,
            "view",
        ),
    ];
    for (text, verbose, kind) in cases {
        let Statement::Explain(Explain {
            verbose: found,
            statement,
        }) = one(text)
        else {
            panic!("{text}")
        };
        let found_kind = match *statement {
            Statement::Query(_) => "query",
            Statement::Subscribe(_) => "subscribe",
            Statement::CreateView(_) => "view",
            _ => "other",
        };
        assert_eq!((found, found_kind), (verbose, kind), "{text}");
    }
}

#[test]
fn shows() {
    let cases = [
        ("SHOW SOURCES", "Sources"),
        ("SHOW TABLES", "Tables"),
        ("show views", "Views"),
        ("SHOW MATERIALIZED VIEWS", "MaterializedViews"),
        ("SHOW JOBS", "Jobs"),
        ("SHOW ALL", "AllSettings"),
        ("SHOW CREATE SOURCE a", "Create Source a"),
        ("SHOW CREATE TABLE public.A", "Create Table a"),
        ("SHOW CREATE VIEW a", "Create View a"),
        (
            "SHOW CREATE MATERIALIZED VIEW \"A\"",
            "Create MaterializedView A",
        ),
        ("SHOW TIME ZONE", "timezone"),
        ("SHOW TRANSACTION ISOLATION LEVEL", "transaction_isolation"),
        ("SHOW Server_Version", "server_version"),
        ("SHOW my.Setting", "my.setting"),
    ];
    for (text, expected) in cases {
        let Statement::Show(show) = one(text) else {
            panic!("{text}")
        };
        let found = match show {
            Show::Create(kind, name) => format!("Create {kind:?} {}", name.value),
            Show::Setting(name) => name.value,
            other => format!("{other:?}"),
        };
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn settings() {
    let cases = [
        ("SET a = 1", "a", Some("1"), false),
        ("SET SESSION a TO 'X y'", "a", Some("X y"), false),
        ("SET LOCAL a TO on", "a", Some("on"), true),
        ("SET a = DEFAULT", "a", None, false),
        (
            "SET DateStyle = ISO, MDY",
            "datestyle",
            Some("iso, mdy"),
            false,
        ),
        (
            "SET search_path = \"$user\", public, \"A b\"",
            "search_path",
            Some("\"$user\", public, \"A b\""),
            false,
        ),
        (
            "SET extra_float_digits = -3",
            "extra_float_digits",
            Some("-3"),
            false,
        ),
        ("SET clickmill.x = 'y'", "clickmill.x", Some("y"), false),
        ("SET TIME ZONE 'UTC'", "timezone", Some("UTC"), false),
        ("SET TIME ZONE DEFAULT", "timezone", None, false),
        ("SET LOCAL TIME ZONE -7", "timezone", Some("-7"), true),
        (
            "SET TimeZone TO 'Europe/Berlin'",
            "timezone",
            Some("Europe/Berlin"),
            false,
        ),
        ("SET NAMES 'UTF8'", "client_encoding", Some("UTF8"), false),
        ("SET SCHEMA 'x'", "search_path", Some("x"), false),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "default_transaction_isolation",
            Some("repeatable read"),
            false,
        ),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "default_transaction_read_only",
            Some("on"),
            false,
        ),
        (
            "SET TRANSACTION READ WRITE",
            "transaction_read_only",
            Some("off"),
            true,
        ),
        (
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "transaction_isolation",
            Some("serializable"),
            true,
        ),
    ];
    for (text, name, value, local) in cases {
        let Statement::Set {
            name: found,
            value: found_value,
            local: found_local,
        } = one(text)
        else {
            panic!("{text}")
        };
        assert_eq!(
            (found.value.as_str(), found_value.as_deref(), found_local),
            (name, value, local),
            "{text}"
        );
        assert!(found.location.is_some(), "{text}");
    }
}

#[test]
fn resets_and_transactions() {
    let cases = [
        ("RESET ALL", "reset all"),
        ("RESET search_path", "reset search_path"),
        ("RESET TIME ZONE", "reset timezone"),
        ("DISCARD ALL", "discard"),
        ("BEGIN", "begin"),
        (
            "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
            "begin",
        ),
        ("begin work", "begin"),
        ("BEGIN READ ONLY", "begin"),
        ("START TRANSACTION READ WRITE NOT DEFERRABLE", "begin"),
        ("COMMIT", "commit"),
        ("COMMIT WORK AND NO CHAIN", "commit"),
        ("END TRANSACTION", "commit"),
        ("ROLLBACK", "rollback"),
        ("ABORT WORK", "rollback"),
    ];
    for (text, expected) in cases {
        let found = match one(text) {
            Statement::Reset(None) => "reset all".to_owned(),
            Statement::Reset(Some(name)) => format!("reset {}", name.value),
            Statement::DiscardAll => "discard".to_owned(),
            Statement::Begin => "begin".to_owned(),
            Statement::Commit => "commit".to_owned(),
            Statement::Rollback => "rollback".to_owned(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(found, expected, "{text}");
    }
}
