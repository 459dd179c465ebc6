//! The statement that INFER writes is read as the columns that were chosen.

use dataflow::Slab;
use dataflow::schema::SourceSchema;
use formats::infer::{Inferred, infer};
use formats::{JsonSample, Limits};
use sql::ast::{InferSource, Statement};

use super::{free_name, statement};

/// 2026-01-01 00:00:00 UTC in microseconds.
const NOW: i64 = 1_767_225_600_000_000;

fn create(text: &str) -> InferSource {
    let parsed = sql::parse::parse(text).unwrap().remove(0);
    let Statement::InferSource(create) = parsed.statement else {
        panic!("{text}");
    };
    create
}

fn chosen(create: &InferSource, record: &str) -> Inferred {
    let mut slab = Slab::default();
    slab.push(Some(record.as_bytes()), 0, 0);
    let mut sample = JsonSample::new(create.timestamps, Limits::default());
    sample.add(&slab, 0..1, 0);
    let taken: Vec<String> = create.included.iter().map(|c| c.name.clone()).collect();
    infer(&sample, &taken, NOW)
}

/// Writes the statement for a record and reads it.
fn read_back(create: &InferSource, record: &str) -> (Inferred, SourceSchema) {
    let chosen = chosen(create, record);
    let names: Vec<String> = chosen.columns.iter().map(|c| c.name.clone()).collect();
    let text = statement(create, &chosen, Some(&free_name("rest", &names)));
    let parsed = sql::parse::parse(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    let [parsed] = parsed.as_slice() else {
        panic!("{text}");
    };
    let Statement::CreateSource(source) = &parsed.statement else {
        panic!("{text}");
    };
    (chosen, source.schema.clone())
}

#[test]
fn whatever_fields_are_called() {
    let create = create(
        "CREATE SOURCE \"Odd name\" INCLUDE KEY AS k, OFFSET AS \"order\" WITH (connector = 'kafka', \
         topic = 't', timestamp.format = 'epoch_ms') FORMAT PLAIN ENCODE JSON INFER",
    );
    let words = [
        "user",
        "order",
        "timestamp",
        "time",
        "date",
        "interval",
        "from",
        "select",
        "table",
        "end",
        "watermark",
        "primary",
        "unique",
        "check",
        "constraint",
        "like",
        "exclude",
        "foreign",
        "include",
        "metadata",
        "generated",
        "as",
        "not",
        "null",
        "default",
        "values",
        "key",
        "offset",
        "partition",
        "window",
        "group",
        "limit",
        "for",
        "with",
        "emit",
        "session",
        "tumble",
        "type",
        "name",
        "value",
        "array",
        "row",
        "struct",
        "current_date",
        "case",
        "it's",
        "we\\\"ird",
        "ключ",
        "2fa",
        "$",
        "a b",
        "-- no comment",
        "/* c",
        "\\u0001",
        "\\n",
        "a;b",
        "camelCase",
        "ALLCAPS",
        "k",
        "rest",
    ];
    for word in words {
        for value in [
            "1767225599000",
            "\"x\"",
            "{\"id\":1,\"at\":\"2026-01-01\"}",
            "1.5",
            "true",
        ] {
            let (chosen, schema) = read_back(&create, &format!("{{\"{word}\":{value}}}"));
            let declared = &schema.columns[..chosen.columns.len()];
            assert_eq!(declared, chosen.columns, "{word} {value}");
            let watermark = schema.watermark.map(|w| (w.column, w.delay));
            let event_time = chosen.event_time.map(|time| (time.column, time.delay));
            assert_eq!(watermark, event_time, "{word} {value}");
            assert_eq!(schema.timestamps, create.timestamps);
        }
    }
}

#[test]
fn clauses_stay_as_they_were_written() {
    let create = create(
        "CREATE SOURCE IF NOT EXISTS s INFER (SAMPLE 5) WITH (connector = 'memory', topic = 'it''s') INCLUDE REST AS r",
    );
    let chosen = chosen(&create, r#"{"a":1,"ts":"2026-01-01T00:00:00Z"}"#);
    assert_eq!(
        statement(&create, &chosen, None),
        "CREATE SOURCE IF NOT EXISTS s (\n  a BIGINT,\n  ts TIMESTAMP WITH TIME ZONE,\n  \
         WATERMARK FOR ts AS ts - INTERVAL '5 seconds'\n)\n\
         WITH (connector = 'memory', topic = 'it''s')\nINCLUDE REST AS r\nFORMAT PLAIN ENCODE JSON"
    );
}
