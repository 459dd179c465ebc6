//! Prints how long the decoders of JSON and CSV take per record: `cargo run --release -p formats --example decode_bench`.
#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use arrow::datatypes::DataType;
use dataflow::schema::{
    Column, ColumnOrigin, CsvOptions, Encoding, SourceSchema, TimestampFormat, WatermarkDecl,
    timestamptz,
};
use dataflow::{Result, Slab};
use formats::{Limits, decoder};

const RECORDS: usize = 8_192;
const ROUNDS: usize = 300;

fn main() -> Result<()> {
    let fields = [
        "userId",
        "pageUrl",
        "eventType",
        "timestamp",
        "sessionId",
        "ipAddress",
    ];
    for text in [DataType::Utf8, DataType::Utf8View] {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            data_type: if *name == "timestamp" {
                timestamptz()
            } else {
                text.clone()
            },
            nullable: true,
            origin: ColumnOrigin::Field(vec![(*name).to_owned()]),
        };
        let schema = SourceSchema {
            columns: fields.iter().map(column).collect(),
            watermark: Some(WatermarkDecl {
                column: 3,
                delay: 0,
            }),
            timestamps: TimestampFormat::Auto,
            ..SourceSchema::default()
        };
        let csv = SourceSchema {
            encoding: Encoding::Csv(CsvOptions::default()),
            ..schema.clone()
        };
        for (what, odd) in [("no quotes", usize::MAX), ("50 % quotes", 2)] {
            let (lowest, median) = time(&csv, &[0, 1, 2, 3, 4, 5], &csv_clicks(odd))?;
            println!("CSV, {text} 6 columns, {what}: {lowest:.0} to {median:.0} ns a record");
        }
        for wanted in [vec![0, 1, 2, 3, 4, 5], vec![1, 3], vec![3]] {
            for (what, odd) in [
                ("clean", usize::MAX),
                ("1 % odd", 100),
                ("10 % odd", 10),
                ("50 % odd", 2),
            ] {
                let slab = clicks(odd);
                let (lowest, median) = time(&schema, &wanted, &slab)?;
                let (columns, bytes) = (wanted.len(), slab.data.len() / RECORDS);
                println!(
                    "{text} {columns} columns, {bytes} bytes, {what}: {lowest:.0} to {median:.0} ns a record"
                );
            }
        }
    }
    Ok(())
}

/// The same clicks as lines of CSV; every `odd`th one has a field in quotes.
fn csv_clicks(odd: usize) -> Slab {
    let mut slab = Slab::default();
    for n in 0..RECORDS {
        let (user, page, session) = (n * 7_919 % 100_000, n * 31 % 1_000, n * 104_729 % 1_000_000);
        let kind = ["page_view", "click", "add_to_cart", "purchase"][n * 13 % 4];
        let (at, ip) = (1_767_225_600_000 + n, n % 250);
        let quote = if n % odd == 1 { "\"" } else { "" };
        let text = format!(
            "user_{user},{quote}/products/{page}{quote},{kind},{at},sess_{session},192.168.1.{ip}"
        );
        slab.push(Some(text.as_bytes()), n as i64, at as i64);
    }
    slab
}

/// Click events; every `odd`th one has escapes, another order of keys and a NULL.
fn clicks(odd: usize) -> Slab {
    let mut slab = Slab::default();
    let mut text = String::new();
    for n in 0..RECORDS {
        let (user, page, session) = (n * 7_919 % 100_000, n * 31 % 1_000, n * 104_729 % 1_000_000);
        let kind = ["page_view", "click", "add_to_cart", "purchase"][n * 13 % 4];
        let (at, ip) = (1_767_225_600_000 + n, n % 250);
        text.clear();
        let written = if n % odd == 1 {
            write!(
                text,
                r#"{{"pageUrl":"\/products\/{page}","userId":"user_{user}","eventType":"{kind}","timestamp":{at},"ipAddress":"10.0.3.{ip}","sessionId":null}}"#
            )
        } else {
            write!(
                text,
                r#"{{"userId":"user_{user}","pageUrl":"/products/{page}","eventType":"{kind}","timestamp":{at},"sessionId":"sess_{session}","ipAddress":"192.168.1.{ip}"}}"#
            )
        };
        written.expect("writing to a String does not fail");
        slab.push(Some(text.as_bytes()), n as i64, at as i64);
    }
    slab
}

/// The lowest and the median of many rounds.
fn time(schema: &SourceSchema, wanted: &[usize], slab: &Slab) -> Result<(f64, f64)> {
    let mut decoder = decoder(schema, wanted, Limits::default())?;
    let mut nanos: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let decoded = black_box(decoder.decode(black_box(slab), 0..slab.len(), 0));
            assert!(decoded.bad.is_empty() && decoded.batch.num_rows() == slab.len());
            start.elapsed().as_nanos() as f64 / slab.len() as f64
        })
        .collect();
    nanos.sort_by(f64::total_cmp);
    Ok((nanos[0], nanos[nanos.len() / 2]))
}
