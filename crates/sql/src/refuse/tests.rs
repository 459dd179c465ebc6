//! What passes, and what is refused where.

use super::*;
use crate::ast::Statement;
use crate::parse::parse;

fn checked(text: &str) -> Result<()> {
    match parse(text)?.remove(0).statement {
        Statement::Query(query) => check_query(&query),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn passes() {
    let queries = [
        "SELECT 1",
        "SELECT \"order\", t.order, current_date, current_role, a AS order FROM t AS \"user\"",
        "SELECT a, t.b AS \"B\", count(*) c FROM t WHERE a > -1 AND b LIKE 'x%' ESCAPE '!' GROUP BY a, 2 HAVING count(*) > 1",
        "SELECT * FROM t ORDER BY a DESC NULLS LAST, 2 LIMIT 5 OFFSET 2 ROWS",
        "SELECT DISTINCT a FROM t",
        "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b",
        "WITH x(a) AS (SELECT 1), y AS (SELECT * FROM x) SELECT * FROM y",
        "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x WHERE n < 5) SELECT * FROM x",
        "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3 INTERSECT SELECT 4 UNION (SELECT 5 ORDER BY 1 LIMIT 1)",
        "VALUES (1, 'a'), (2, NULL)",
        "TABLE t",
        "SELECT * FROM a JOIN b ON a.x = b.x LEFT JOIN c USING (x) CROSS JOIN d NATURAL JOIN e FULL JOIN f ON true",
        "SELECT * FROM a LEFT SEMI JOIN b ON a.x = b.x",
        "SELECT * FROM (a JOIN b ON a.x = b.x) AS j (p, q), (SELECT 1) AS s, LATERAL (SELECT 2) l",
        "SELECT * FROM unnest(ARRAY[1, 2]) AS u (x)",
        "SELECT * FROM TUMBLE(clicks, ts, INTERVAL '1 minute') w",
        "SELECT * FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE)) AS w",
        "SELECT * FROM SESSION(DATA => TABLE clicks PARTITION BY u, TIMECOL => DESCRIPTOR(ts), GAP => INTERVAL '5' MINUTE)",
        "SELECT count(DISTINCT a) FILTER (WHERE b > 1), string_agg(a, ',' ORDER BY b), sum(ALL a) FROM t",
        "SELECT row_number() OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t",
        "SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY b)",
        "SELECT first_value(a) IGNORE NULLS OVER (ORDER BY b) FROM t",
        "SELECT a FROM t QUALIFY row_number() OVER (PARTITION BY a ORDER BY b) = 1",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
        "SELECT CASE a WHEN 1 THEN 'x' ELSE 'y' END, CAST(a AS TEXT), b::timestamptz, DATE '2026-01-01', INTERVAL '1 day'",
        "SELECT extract(hour FROM ts), position('a' IN b), substring(a FROM 1 FOR 2), trim(BOTH 'x' FROM a), ceil(a)",
        "SELECT a IN (1, 2), a BETWEEN 1 AND 2, a IS NOT DISTINCT FROM b, NOT a, a ~* 'x', a || b, a % 2, 2 ^ 3, a & 1",
        "SELECT a IN (SELECT 1), EXISTS (SELECT 1), (SELECT 1), a = ANY (SELECT 2), a <> ALL (SELECT 3)",
        "SELECT a FROM t GROUP BY ROLLUP (a, b), CUBE (c), GROUPING SETS ((a), ())",
        "SELECT $1, E'a\\n', $$x$$, 1e3, 1_000, true, NULL, ts AT TIME ZONE 'Europe/Berlin', a[1], a[1:2], - INTERVAL '1 day'",
    ];
    let wrong: Vec<String> = queries
        .iter()
        .filter_map(|query| Some(format!("{query}\n  {:?}", checked(query).err()?)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Query, words of the message, line 1 column of the place.
const REFUSED: &[(&str, &str, u64)] = &[
    // Clauses of a query.
    (
        "SELECT a FROM t FETCH FIRST 5 ROWS ONLY",
        "FETCH FIRST is not supported",
        29,
    ),
    (
        "SELECT a FROM t FOR UPDATE",
        "FOR UPDATE is not supported",
        1,
    ),
    (
        "SELECT a FROM t FOR SHARE OF t",
        "FOR SHARE is not supported",
        30,
    ),
    (
        "SELECT a FROM t FOR JSON AUTO",
        "FOR XML and FOR JSON is not supported",
        1,
    ),
    (
        "WITH x AS MATERIALIZED (SELECT 1) SELECT * FROM x",
        "[NOT] MATERIALIZED in WITH is not supported",
        6,
    ),
    ("SELECT 1 MINUS SELECT 2", "MINUS is not supported", 16),
    (
        "SELECT 1 EXCEPT BY NAME SELECT 2",
        "EXCEPT BY NAME is not supported",
        25,
    ),
    ("SELECT 1 UNION ALL VALUE (1)", "VALUE is not supported", 1),
    // Clauses of SELECT.
    ("SELECT TOP 5 a FROM t", "TOP is not supported", 1),
    ("SELECT a INTO x FROM t", "SELECT INTO is not supported", 15),
    (
        "SELECT a FROM t LATERAL VIEW explode(b) v AS c",
        "LATERAL VIEW is not supported",
        30,
    ),
    (
        "SELECT a FROM t START WITH a = 1 CONNECT BY b = 2",
        "CONNECT BY is not supported",
        1,
    ),
    (
        "SELECT a FROM t CLUSTER BY a",
        "CLUSTER BY is not supported",
        28,
    ),
    (
        "SELECT a FROM t DISTRIBUTE BY a",
        "DISTRIBUTE BY is not supported",
        31,
    ),
    ("SELECT a FROM t SORT BY a", "SORT BY is not supported", 25),
    (
        "SELECT a FROM t GROUP BY a GROUPING SETS ((a), ())",
        "GROUP BY … WITH or with sets behind it is not supported",
        26,
    ),
    ("SELECT FROM WHERE", "syntax error at or near \"WHERE\"", 13),
    ("SELECT a, FROM t", "syntax error at or near \"FROM\"", 11),
    (
        "SELECT a FROM t WHERE order = 1",
        "syntax error at or near \"order\"",
        23,
    ),
    (
        "SELECT a FROM t WHERE user. = 1",
        "syntax error at or near \"=\"",
        29,
    ),
    (
        "SELECT a FROM t WHERE desc = 1",
        "syntax error at or near \"desc\"",
        23,
    ),
    (
        "SELECT select.a FROM t",
        "syntax error at or near \"select\"",
        8,
    ),
    (
        "SELECT * FROM order",
        "syntax error at or near \"order\"",
        15,
    ),
    (
        "SELECT * FROM t AS order",
        "syntax error at or near \"order\"",
        20,
    ),
    (
        "SELECT a AS 'x' FROM t",
        "syntax error at or near \"'x'\"",
        13,
    ),
    ("SELECT a FROM 't'", "syntax error at or near \"'t'\"", 1),
    (
        "SELECT sum(a) OVER w FROM t WINDOW w AS v, v AS (ORDER BY a)",
        "WINDOW name AS another name is not supported",
        41,
    ),
    // Relations.
    (
        "SELECT * FROM t FOR SYSTEM_TIME AS OF now()",
        "FOR SYSTEM_TIME AS OF is not supported",
        39,
    ),
    (
        "SELECT * FROM a JOIN b FOR SYSTEM_TIME AS OF a.ts ON a.x = b.x",
        "FOR SYSTEM_TIME AS OF is not supported",
        46,
    ),
    (
        "SELECT * FROM t TIMESTAMP AS OF '2026-01-01'",
        "TIMESTAMP AS OF is not supported",
        33,
    ),
    (
        "SELECT * FROM t VERSION AS OF 3",
        "VERSION AS OF is not supported",
        31,
    ),
    (
        "SELECT * FROM t TABLESAMPLE BERNOULLI (10)",
        "TABLESAMPLE is not supported",
        15,
    ),
    (
        "SELECT * FROM t WITH (nolock)",
        "WITH (…) behind a relation is not supported",
        23,
    ),
    (
        "SELECT * FROM unnest(a) WITH ORDINALITY",
        "WITH ORDINALITY is not supported",
        22,
    ),
    (
        "SELECT * FROM generate_series(1, 2) WITH ORDINALITY",
        "WITH ORDINALITY is not supported",
        15,
    ),
    (
        "SELECT * FROM LATERAL f(1) WITH ORDINALITY",
        "WITH ORDINALITY is not supported",
        23,
    ),
    (
        "SELECT * FROM LATERAL f(a => 1)",
        "LATERAL function with named arguments is not supported",
        23,
    ),
    (
        "SELECT * FROM f(1) AS x (a INT)",
        "a type in a list of column aliases is not supported",
        26,
    ),
    (
        "SELECT * FROM t PIVOT (sum(a) FOR b IN ('x'))",
        "PIVOT is not supported",
        15,
    ),
    (
        "SELECT * FROM t UNPIVOT (a FOR b IN (c, d))",
        "UNPIVOT is not supported",
        15,
    ),
    (
        "SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY u ORDER BY ts MEASURES A.ts AS s PATTERN (A B) DEFINE A AS a = 1)",
        "MATCH_RECOGNIZE is not supported",
        15,
    ),
    (
        "SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a INT PATH '$.a')) j",
        "JSON_TABLE is not supported",
        26,
    ),
    (
        "SELECT * FROM TABLE(1)",
        "TABLE (…) around anything but a function is not supported",
        21,
    ),
    (
        "SELECT * FROM a JOIN b",
        "JOIN without ON or USING is not supported",
        22,
    ),
    (
        "SELECT * FROM a CROSS APPLY b",
        "CROSS APPLY is not supported",
        29,
    ),
    (
        "SELECT * FROM a SEMI JOIN b ON true",
        "SEMI JOIN is not supported",
        27,
    ),
    (
        "SELECT * FROM a ASOF JOIN b MATCH_CONDITION (a.t >= b.t)",
        "ASOF JOIN is not supported",
        27,
    ),
    // Calls.
    (
        "SELECT upper(DISTINCT a) FROM t",
        "DISTINCT with upper, which is no aggregate function, is not supported",
        8,
    ),
    (
        "SELECT upper(a) FILTER (WHERE a > 1) FROM t",
        "FILTER with upper, which is no aggregate function, is not supported",
        8,
    ),
    (
        "SELECT upper(a) OVER () FROM t",
        "OVER with upper, which is no aggregate function, is not supported",
        8,
    ),
    (
        "SELECT upper(a ORDER BY b) FROM t",
        "ORDER BY with upper, which is no aggregate function, is not supported",
        8,
    ),
    (
        "SELECT sum(a) RESPECT NULLS FROM t",
        "RESPECT NULLS with sum is not supported",
        8,
    ),
    (
        "SELECT rank() FILTER (WHERE a > 1) OVER (ORDER BY a) FROM t",
        "FILTER with the window function rank is not supported",
        8,
    ),
    (
        "SELECT array(SELECT 1)",
        "array (SELECT …) is not supported",
        8,
    ),
    (
        "SELECT array_agg(a LIMIT 2) FROM t",
        "LIMIT in a call of array_agg is not supported",
        8,
    ),
    (
        "SELECT sum(a) OVER (w ORDER BY b) FROM t WINDOW w AS (PARTITION BY c)",
        "a window that extends a named one is not supported",
        21,
    ),
    (
        "SELECT a FROM t WINDOW w AS (ORDER BY b) ORDER BY sum(a) OVER w",
        "OVER with a named window outside the select list is not supported",
        63,
    ),
    (
        "SELECT a FROM t QUALIFY sum(a) OVER w > 1 WINDOW w AS (ORDER BY b)",
        "OVER with a named window outside the select list is not supported",
        37,
    ),
    // Expressions.
    (
        "SELECT a COLLATE \"C\" FROM t",
        "COLLATE is not supported",
        18,
    ),
    (
        "SELECT a OPERATOR(pg_catalog.~) 'x' FROM t",
        "OPERATOR(pg_catalog.~) is not supported",
        8,
    ),
    ("SELECT a -> 'x' FROM t", "operator -> is not supported", 8),
    (
        "SELECT a ->> 'x' FROM t",
        "operator ->> is not supported",
        8,
    ),
    ("SELECT a ^@ 'x' FROM t", "operator ^@ is not supported", 8),
    ("SELECT |/ a FROM t", "operator |/ is not supported", 11),
    (
        "SELECT a::varchar(3) FROM t",
        "VARCHAR(3) is not supported",
        8,
    ),
    (
        "SELECT CAST(a AS char(3)) FROM t",
        "CHAR(3) is not supported",
        13,
    ),
    (
        "SELECT a::timestamp(9) FROM t",
        "TIMESTAMP(9) is not supported",
        8,
    ),
    (
        "SELECT INTERVAL '1:30' MINUTE TO SECOND",
        "INTERVAL with a range of units (… TO …) is not supported",
        17,
    ),
    (
        "SELECT INTERVAL '1' SECOND (2)",
        "INTERVAL with a precision is not supported",
        17,
    ),
    (
        "SELECT - INTERVAL '1 day 2 hours'",
        "a minus before an interval of several fields is not supported",
        19,
    ),
    (
        "SELECT trim(a, 'b', 'c')",
        "trim with more than two arguments is not supported",
        13,
    ),
    (
        "SELECT a LIKE ANY ('x') FROM t",
        "LIKE ANY is not supported",
        8,
    ),
    (
        "SELECT a RLIKE 'x' FROM t",
        "RLIKE and REGEXP is not supported",
        8,
    ),
    (
        "SELECT ts AT TIME ZONE tz FROM t",
        "AT TIME ZONE with anything but a string is not supported",
        8,
    ),
    (
        "SELECT ceil(ts TO DAY) FROM t",
        "CEIL and FLOOR to a unit of time is not supported",
        13,
    ),
    (
        "SELECT X'ff'",
        "a string of bits (X'…') is not supported",
        8,
    ),
    (
        "SELECT B'01'",
        "a string of bits (B'…') is not supported",
        8,
    ),
    (
        "SELECT N'x'",
        "a string with N in front is not supported",
        8,
    ),
    // Inside other nodes.
    (
        "SELECT * FROM (SELECT a::varchar(3) FROM t) s",
        "VARCHAR(3) is not supported",
        23,
    ),
    (
        "WITH x AS (SELECT TOP 1 a FROM t) SELECT * FROM x",
        "TOP is not supported",
        12,
    ),
    (
        "SELECT 1 UNION ALL SELECT 2 FROM a JOIN b",
        "JOIN without ON or USING is not supported",
        41,
    ),
    (
        "SELECT EXISTS (SELECT 1 FROM t TABLESAMPLE SYSTEM (1))",
        "TABLESAMPLE is not supported",
        30,
    ),
];

#[test]
fn refused() {
    let mut wrong = Vec::new();
    for (query, message, column) in REFUSED {
        let error = checked(query).expect_err(query);
        let state = if message.starts_with("syntax") {
            "42601"
        } else {
            "0A000"
        };
        let place = error.location().map_or(0, |place| place.column);
        if (error.state().0, error.message(), place) != (state, *message, *column) {
            wrong.push(format!(
                "{query}\n  expected {column}: {state} {message}\n  found {place}: {error:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bounded() {
    let relations = format!("SELECT * FROM t{}", ", t".repeat(100));
    let named: Vec<String> = (0..101).map(|i| format!("q{i} AS (SELECT 1)")).collect();
    let nested =
        |open: &str, depth: usize| format!("{}SELECT 1{}", open.repeat(depth), ")".repeat(depth));
    let from = "SELECT * FROM (";
    for text in [
        relations,
        format!("WITH {} SELECT 1", named.join(", ")),
        nested(from, 20),
        nested("SELECT (", 11),
        nested("SELECT EXISTS (", 11),
        nested("SELECT 1 IN (", 11),
    ] {
        assert_eq!(
            checked(&text).unwrap_err().state().0,
            "54001",
            "{}",
            &text[..40]
        );
    }
}
