//! Sinks of the numbers, to every kind of target, and the account of what they have in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use e2e::kafka::{Broker, committed};
use e2e::numbers::PARTITIONS;
use e2e::postgres::Postgres;
use e2e::serve::Server;
use e2e::world::PATIENCE;

use super::statements;

/// The targets.
pub(super) struct Outputs<'a> {
    /// Address of the broker.
    pub(super) broker: String,
    pub(super) postgres: &'a Postgres,
    pub(super) files: &'a Path,
}

impl<'a> Outputs<'a> {
    /// Makes the source, the views, the tables and the sinks.
    pub(super) async fn begin(
        server: &Server,
        broker: &Broker,
        postgres: &'a Postgres,
        files: &'a Path,
    ) -> Self {
        server.query(&statements(broker.address())).await;
        let outputs = Self {
            broker: broker.address().to_owned(),
            postgres,
            files,
        };
        outputs.create(server).await;
        outputs
    }

    async fn create(&self, server: &Server) {
        let client = self.postgres.connect().await;
        let tables = "CREATE TABLE numbers_out (n bigint, ts timestamptz);
             CREATE TABLE users_out (\"user\" text PRIMARY KEY, records bigint);";
        client.batch_execute(tables).await.unwrap();
        let (url, files) = (self.postgres.url(), self.files.display());
        let kafka = |topic: &str| {
            let brokers = &self.broker;
            format!(
                "connector = 'kafka', topic = '{topic}', brokers = '{brokers}', partitions = 2, commit_interval = '50 ms'"
            )
        };
        let postgres = format!("connector = 'postgres', url = '{url}', commit_interval = '50 ms'");
        let statements = [
            format!(
                "CREATE SINK once FROM every WITH ({}, delivery = 'exactly_once') FORMAT PLAIN ENCODE JSON",
                kafka("once")
            ),
            format!(
                "CREATE SINK least FROM every WITH ({}) FORMAT PLAIN ENCODE JSON",
                kafka("least")
            ),
            format!(
                "CREATE SINK users_once FROM users WITH ({}, delivery = 'exactly_once', key.format = 'raw') FORMAT UPSERT ENCODE JSON",
                kafka("users")
            ),
            format!(
                "CREATE SINK windows_once FROM windows WITH ({}, delivery = 'exactly_once') FORMAT PLAIN ENCODE JSON",
                kafka("windows")
            ),
            format!(
                "CREATE SINK files AS SELECT n FROM numbers WITH (connector = 'file', path = '{files}', roll_interval = '100 ms') FORMAT PLAIN ENCODE JSON"
            ),
            format!(
                "CREATE SINK pg_numbers AS SELECT n, ts FROM numbers WITH ({postgres}, table = 'numbers_out') FORMAT PLAIN ENCODE JSON"
            ),
            format!(
                "CREATE SINK pg_users FROM users WITH ({postgres}, table = 'users_out') FORMAT UPSERT ENCODE JSON"
            ),
        ];
        server.query(&statements.join(";")).await;
    }

    /// All sinks.
    pub(super) fn names(&self) -> [&'static str; 7] {
        [
            "once",
            "least",
            "users_once",
            "windows_once",
            "files",
            "pg_numbers",
            "pg_users",
        ]
    }

    /// Waits until all of them have committed something since the start.
    pub(super) async fn all_work(&self, server: &Server) {
        // Says which do not, and why.
        let others = "SELECT coalesce(string_agg(sink || ' is ' || state || ': ' || coalesce(detail, 'no commit'), ', '), '')
             FROM clickmill.sinks WHERE state <> 'running' OR commits = 0";
        server.await_value(others, "(empty)").await;
        let works = "SELECT count(*) FROM clickmill.sinks WHERE state = 'running' AND commits > 0";
        let all = self.names().len().to_string();
        server.await_value(works, &all).await;
    }

    /// Those that have committed something since the start.
    pub(super) async fn writing(&self, server: &Server) -> Vec<String> {
        let rows = server
            .query("SELECT sink FROM clickmill.sinks WHERE commits > 0")
            .await;
        rows.into_iter().flatten().collect()
    }

    /// Waits until everything is written.
    pub(super) async fn finish(&self, server: &Server) {
        let open =
            "SELECT count(*) FROM clickmill.sinks WHERE state <> 'running' OR pending_rows > 0";
        let begun = Instant::now();
        while server.value(open).await != "0" {
            if begun.elapsed() > PATIENCE {
                panic!("{:?}", server.query("SELECT * FROM clickmill.sinks").await);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Every number is in every target, once; in that of a sink that promises less, at least once.
    pub(super) async fn check(&self, server: &Server, sent: i64) {
        let all: BTreeSet<i64> = (-i64::from(PARTITIONS)..sent).collect();
        self.exactly("topic once", &self.topic("once"), &all);
        self.exactly("files", &self.files(), &all);
        let least: BTreeSet<i64> = self.topic("least").into_iter().collect();
        assert!(
            least == all,
            "a sink that writes at least once lacks numbers"
        );
        let client = self.postgres.connect().await;
        let rows = client
            .query("SELECT n FROM numbers_out", &[])
            .await
            .unwrap();
        let rows: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        self.exactly("table numbers_out", &rows, &all);
        let users = server
            .query("SELECT \"user\", records FROM users ORDER BY 1")
            .await;
        let rows = client
            .query(
                "SELECT \"user\", records::text FROM users_out ORDER BY \"user\" COLLATE \"C\"",
                &[],
            )
            .await
            .unwrap();
        let rows: Vec<Vec<String>> = rows.iter().map(|r| vec![r.get(0), r.get(1)]).collect();
        assert_eq!(rows, users);
        let newest: BTreeMap<String, String> =
            committed(&self.broker, "users").into_iter().collect();
        let newest: Vec<Vec<String>> = newest
            .into_iter()
            .map(|(key, value)| {
                let value: serde_json::Value = serde_json::from_str(&value).unwrap();
                vec![key, value["records"].to_string()]
            })
            .collect();
        assert_eq!(newest, users);
        let windows = committed(&self.broker, "windows").len();
        assert_eq!(
            windows.to_string(),
            server.value("SELECT count(*) FROM windows").await
        );
    }

    fn exactly(&self, what: &str, found: &[i64], expected: &BTreeSet<i64>) {
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        for n in found {
            *counts.entry(*n).or_default() += 1;
        }
        let twice: Vec<_> = counts
            .iter()
            .filter(|(_, count)| **count != 1)
            .take(10)
            .collect();
        assert!(twice.is_empty(), "{what} has numbers so often: {twice:?}");
        let lost: Vec<_> = expected
            .iter()
            .filter(|n| !counts.contains_key(n))
            .take(10)
            .collect();
        assert!(lost.is_empty(), "{what} lacks {lost:?}");
        assert_eq!(
            counts.len(),
            expected.len(),
            "{what} has numbers that were never sent"
        );
    }

    fn topic(&self, topic: &str) -> Vec<i64> {
        let records = committed(&self.broker, topic);
        records.iter().map(|(_, value)| number(value)).collect()
    }

    fn files(&self) -> Vec<i64> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.files).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "jsonl") {
                found.extend(std::fs::read_to_string(path).unwrap().lines().map(number));
            }
        }
        found
    }
}

fn number(record: &str) -> i64 {
    let record: serde_json::Value = serde_json::from_str(record).unwrap();
    record["n"].as_i64().unwrap()
}
