//! `CREATE SOURCE`, `CREATE TABLE` and `CREATE VIEW` as they are read.

use super::*;

const CLICKS: &str = "CREATE SOURCE IF NOT EXISTS clicks (
  user_id  TEXT        FROM 'userId',
  pageUrl  VARCHAR     NOT NULL,
  city     TEXT        FROM 'geo.city' NULL,
  ts       TIMESTAMPTZ FROM 'timestamp',
  \"Amount\" NUMERIC(10, 2),
  WATERMARK FOR ts AS ts - INTERVAL '5 seconds'
) INCLUDE KEY AS k, PARTITION AS p, OFFSET AS o, TIMESTAMP AS kafka_ts, HEADERS AS h
WITH (connector = 'kafka', topic = 'click-stream', start = earliest, watermark.idle_timeout = '30 s', n = -5,
      \"properties.security.protocol\" = 'SASL_SSL', 'properties.Client' = true, timestamp.format = 'epoch_ms')
FORMAT PLAIN ENCODE JSON";

fn field(path: &[&str]) -> ColumnOrigin {
    ColumnOrigin::Field(path.iter().map(|part| (*part).to_owned()).collect())
}

fn source(text: &str) -> CreateSource {
    match one(text) {
        Statement::CreateSource(source) => source,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_source() {
    let source = source(CLICKS);
    assert_eq!(
        (source.name.value.as_str(), source.name.location),
        ("clicks", at(1, 29))
    );
    assert!(source.if_not_exists);
    let columns: Vec<(&str, DataType, bool, ColumnOrigin)> = source
        .schema
        .columns
        .iter()
        .map(|c| {
            (
                c.name.as_str(),
                c.data_type.clone(),
                c.nullable,
                c.origin.clone(),
            )
        })
        .collect();
    let expected = [
        ("user_id", DataType::Utf8, true, field(&["userId"])),
        ("pageurl", DataType::Utf8, false, field(&["pageUrl"])),
        ("city", DataType::Utf8, true, field(&["geo", "city"])),
        ("ts", timestamptz(), true, field(&["timestamp"])),
        (
            "Amount",
            DataType::Decimal128(10, 2),
            true,
            field(&["Amount"]),
        ),
        ("k", DataType::Utf8, true, ColumnOrigin::Key),
        ("p", DataType::Int32, false, ColumnOrigin::Partition),
        ("o", DataType::Int64, false, ColumnOrigin::Offset),
        ("kafka_ts", timestamptz(), false, ColumnOrigin::Timestamp),
        ("h", DataType::Utf8, true, ColumnOrigin::Headers),
    ];
    assert_eq!(columns, expected);
    assert_eq!(
        source.schema.watermark.map(|w| (w.column, w.delay)),
        Some((3, 5 * SECOND))
    );
    assert_eq!(source.schema.timestamps, TimestampFormat::EpochMillis);
    assert_eq!(
        (source.connector.value.as_str(), source.connector.location),
        ("kafka", at(9, 7))
    );
    let options: Vec<(&str, &str)> = source
        .options
        .iter()
        .map(|entry| (entry.name.as_str(), entry.value.as_str()))
        .collect();
    let expected = [
        ("topic", "click-stream"),
        ("start", "earliest"),
        ("watermark.idle_timeout", "30 s"),
        ("n", "-5"),
        ("properties.security.protocol", "SASL_SSL"),
        ("properties.Client", "true"),
    ];
    assert_eq!(options, expected);
    assert_eq!(source.options[4].location, at(10, 7));
}

#[test]
fn a_source_as_flink_writes_it() {
    let source = source(
        "CREATE TABLE clicks (
           userId STRING, views INT, score DOUBLE,
           ts TIMESTAMP(3), at TIMESTAMP_LTZ(3), local TIMESTAMP(3) WITH LOCAL TIME ZONE,
           event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',
           part INT METADATA FROM 'partition' VIRTUAL, `offset` BIGINT NOT NULL METADATA VIRTUAL,
           WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
         ) WITH ('connector' = 'kafka', 'topic' = 't', 'properties.bootstrap.servers' = 'b:9092', 'value.format' = 'json')"
            .replace('`', "\"")
            .as_str(),
    );
    let columns: Vec<(&str, DataType, ColumnOrigin)> = source
        .schema
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.data_type.clone(), c.origin.clone()))
        .collect();
    let expected = [
        ("userid", DataType::Utf8, field(&["userId"])),
        ("views", DataType::Int32, field(&["views"])),
        ("score", DataType::Float64, field(&["score"])),
        ("ts", timestamp(), field(&["ts"])),
        ("at", timestamptz(), field(&["at"])),
        ("local", timestamptz(), field(&["local"])),
        ("event_time", timestamptz(), ColumnOrigin::Timestamp),
        ("part", DataType::Int32, ColumnOrigin::Partition),
        ("offset", DataType::Int64, ColumnOrigin::Offset),
    ];
    assert_eq!(columns, expected);
    assert_eq!(
        source.schema.watermark.map(|w| (w.column, w.delay)),
        Some((3, 5 * SECOND))
    );
    let options: Vec<&str> = source
        .options
        .iter()
        .map(|entry| entry.name.as_str())
        .collect();
    assert_eq!(options, ["topic", "properties.bootstrap.servers"]);
}

