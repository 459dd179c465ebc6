//! A real Apache Kafka broker of one test, started by `tests/kafka/broker`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::tools::tests_folder;

/// A broker with a folder of its own; stopped when dropped.
pub struct Broker {
    folder: TempDir,
    address: String,
}

impl Broker {
    /// Starts a broker.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("clickmill-kafka-")
            .tempdir()
            .unwrap();
        let mut broker = Self {
            folder,
            address: String::new(),
        };
        broker.start_again();
        broker
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Stops the broker; its topics stay in the folder.
    pub fn stop(&self) {
        self.script("stop");
    }

    /// Ends the broker as a crash does.
    pub fn kill(&self) {
        self.script("kill");
    }

    /// Starts the broker on its folder and, after the first time, on its port.
    pub fn start_again(&mut self) {
        self.address = self.script("start").trim().to_owned();
    }

    fn script(&self, command: &str) -> String {
        // The broker inherits none of our pipes but this one, which the script's children do not keep.
        let output = Command::new(script())
            .arg(command)
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "tests/kafka/broker {command} failed"
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // In a failing test another panic would hide the first.
        let _ = Command::new(script())
            .arg("stop")
            .arg(self.folder.path())
            .status();
    }
}

/// The committed records of a topic, as kcat reads them: key and value.
pub fn committed(brokers: &str, topic: &str) -> Vec<(String, String)> {
    let text = consumed(brokers, topic, "%k\t%s\n");
    let record = |line: &str| {
        let (key, value) = line.split_once('\t').unwrap();
        (key.to_owned(), value.to_owned())
    };
    text.lines().map(record).collect()
}

/// The committed records of a topic in kcat's format; bytes that are no text are replaced.
pub fn consumed(brokers: &str, topic: &str, format: &str) -> String {
    let output = Command::new("kcat")
        .args([
            "-C", "-q", "-e", "-Z", "-b", brokers, "-t", topic, "-f", format,
        ])
        .args(["-X", "isolation.level=read_committed"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "kcat failed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn script() -> PathBuf {
    tests_folder().join("kafka/broker")
}
