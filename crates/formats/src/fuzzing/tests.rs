//! Replays the committed corpus on any compiler; `FORMATS_WRITE_CORPUS=1` writes its seeds anew.

use std::path::{Path, PathBuf};

use super::{SEPARATOR, TOMBSTONE, check_record_stream, record_stream};
use crate::LaneCounts;

const SEEDS: u8 = 32;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/records")
}

/// A usual record of the schema that `columns` chooses.
fn record(columns: u8, n: usize) -> String {
    let at = 1_767_225_600_000 + n * 1_001;
    if columns & 1 == 0 {
        format!(
            r#"{{"userId":"user_{n}","pageUrl":"/products/{}","eventType":"click","timestamp":{at},"sessionId":"s{n}","ipAddress":"10.0.0.{n}"}}"#,
            n * n
        )
    } else {
        format!(
            r#"{{"s":"t{n}","at":{at},"n":-{n},"i":{n},"d":{n}.5,"b":true,"user":{{"id":{n},"name":"ü"}},"price":{n}.25,"day":"2026-01-{:02}","small":{n},"real":1e{n},"x":[{n}]}}"#,
            1 + n % 28
        )
    }
}

/// A record with something odd in it.
fn odd(kind: u8, record: &str) -> Vec<u8> {
    let half = record.len() / 2;
    let odd = match kind % 16 {
        0 => record.replacen(":\"", ":\"\\u00e9\\n", 1),
        1 => record.replacen(":\"", ":\"\\ud83d", 1),
        2 => record.replacen(":\"", ":\"\\u0000", 1),
        3 => record.replacen('"', " \"", 3),
        4 => record[..half].to_owned(),
        5 => format!("{record}{record}"),
        6 => record.replacen("{\"", "{\"new\":null,\"", 1),
        7 => record.replacen(",\"", ",\"s\":null,\"userId\":7,\"", 2),
        8 => record.replace("1767", "9".repeat(30).as_str()),
        9 => record.replace("10", "\"10\""),
        10 => record.replacen(":\"", &format!(":\"{}", "long ".repeat(30)), 2),
        11 => record.replacen(":\"", &format!(":{}\"", "[".repeat(5)), 1),
        12 => record.replace("176", "0176"),
        13 => record.replace('e', "é"),
        14 => return vec![TOMBSTONE],
        _ => {
            let mut bytes = record.as_bytes().to_vec();
            bytes[half] = 0xff;
            return bytes;
        }
    };
    odd.into_bytes()
}

/// The stream of one seed: usual records with odd ones in all lanes.
fn stream(seed: u8) -> Vec<u8> {
    let columns = (seed % 2) | ((seed / 4) << 1);
    let mut bytes = vec![columns, [0xff, 0x05][usize::from(seed / 16)], seed % 4];
    for n in 0..12 + usize::from(seed % 4) {
        let usual = record(columns, n + 1);
        if n % 5 == 3 {
            bytes.extend(odd(seed.wrapping_add(n as u8 * 5), &usual));
        } else {
            bytes.extend(usual.into_bytes());
        }
        bytes.push(SEPARATOR);
    }
    bytes.pop();
    bytes
}

#[test]
fn corpus() {
    if std::env::var_os("FORMATS_WRITE_CORPUS").is_some() {
        for seed in 0..SEEDS {
            std::fs::write(folder().join(format!("seed-{seed:02}")), stream(seed)).unwrap();
        }
    }
    let (mut files, mut counts) = (0, LaneCounts::default());
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        // Shown when the test fails.
        println!("{}", path.display());
        let found = record_stream(&std::fs::read(path).unwrap());
        counts.in_lockstep += found.in_lockstep;
        counts.alone += found.alone;
        files += 1;
    }
    assert!(files >= usize::from(SEEDS), "{files} files");
    assert!(counts.in_lockstep > 200, "{counts:?}");
    assert!(counts.alone > 30, "{counts:?}");
}

#[test]
fn damaged_streams() {
    for seed in 0..SEEDS {
        let stream = stream(seed);
        for at in (usize::from(seed) % 7..stream.len()).step_by(37) {
            let mut damaged = stream.clone();
            damaged[at] ^= 1 << (at % 8);
            check_record_stream(&damaged);
            damaged.truncate(at);
            check_record_stream(&damaged);
        }
    }
}