#[test]
fn watermarks() {
    let cases = [
        ("ts TIMESTAMP, WATERMARK FOR ts AS ts", 0),
        (
            "ts TIMESTAMP, WATERMARK FOR TS AS (ts - INTERVAL '1' MINUTE)",
            MINUTE,
        ),
        (
            "\"Ts\" TIMESTAMPTZ, WATERMARK FOR \"Ts\" AS \"Ts\" - INTERVAL '00:01:00'",
            MINUTE,
        ),
        (
            "WATERMARK FOR ts AS ts - INTERVAL '0.5' SECOND, ts TIMESTAMP",
            SECOND / 2,
        ),
        (
            "ts TIMESTAMP METADATA FROM 'timestamp', WATERMARK FOR ts AS ts",
            0,
        ),
    ];
    for (columns, delay) in cases {
        let source = source(&format!(
            "CREATE TABLE t ({columns}) WITH ('connector'='kafka', 'format'='json')"
        ));
        assert_eq!(
            source.schema.watermark.map(|w| (w.column, w.delay)),
            Some((0, delay)),
            "{columns}"
        );
    }
    let text = "CREATE SOURCE s (a INT, WATERMARK FOR kts AS kts) INCLUDE TIMESTAMP AS kts
                WITH (connector = 'kafka') FORMAT PLAIN ENCODE JSON";
    assert_eq!(source(text).schema.watermark.map(|w| w.column), Some(1));
}

#[test]
fn tables() {
    let text = "CREATE TABLE IF NOT EXISTS t (a INT NOT NULL, watermark TEXT, unique TEXT, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts)";
    let text = text.replace("unique", "checks");
    let Statement::CreateTable(CreateTable {
        name,
        if_not_exists,
        schema,
    }) = one(&text)
    else {
        panic!("no table")
    };
    assert_eq!((name.value.as_str(), if_not_exists), ("t", true));
    let columns: Vec<(&str, bool)> = schema
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.nullable))
        .collect();
    assert_eq!(
        columns,
        [
            ("a", false),
            ("watermark", true),
            ("checks", true),
            ("ts", true)
        ]
    );
    assert_eq!(schema.watermark.map(|w| w.column), Some(3));
}

#[test]
fn views() {
    let text = "CREATE MATERIALIZED VIEW IF NOT EXISTS \"V\" (A, b)
  WITH (retention = '24 hours', unbounded = true) AS
    SELECT page, /* é */ count(*) -- all
    FROM t
  EMIT ON UPDATE EVERY INTERVAL '100 ms' ;";
    let Statement::CreateView(view) = one(text) else {
        panic!("no view")
    };
    let CreateView {
        name,
        materialized,
        or_replace,
        if_not_exists,
        columns,
        options,
        query,
        query_text,
        emission,
    } = view;
    assert_eq!(
        (
            name.value.as_str(),
            materialized,
            if_not_exists || or_replace
        ),
        ("V", true, true)
    );
    assert_eq!(
        columns.iter().map(|c| c.value.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    let options: Vec<(&str, &str)> = options
        .iter()
        .map(|e| (e.name.as_str(), e.value.as_str()))
        .collect();
    assert_eq!(options, [("retention", "24 hours"), ("unbounded", "true")]);
    assert_eq!(query.to_string(), "SELECT page, count(*) FROM t");
    assert_eq!(
        query_text,
        "SELECT page, /* é */ count(*) -- all\n    FROM t"
    );
    assert_eq!(
        (emission.emit, emission.lateness, emission.location),
        (Some(Emit::OnUpdate { every: 100_000 }), None, at(5, 3))
    );
}

#[test]
fn lateness() {
    let closed = Some(Emit::OnWindowClose);
    for (clause, expected) in [
        (
            "ALLOW LATENESS INTERVAL '1 minute'",
            (None, Some(60 * SECOND)),
        ),
        (
            "EMIT FINAL ALLOW LATENESS INTERVAL '2' SECOND",
            (closed, Some(2 * SECOND)),
        ),
        (
            "allow lateness INTERVAL '2 s' emit final",
            (closed, Some(2 * SECOND)),
        ),
        ("EMIT FINAL", (closed, None)),
    ] {
        let text = format!("CREATE MATERIALIZED VIEW v AS SELECT a FROM t x\n{clause}");
        let Statement::CreateView(view) = one(&text) else {
            panic!("{text}")
        };
        let found = view.emission;
        assert_eq!((found.emit, found.lateness), expected, "{text}");
        assert_eq!(found.location, at(2, 1), "{text}");
        assert_eq!(view.query_text, "SELECT a FROM t x", "{text}");
    }
}

#[test]
fn emit() {
    let cases = [
        ("", None),
        ("EMIT ON WINDOW CLOSE", Some(Emit::OnWindowClose)),
        ("EMIT FINAL", Some(Emit::OnWindowClose)),
        ("EMIT AFTER WINDOW CLOSE", Some(Emit::OnWindowClose)),
        ("EMIT ON UPDATE", Some(Emit::OnUpdate { every: SECOND })),
        ("emit changes", Some(Emit::OnUpdate { every: SECOND })),
        (
            "EMIT CHANGES EVERY INTERVAL '2' SECOND",
            Some(Emit::OnUpdate { every: 2 * SECOND }),
        ),
        (
            "EMIT EVERY INTERVAL '2 s'",
            Some(Emit::OnUpdate { every: 2 * SECOND }),
        ),
    ];
    for kind in ["VIEW", "MATERIALIZED VIEW"] {
        for (clause, expected) in cases {
            for query in [
                "SELECT a FROM t",
                "SELECT a FROM t x WHERE b",
                "TABLE t",
                "WITH q AS (SELECT 1) SELECT * FROM q",
            ] {
                let text = format!("CREATE {kind} v AS {query} {clause}");
                let Statement::CreateView(view) = one(&text) else {
                    panic!("{text}")
                };
                assert_eq!(
                    (view.query_text.as_str(), view.emission.emit),
                    (query, expected),
                    "{text}"
                );
            }
        }
    }
}
