//! kcat as Debian packages it, with its older librdkafka: listing, producing, consuming, searching by time.

use std::io::Write;
use std::process::{Command, Stdio};

use broker::BrokerConfig;

use crate::support::Running;

/// Output of a kcat command, or `None` where there is no kcat.
fn kcat(running: &Running, arguments: &[&str], input: &str) -> Option<String> {
    if Command::new("kcat").arg("-V").output().is_err() {
        eprintln!("skipped: kcat is not installed");
        return None;
    }
    let mut child = Command::new("timeout")
        .args(["60", "kcat", "-b", &running.address().to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kcat {arguments:?}: {error}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn kcat_lists_produces_and_consumes() {
    let running = Running::with(BrokerConfig {
        auto_create_partitions: Some(2),
        ..BrokerConfig::default()
    });
    running.topic("known", 3);
    let Some(listed) = kcat(&running, &["-L"], "") else {
        return;
    };
    assert!(
        listed.contains("topic \"known\" with 3 partitions"),
        "{listed}"
    );
    assert!(
        listed.contains(&format!("broker 1 at {}", running.address())),
        "{listed}"
    );

    let lines: String = (0..1_000).map(|n| format!("key{n}:value {n}\n")).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("fresh-{codec}");
        kcat(
            &running,
            &["-P", "-t", &topic, "-p", "1", "-K:", "-z", codec],
            &lines,
        );
        let read = kcat(
            &running,
            &[
                "-C",
                "-t",
                &topic,
                "-p",
                "1",
                "-o",
                "beginning",
                "-e",
                "-q",
                "-K:",
            ],
            "",
        );
        assert_eq!(read.unwrap(), lines);
    }
    let last = kcat(
        &running,
        &["-C", "-t", "fresh-none", "-p", "1", "-o", "-2", "-e", "-q"],
        "",
    )
    .unwrap();
    assert_eq!(last, "value 998\nvalue 999\n");
    let found = kcat(&running, &["-Q", "-t", "fresh-none:1:0"], "").unwrap();
    assert!(found.contains("fresh-none [1] offset 0"), "{found}");
    running.stop();
}

#[test]
fn kcat_consumes_in_a_group() {
    let running = Running::new();
    running.topic("grouped", 1);
    let Some(_) = kcat(
        &running,
        &["-P", "-t", "grouped"],
        "one\ntwo\nthree\nfour\n",
    ) else {
        return;
    };
    let group = |count| {
        kcat(
            &running,
            &[
                "-G",
                "cats",
                "-c",
                count,
                "-q",
                "-X",
                "auto.offset.reset=earliest",
                "grouped",
            ],
            "",
        )
        .unwrap()
    };
    assert_eq!(group("2"), "one\ntwo\n");
    assert_eq!(group("2"), "three\nfour\n");
    running.stop();
}
