//! What is refused: state, message, and where.

use super::*;

/// Text, SQLSTATE, message, line and column.
type Case = (&'static str, &'static str, &'static str, (u64, u64));

fn check(cases: &[Case]) {
    let mut wrong = Vec::new();
    for (text, state, message, (line, column)) in cases {
        match parse(text) {
            Ok(parsed) => wrong.push(format!(
                "{text}\n  accepted: {:?}",
                parsed.first().map(|p| &p.text)
            )),
            Err(error) => {
                let place = error
                    .location()
                    .map_or((0, 0), |place| (place.line, place.column));
                if (error.state().0, error.message(), place) != (*state, *message, (*line, *column))
                {
                    wrong.push(format!("{text}\n  expected {state} {message} {line}:{column}\n  found {place:?} {error:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn syntax_errors() {
    check(&[
        (
            "SELEC 1",
            "42601",
            "syntax error at or near \"SELEC\"",
            (1, 1),
        ),
        ("foo", "42601", "syntax error at or near \"foo\"", (1, 1)),
        (
            "\"select\" 1",
            "42601",
            "syntax error at or near \"\"select\"\"",
            (1, 1),
        ),
        ("1", "42601", "syntax error at or near \"1\"", (1, 1)),
        ("SELECT", "42601", "syntax error at end of input", (1, 7)),
        (
            "SELECT 1 +",
            "42601",
            "syntax error at end of input",
            (1, 11),
        ),
        (
            "SELECT 1 + -- x\n",
            "42601",
            "syntax error at end of input",
            (2, 1),
        ),
        (
            "SELECT 1 + ;",
            "42601",
            "syntax error at or near \";\"",
            (1, 12),
        ),
        (
            "SELECT 1;\nSELECT 1 1\n WHERE",
            "42601",
            "syntax error at or near \"1\"",
            (2, 10),
        ),
        (
            "SELECT 'é', 1 1",
            "42601",
            "syntax error at or near \"1\"",
            (1, 15),
        ),
        (
            "SELECT (1",
            "42601",
            "syntax error at end of input",
            (1, 10),
        ),
        (
            "SELECT 1)",
            "42601",
            "syntax error at or near \")\"",
            (1, 9),
        ),
        (
            "SELECT * FORM t",
            "42601",
            "syntax error at or near \"FORM\"",
            (1, 10),
        ),
        (
            "SELECT a b c FROM t",
            "42601",
            "syntax error at or near \"c\"",
            (1, 12),
        ),
        (
            "SELECT 'a' AS 'b'",
            "42601",
            "syntax error at or near \"'b'\"",
            (1, 15),
        ),
        (
            "SELECT 1 >-- x",
            "42601",
            "syntax error at or near \">--\"",
            (1, 10),
        ),
        (
            "SELECT 'abc",
            "42601",
            "unterminated quoted string at or near \"'abc\"",
            (1, 8),
        ),
        (
            "SELECT E'abc",
            "42601",
            "unterminated quoted string at or near \"E'abc\"",
            (1, 8),
        ),
        (
            "SELECT \"abc",
            "42601",
            "unterminated quoted identifier at or near \"\"abc\"",
            (1, 8),
        ),
        (
            "SELECT 1 /* abc",
            "42601",
            "unterminated /* comment at end of input",
            (1, 16),
        ),
        (
            "SELECT $a$bc",
            "42601",
            "unterminated dollar-quoted string at end of input",
            (1, 13),
        ),
        (
            "SELECT \"\"",
            "42601",
            "zero-length delimited identifier at or near \"\"\"\"",
            (1, 8),
        ),
        (
            "SELECT `a`",
            "42601",
            "syntax error at or near \"`\"",
            (1, 8),
        ),
        (
            "DROP TABLE",
            "42601",
            "syntax error at end of input",
            (1, 11),
        ),
        (
            "DROP TABLE a b",
            "42601",
            "syntax error at or near \"b\"",
            (1, 14),
        ),
        (
            "DROP TABLE a,",
            "42601",
            "syntax error at end of input",
            (1, 14),
        ),
        ("DROP", "42601", "syntax error at end of input", (1, 5)),
        ("CREATE", "42601", "syntax error at end of input", (1, 7)),
        (
            "CREATE TABLE t",
            "42601",
            "syntax error at end of input",
            (1, 15),
        ),
        (
            "CREATE TABLE t ()",
            "42601",
            "syntax error at or near \")\"",
            (1, 17),
        ),
        (
            "CREATE TABLE t (a)",
            "42601",
            "syntax error at or near \")\"",
            (1, 18),
        ),
        (
            "CREATE TABLE t (a INT,)",
            "42601",
            "syntax error at or near \")\"",
            (1, 23),
        ),
        (
            "CREATE TABLE t (a INT",
            "42601",
            "syntax error at end of input",
            (1, 22),
        ),
        (
            "CREATE TABLE t (a INT) b",
            "42601",
            "syntax error at or near \"b\"",
            (1, 24),
        ),
        (
            "CREATE TABLE select (a INT)",
            "42601",
            "syntax error at or near \"select\"",
            (1, 14),
        ),
        (
            "CREATE TABLE t (user TEXT)",
            "42601",
            "syntax error at or near \"user\"",
            (1, 17),
        ),
        (
            "CREATE VIEW v",
            "42601",
            "syntax error at end of input",
            (1, 14),
        ),
        (
            "CREATE VIEW v AS",
            "42601",
            "syntax error at end of input",
            (1, 17),
        ),
        (
            "CREATE VIEW v AS SELECT 1 EMIT",
            "42601",
            "syntax error at end of input",
            (1, 31),
        ),
        (
            "CREATE VIEW v AS SELECT 1 EMIT SOMETIMES",
            "42601",
            "syntax error at or near \"SOMETIMES\"",
            (1, 32),
        ),
        (
            "CREATE VIEW v AS SELECT 1 EMIT FINAL x",
            "42601",
            "syntax error at or near \"x\"",
            (1, 38),
        ),
        (
            "INSERT t VALUES (1)",
            "42601",
            "syntax error at or near \"t\"",
            (1, 8),
        ),
        (
            "INSERT INTO t",
            "42601",
            "syntax error at end of input",
            (1, 14),
        ),
        (
            "INSERT INTO t VALUES (1",
            "42601",
            "syntax error at end of input",
            (1, 24),
        ),
        (
            "ADVANCE WATERMARK t",
            "42601",
            "syntax error at or near \"t\"",
            (1, 19),
        ),
        (
            "SUBSCRIBE",
            "42601",
            "syntax error at end of input",
            (1, 10),
        ),
        (
            "SUBSCRIBE v w",
            "42601",
            "syntax error at or near \"w\"",
            (1, 13),
        ),
        (
            "SUBSCRIBE v WITH (snapshot = maybe)",
            "42601",
            "syntax error at or near \"maybe\"",
            (1, 30),
        ),
        (
            "SUBSCRIBE v EMIT FINAL EMIT FINAL",
            "42601",
            "syntax error at or near \"EMIT\"",
            (1, 24),
        ),
        (
            "SUBSCRIBE (SELECT 1",
            "42601",
            "syntax error at end of input",
            (1, 20),
        ),
        (
            "COPY v TO",
            "42601",
            "syntax error at end of input",
            (1, 10),
        ),
        (
            "COPY v TO STDOUT WITH",
            "42601",
            "syntax error at end of input",
            (1, 22),
        ),
        (
            "COPY (SELECT 1 TO STDOUT",
            "42601",
            "syntax error at or near \"STDOUT\"",
            (1, 19),
        ),
        (
            "COPY v TO STDOUT (FORMAT csv, FORMAT csv)",
            "42601",
            "conflicting or redundant options",
            (1, 31),
        ),
        ("SHOW", "42601", "syntax error at end of input", (1, 5)),
        (
            "SHOW SOURCES x",
            "42601",
            "syntax error at or near \"x\"",
            (1, 14),
        ),
        ("SET a", "42601", "syntax error at end of input", (1, 6)),
        ("SET a = ", "42601", "syntax error at end of input", (1, 9)),
        (
            "SET a = 1 2",
            "42601",
            "syntax error at or near \"2\"",
            (1, 11),
        ),
        (
            "BEGIN READ",
            "42601",
            "syntax error at or near \"READ\"",
            (1, 7),
        ),
        ("COMMIT x", "42601", "syntax error at or near \"x\"", (1, 8)),
        ("EXPLAIN", "42601", "syntax error at end of input", (1, 8)),
        (
            "EXPLAIN EXPLAIN SELECT 1",
            "42601",
            "syntax error at or near \"EXPLAIN\"",
            (1, 9),
        ),
    ]);
}

#[test]
fn statements_that_are_not_there() {
    check(&[
        (
            "ALTER TABLE t RENAME TO u",
            "0A000",
            "ALTER TABLE is not supported",
            (1, 1),
        ),
        (
            "SELECT 1; ALTER MATERIALIZED VIEW v RESUME",
            "0A000",
            "ALTER MATERIALIZED VIEW is not supported",
            (1, 11),
        ),
        (
            "CREATE SINK s FROM v",
            "0A000",
            "CREATE SINK is not supported",
            (1, 1),
        ),
        (
            "CREATE INDEX i ON t (a)",
            "0A000",
            "CREATE INDEX is not supported",
            (1, 1),
        ),
        (
            "CREATE UNIQUE INDEX i ON t (a)",
            "0A000",
            "CREATE UNIQUE INDEX is not supported",
            (1, 1),
        ),
        (
            "CREATE OR REPLACE VIEW v AS SELECT 1",
            "0A000",
            "CREATE OR REPLACE is not supported",
            (1, 8),
        ),
        (
            "CREATE TEMP TABLE t (a INT)",
            "0A000",
            "CREATE TEMP is not supported",
            (1, 8),
        ),
        (
            "CREATE RECURSIVE VIEW v (a) AS SELECT 1",
            "0A000",
            "CREATE RECURSIVE is not supported",
            (1, 8),
        ),
        (
            "DROP INDEX i",
            "0A000",
            "DROP INDEX is not supported",
            (1, 1),
        ),
        ("DROP SINK s", "0A000", "DROP SINK is not supported", (1, 1)),
        (
            "UPDATE t SET a = 1",
            "0A000",
            "UPDATE is not supported",
            (1, 1),
        ),
        ("DELETE FROM t", "0A000", "DELETE is not supported", (1, 1)),
        (
            "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
            "0A000",
            "MERGE is not supported",
            (1, 1),
        ),
        ("TRUNCATE t", "0A000", "TRUNCATE is not supported", (1, 1)),
        (
            "GRANT SELECT ON t TO u",
            "0A000",
            "GRANT is not supported",
            (1, 1),
        ),
        (
            "COMMENT ON TABLE t IS 'x'",
            "0A000",
            "COMMENT is not supported",
            (1, 1),
        ),
        (
            "REFRESH MATERIALIZED VIEW v",
            "0A000",
            "REFRESH MATERIALIZED VIEW is not supported",
            (1, 1),
        ),
        ("VACUUM", "0A000", "VACUUM is not supported", (1, 1)),
        ("ANALYZE t", "0A000", "ANALYZE is not supported", (1, 1)),
        ("LISTEN x", "0A000", "LISTEN is not supported", (1, 1)),
        (
            "PREPARE p AS SELECT 1",
            "0A000",
            "PREPARE is not supported",
            (1, 1),
        ),
        (
            "DEALLOCATE ALL",
            "0A000",
            "DEALLOCATE is not supported",
            (1, 1),
        ),
        (
            "DECLARE c CURSOR FOR SELECT 1",
            "0A000",
            "DECLARE is not supported",
            (1, 1),
        ),
        ("FETCH 5 FROM c", "0A000", "FETCH is not supported", (1, 1)),
        ("SAVEPOINT a", "0A000", "SAVEPOINT is not supported", (1, 1)),
        ("RELEASE a", "0A000", "RELEASE is not supported", (1, 1)),
        (
            "ROLLBACK TO a",
            "0A000",
            "ROLLBACK TO is not supported",
            (1, 1),
        ),
        (
            "ROLLBACK WORK TO SAVEPOINT a",
            "0A000",
            "ROLLBACK TO is not supported",
            (1, 15),
        ),
        (
            "COMMIT PREPARED 'x'",
            "0A000",
            "COMMIT PREPARED is not supported",
            (1, 1),
        ),
        (
            "COMMIT AND CHAIN",
            "0A000",
            "AND CHAIN is not supported",
            (1, 8),
        ),
        (
            "DISCARD PLANS",
            "0A000",
            "DISCARD PLANS is not supported",
            (1, 1),
        ),
        ("SET ROLE x", "0A000", "SET ROLE is not supported", (1, 5)),
        (
            "SET SESSION AUTHORIZATION x",
            "0A000",
            "SET SESSION AUTHORIZATION is not supported",
            (1, 5),
        ),
        (
            "SET CONSTRAINTS ALL DEFERRED",
            "0A000",
            "SET CONSTRAINTS is not supported",
            (1, 5),
        ),
        (
            "SET TRANSACTION SNAPSHOT 'x'",
            "0A000",
            "SNAPSHOT is not supported",
            (1, 17),
        ),
        (
            "SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE",
            "0A000",
            "SET TIME ZONE INTERVAL is not supported",
            (1, 15),
        ),
        (
            "SET TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE",
            "0A000",
            "more than one transaction mode in one SET is not supported",
            (1, 28),
        ),
        ("RESET ROLE", "0A000", "RESET ROLE is not supported", (1, 7)),
        ("SHOW SINKS", "0A000", "SHOW SINKS is not supported", (1, 6)),
        (
            "SHOW TABLES LIKE 'x'",
            "0A000",
            "SHOW TABLES LIKE is not supported",
            (1, 13),
        ),
        (
            "SHOW CREATE SINK s",
            "0A000",
            "SHOW CREATE SINK is not supported",
            (1, 13),
        ),
        (
            "EXPLAIN ANALYZE SELECT 1",
            "0A000",
            "ANALYZE is not supported",
            (1, 9),
        ),
        (
            "EXPLAIN VERBOSE ANALYZE SELECT 1",
            "0A000",
            "ANALYZE is not supported",
            (1, 17),
        ),
        (
            "EXPLAIN (ANALYZE, VERBOSE) SELECT 1",
            "0A000",
            "EXPLAIN option ANALYZE is not supported",
            (1, 10),
        ),
        (
            "EXPLAIN (VERBOSE, FORMAT json) SELECT 1",
            "0A000",
            "EXPLAIN option FORMAT is not supported",
            (1, 19),
        ),
        (
            "EXPLAIN INSERT INTO t VALUES (1)",
            "0A000",
            "EXPLAIN of this statement is not supported",
            (1, 9),
        ),
        (
            "WITH x AS (SELECT 1) DELETE FROM t",
            "0A000",
            "DELETE as a query is not supported",
            (1, 22),
        ),
        (
            "WITH x AS (SELECT 1) INSERT INTO t SELECT 1",
            "0A000",
            "INSERT as a query is not supported",
            (1, 22),
        ),
        (
            "SELECT /*+ OPTIONS('a'='b') */ 1",
            "0A000",
            "a hint in a comment is not supported",
            (1, 8),
        ),
        (
            "SELECT * FROM t /*+ x */",
            "0A000",
            "a hint in a comment is not supported",
            (1, 17),
        ),
    ]);
}

#[test]
fn clauses_that_are_not_there() {
    check(&[
        (
            "SELECT 1 EMIT CHANGES",
            "0A000",
            "EMIT in a query that ends is not supported",
            (1, 10),
        ),
        (
            "COPY (SELECT 1 EMIT CHANGES) TO STDOUT",
            "0A000",
            "EMIT in a query that ends is not supported",
            (1, 16),
        ),
        (
            "SELECT a FROM t ALLOW LATENESS INTERVAL '1' MINUTE",
            "0A000",
            "ALLOW LATENESS is not supported",
            (1, 17),
        ),
        (
            "CREATE VIEW v AS SELECT 1 EMIT FINAL ALLOW LATENESS INTERVAL '1 s'",
            "0A000",
            "ALLOW LATENESS is not supported",
            (1, 38),
        ),
        (
            "CREATE VIEW v AS SELECT 1 EMIT FINAL EVERY INTERVAL '1 s'",
            "0A000",
            "EVERY with final results is not supported",
            (1, 38),
        ),
        (
            "CREATE VIEW v AS SELECT 1 EMIT EVERY INTERVAL '0 s'",
            "22023",
            "the interval of EMIT EVERY must be longer than zero",
            (1, 47),
        ),
        (
            "CREATE VIEW v AS SELECT 1 EMIT EVERY INTERVAL '1 month'",
            "0A000",
            "an interval of months or years is not supported",
            (1, 47),
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT 1 WITH NO DATA",
            "0A000",
            "WITH NO is not supported",
            (1, 40),
        ),
        (
            "CREATE VIEW v AS SELECT 1 WITH CHECK OPTION",
            "0A000",
            "WITH CHECK is not supported",
            (1, 27),
        ),
        (
            "CREATE VIEW other.v AS SELECT 1",
            "3F000",
            "schema \"other\" is not open for this",
            (1, 13),
        ),
        (
            "CREATE VIEW a.public.v AS SELECT 1",
            "0A000",
            "a name with a database in front is not supported",
            (1, 13),
        ),
        (
            "CREATE VIEW v (a, A) AS SELECT 1",
            "42701",
            "column \"a\" specified more than once",
            (1, 19),
        ),
        (
            "INSERT INTO t VALUES (1) RETURNING a",
            "0A000",
            "RETURNING is not supported",
            (1, 26),
        ),
        (
            "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
            "0A000",
            "ON CONFLICT is not supported",
            (1, 26),
        ),
        (
            "INSERT INTO t DEFAULT VALUES",
            "0A000",
            "DEFAULT VALUES is not supported",
            (1, 15),
        ),
        (
            "INSERT INTO t VALUES (1, DEFAULT)",
            "0A000",
            "DEFAULT as a value is not supported",
            (1, 26),
        ),
        (
            "INSERT INTO t AS u VALUES (1)",
            "0A000",
            "INSERT INTO … AS alias is not supported",
            (1, 15),
        ),
        (
            "INSERT INTO t OVERRIDING USER VALUE VALUES (1)",
            "0A000",
            "OVERRIDING is not supported",
            (1, 15),
        ),
        (
            "INSERT INTO t SELECT 1 EMIT FINAL",
            "0A000",
            "EMIT in INSERT is not supported",
            (1, 24),
        ),
        (
            "SUBSCRIBE v AS OF 5",
            "0A000",
            "SUBSCRIBE … AS OF is not supported",
            (1, 13),
        ),
        (
            "SUBSCRIBE v UP TO 5",
            "0A000",
            "SUBSCRIBE … UP TO is not supported",
            (1, 13),
        ),
        (
            "SUBSCRIBE SELECT * FROM t AS OF 5",
            "0A000",
            "SUBSCRIBE … AS OF is not supported",
            (1, 27),
        ),
        (
            "SUBSCRIBE (SELECT 1) ENVELOPE UPSERT (KEY (a))",
            "0A000",
            "SUBSCRIBE … ENVELOPE is not supported",
            (1, 22),
        ),
        (
            "SUBSCRIBE v WITH (colour)",
            "22023",
            "unknown option \"colour\"",
            (1, 19),
        ),
        (
            "SUBSCRIBE v WITH (progress, progress)",
            "42601",
            "option \"progress\" is given twice",
            (1, 29),
        ),
        (
            "COPY v FROM STDIN",
            "0A000",
            "COPY FROM is not supported",
            (1, 8),
        ),
        (
            "COPY v TO '/tmp/x'",
            "0A000",
            "COPY TO a file is not supported",
            (1, 11),
        ),
        (
            "COPY v TO PROGRAM 'x'",
            "0A000",
            "COPY TO PROGRAM is not supported",
            (1, 11),
        ),
        (
            "COPY v TO STDOUT (FORMAT binary)",
            "0A000",
            "COPY in binary format is not supported",
            (1, 26),
        ),
        (
            "COPY v TO STDOUT (FORMAT parquet)",
            "22023",
            "COPY format \"parquet\" not recognized",
            (1, 26),
        ),
        (
            "COPY v TO STDOUT (DELIMITER ';')",
            "0A000",
            "COPY option DELIMITER is not supported",
            (1, 19),
        ),
        (
            "COPY v TO STDOUT (NULL '')",
            "42601",
            "syntax error at or near \"NULL\"",
            (1, 19),
        ),
        (
            "COPY v TO STDOUT WITH DELIMITER ';'",
            "0A000",
            "COPY option DELIMITER is not supported",
            (1, 23),
        ),
        (
            "COPY v TO STDOUT CSV NULL ''",
            "0A000",
            "COPY option NULL is not supported",
            (1, 22),
        ),
        (
            "COPY v TO STDOUT (HEADER)",
            "0A000",
            "HEADER in text format is not supported",
            (1, 19),
        ),
        (
            "COPY v TO STDOUT (FORMAT csv, HEADER MATCH)",
            "0A000",
            "HEADER MATCH is not supported",
            (1, 38),
        ),
        (
            "COPY (DELETE FROM t) TO STDOUT",
            "0A000",
            "COPY (DELETE …) is not supported",
            (1, 7),
        ),
    ]);
}

#[test]
fn sources() {
    check(&[
        (
            "CREATE SOURCE s (a INT)",
            "42601",
            "the source lacks WITH (connector = 'kafka', …)",
            (1, 24),
        ),
        (
            "CREATE SOURCE s (a INT) WITH (topic = 't')",
            "42601",
            "the source lacks connector = '…' in WITH (…)",
            (1, 43),
        ),
        (
            "CREATE SOURCE s (a INT) WITH (connector = 'kafka')",
            "42601",
            "the source lacks FORMAT PLAIN ENCODE JSON",
            (1, 51),
        ),
        (
            "CREATE SOURCE s WITH (connector = 'kafka') INFER (SAMPLE 10)",
            "0A000",
            "INFER is not supported",
            (1, 44),
        ),
        (
            "CREATE SOURCE s WITH (connector = 'kafka')",
            "42601",
            "syntax error at or near \"WITH\"",
            (1, 17),
        ),
        (
            "CREATE SOURCE s (a INT) WITH (connector = 'kafka') FORMAT UPSERT ENCODE JSON",
            "0A000",
            "FORMAT UPSERT is not supported",
            (1, 59),
        ),
        (
            "CREATE SOURCE s (a INT) WITH (connector = 'kafka') FORMAT PLAIN ENCODE AVRO",
            "0A000",
            "ENCODE AVRO is not supported",
            (1, 72),
        ),
        (
            "CREATE SOURCE s (a INT) WITH (connector = 'kafka') FORMAT PLAIN ENCODE JSON (x = 1)",
            "0A000",
            "options of ENCODE JSON is not supported",
            (1, 77),
        ),
        (
            "CREATE SOURCE s (a INT) INCLUDE REST AS r",
            "0A000",
            "INCLUDE REST is not supported",
            (1, 33),
        ),
        (
            "CREATE SOURCE s (a INT) INCLUDE KEY",
            "42601",
            "syntax error at end of input",
            (1, 36),
        ),
        (
            "CREATE SOURCE s (a INT) INCLUDE KEY AS a",
            "42701",
            "column \"a\" specified more than once",
            (1, 40),
        ),
        (
            "CREATE SOURCE s (a INT, A TEXT)",
            "42701",
            "column \"a\" specified more than once",
            (1, 25),
        ),
        (
            "CREATE SOURCE s (a INT, b AS a + 1)",
            "0A000",
            "a computed column is not supported",
            (1, 27),
        ),
        (
            "CREATE SOURCE s (b INT GENERATED ALWAYS AS (a + 1) STORED)",
            "0A000",
            "a computed column is not supported",
            (1, 24),
        ),
        (
            "CREATE SOURCE s (a INT PRIMARY KEY)",
            "0A000",
            "PRIMARY KEY is not supported",
            (1, 24),
        ),
        (
            "CREATE SOURCE s (a INT, PRIMARY KEY (a) NOT ENFORCED)",
            "0A000",
            "PRIMARY KEY is not supported",
            (1, 25),
        ),
        (
            "CREATE TABLE t (a INT DEFAULT 1)",
            "0A000",
            "DEFAULT is not supported",
            (1, 23),
        ),
        (
            "CREATE TABLE t (a INT CHECK (a > 1))",
            "0A000",
            "CHECK is not supported",
            (1, 23),
        ),
        (
            "CREATE TABLE t (a INT UNIQUE)",
            "0A000",
            "UNIQUE is not supported",
            (1, 23),
        ),
        (
            "CREATE TABLE t (a INT, UNIQUE (a))",
            "0A000",
            "UNIQUE is not supported",
            (1, 24),
        ),
        (
            "CREATE TABLE t (a INT, CONSTRAINT c CHECK (a > 1))",
            "0A000",
            "CONSTRAINT is not supported",
            (1, 24),
        ),
        (
            "CREATE TABLE t (a INT REFERENCES u)",
            "0A000",
            "REFERENCES is not supported",
            (1, 23),
        ),
        (
            "CREATE TABLE t (a TEXT COLLATE \"C\")",
            "0A000",
            "COLLATE is not supported",
            (1, 24),
        ),
        (
            "CREATE TABLE t (LIKE u)",
            "0A000",
            "LIKE is not supported",
            (1, 17),
        ),
        (
            "CREATE TABLE t (a JSONB)",
            "0A000",
            "type JSONB is not supported",
            (1, 19),
        ),
        (
            "CREATE TABLE t (a INT[])",
            "0A000",
            "array type INT[] is not supported",
            (1, 19),
        ),
        (
            "CREATE TABLE t (a ARRAY<INT>)",
            "0A000",
            "type ARRAY is not supported",
            (1, 19),
        ),
        (
            "CREATE TABLE t (a ROW<b INT>)",
            "0A000",
            "type ROW is not supported",
            (1, 19),
        ),
        (
            "CREATE TABLE t (a txet)",
            "42704",
            "type \"txet\" does not exist",
            (1, 19),
        ),
        (
            "CREATE TABLE t (a VARCHAR(10))",
            "0A000",
            "VARCHAR(10) is not supported",
            (1, 19),
        ),
        (
            "CREATE TABLE t (a INT NOT NULL NULL)",
            "42601",
            "NULL or NOT NULL is given twice",
            (1, 32),
        ),
        (
            "CREATE TABLE t (a INT FROM 'b')",
            "0A000",
            "FROM 'path' in a table without a connector is not supported",
            (1, 23),
        ),
        (
            "CREATE TABLE t (timestamp TIMESTAMP METADATA)",
            "0A000",
            "METADATA in a table without a connector is not supported",
            (1, 37),
        ),
        (
            "CREATE SOURCE s (a INT FROM 'b..c')",
            "22023",
            "path 'b..c' has an empty field name",
            (1, 29),
        ),
        (
            "CREATE SOURCE s (a INT FROM b)",
            "42601",
            "syntax error at or near \"b\"",
            (1, 29),
        ),
        (
            "CREATE SOURCE s (a INT FROM 'b' FROM 'c')",
            "42601",
            "the column's origin is given twice",
            (1, 33),
        ),
        (
            "CREATE SOURCE s (a TEXT METADATA FROM 'topic')",
            "0A000",
            "METADATA FROM 'topic' is not supported",
            (1, 39),
        ),
        (
            "CREATE SOURCE s (a TEXT METADATA FROM 'offset')",
            "42804",
            "this metadata column must be BIGINT",
            (1, 20),
        ),
        (
            "CREATE TABLE t (a INT) AS SELECT 1",
            "0A000",
            "CREATE TABLE … AS is not supported",
            (1, 24),
        ),
        (
            "CREATE TABLE t AS SELECT 1",
            "0A000",
            "CREATE TABLE … AS is not supported",
            (1, 16),
        ),
        (
            "CREATE TABLE t (a, b) AS SELECT 1, 2",
            "0A000",
            "CREATE TABLE … AS is not supported",
            (1, 23),
        ),
        (
            "CREATE TABLE t (a INT) WITH (fillfactor = 70)",
            "0A000",
            "WITH (…) on a table without a connector is not supported",
            (1, 24),
        ),
        (
            "CREATE TABLE t (a INT) PARTITIONED BY (a)",
            "0A000",
            "PARTITIONED is not supported",
            (1, 24),
        ),
        (
            "CREATE TABLE t (a INT) WITH ('connector' = 'kafka')",
            "42601",
            "the source lacks 'format' = 'json'",
            (1, 30),
        ),
        (
            "CREATE TABLE t (a INT) WITH ('connector' = 'kafka', 'format' = 'avro')",
            "0A000",
            "'format' = 'avro' is not supported",
            (1, 53),
        ),
        (
            "CREATE TABLE t (a INT) WITH ('connector' = 'kafka', 'format' = 'json', 'value.format' = 'json')",
            "22023",
            "options \"format\" and \"value.format\" mean the same; give one",
            (1, 72),
        ),
        (
            "CREATE TABLE t (a INT) WITH ('connector' = 'kafka', 'format' = 'json', 'json.timestamp-format.standard' = 'SQL')",
            "0A000",
            "option json.timestamp-format.standard is not supported",
            (1, 72),
        ),
        (
            "CREATE TABLE t (a INT) WITH ('connector' = 'kafka', 'format' = 'json', 'timestamp.format' = 'unix')",
            "22023",
            "value 'unix' of option \"timestamp.format\" is not one of the choices",
            (1, 72),
        ),
        (
            "CREATE TABLE t (a INT) WITH ('connector' = )",
            "42601",
            "syntax error at or near \")\"",
            (1, 44),
        ),
    ]);
}

#[test]
fn watermarks() {
    check(&[
        (
            "CREATE TABLE t (a INT, WATERMARK FOR b AS b)",
            "42703",
            "column \"b\" of the watermark does not exist",
            (1, 38),
        ),
        (
            "CREATE TABLE t (a INT, WATERMARK FOR a AS a)",
            "42804",
            "column \"a\" of the watermark must be TIMESTAMP or TIMESTAMPTZ",
            (1, 38),
        ),
        (
            "CREATE TABLE t (a TIMESTAMP, b TIMESTAMP, WATERMARK FOR a AS b)",
            "0A000",
            "a watermark other than its column minus an interval is not supported",
            (1, 62),
        ),
        (
            "CREATE TABLE t (a TIMESTAMP, WATERMARK FOR a AS a + INTERVAL '1 s')",
            "0A000",
            "a watermark other than its column minus an interval is not supported",
            (1, 49),
        ),
        (
            "CREATE TABLE t (a TIMESTAMP, WATERMARK FOR a AS a - INTERVAL '1 month')",
            "0A000",
            "an interval of months or years is not supported",
            (1, 62),
        ),
        (
            "CREATE TABLE t (a TIMESTAMP, WATERMARK FOR a AS a - INTERVAL '-1 s')",
            "22023",
            "the delay of a watermark must not be negative",
            (1, 49),
        ),
        (
            "CREATE TABLE t (a TIMESTAMP, WATERMARK FOR a AS a, WATERMARK FOR a AS a)",
            "42601",
            "more than one WATERMARK",
            (1, 52),
        ),
        (
            "CREATE TABLE t (a TIMESTAMP, WATERMARK FOR a)",
            "42601",
            "syntax error at or near \")\"",
            (1, 45),
        ),
    ]);
}

#[test]
fn too_complex() {
    let deep = format!("SELECT {}1{}", "(SELECT ".repeat(60), ")".repeat(60));
    let long = format!("SELECT 1{}", " + 1".repeat(2_000));
    for text in [deep, long] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.state(), source::TOO_COMPLEX, "{}", &text[..30]);
        assert!(error.location().is_some());
    }
}
