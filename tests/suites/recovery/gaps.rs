//! Records that Kafka deletes before they are read: skipped and told, or the end of the views, as the source says.

use e2e::kafka::Broker;
use e2e::serve::Server;
use e2e::world::PATIENCE;
use tempfile::TempDir;

/// Sends numbers to the only partition of `topic`.
pub(super) async fn send(brokers: &str, topic: &'static str, numbers: std::ops::Range<i64>) {
    let brokers = brokers.to_owned();
    let sent = tokio::task::spawn_blocking(move || {
        kafka::admin::create_topic(&brokers, topic, 1).unwrap();
        let producer = kafka::Producer::new(&brokers, topic, &[]).unwrap();
        for n in numbers {
            let payload = format!(r#"{{"n":{n}}}"#);
            let record = kafka::Record {
                payload: Some(payload.as_bytes()),
                ..kafka::Record::default()
            };
            producer.send(&record).unwrap();
        }
        producer.flush(PATIENCE).failed
    });
    assert_eq!(sent.await.unwrap(), 0);
}

async fn delete(brokers: &str, topic: &'static str, before: i64) {
    let brokers = brokers.to_owned();
    let deleted = tokio::task::spawn_blocking(move || {
        kafka::admin::delete_records(&brokers, topic, 0, before)
    });
    deleted.await.unwrap().unwrap();
}

pub(super) async fn deleted_before_they_were_read() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let brokers = broker.address();
    send(brokers, "clicks", 0..10).await;
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(folder.path());
    for (source, lost_data) in [("lenient", "skip"), ("strict", "fail")] {
        let statements = format!(
            "CREATE SOURCE {source} (n BIGINT) WITH (connector = 'kafka', topic = 'clicks', brokers = '{brokers}', lost_data = '{lost_data}')
               FORMAT PLAIN ENCODE JSON;
             CREATE MATERIALIZED VIEW of_{source} AS SELECT count(*) AS records, sum(n) AS sum FROM {source};"
        );
        server.query(&statements).await;
        let records = format!("SELECT records FROM of_{source}");
        server.await_value(&records, "10").await;
    }
    let gaps = "SELECT source, topic, partition, reason, from_offset, to_offset, records, noticed_at > '2026-01-01' FROM clickmill.source_gaps";
    assert!(server.query(gaps).await.is_empty());
    // An orderly end, so that no record is needed twice.
    server.stop();
    send(brokers, "clicks", 10..20).await;
    delete(brokers, "clicks", 15).await;
    server = Server::start(folder.path());
    server
        .await_value("SELECT records || ' ' || sum FROM of_lenient", "15 130")
        .await;
    let state = "SELECT state FROM clickmill.jobs WHERE name = 'of_strict'";
    server.await_value(state, "failed").await;
    let detail = server
        .value("SELECT detail FROM clickmill.jobs WHERE name = 'of_strict'")
        .await;
    assert!(
        detail.contains("those from offset 10 to 15 were deleted before"),
        "{detail}"
    );
    let told = [["lenient", "clicks", "0", "deleted", "10", "15", "5", "t"]];
    let before = server.query(gaps).await;
    assert_eq!(before, told);
    let when = "SELECT noticed_at FROM clickmill.source_gaps";
    let noticed = server.value(when).await;
    // A crash takes nothing of it back, whether it is in the journal only or in a checkpoint.
    for _ in 0..2 {
        server.kill();
        server = Server::start(folder.path());
        assert_eq!(server.query(gaps).await, told);
        assert_eq!(server.value(when).await, noticed);
        let done = "SELECT count(*) > 0 FROM clickmill.checkpoints WHERE status = 'done'";
        send(brokers, "clicks", 20..21).await;
        server.await_value(done, "t").await;
    }
    // What is left of the topic is all there is for a view that is made again.
    server
        .query("ALTER MATERIALIZED VIEW of_strict RESUME")
        .await;
    server
        .await_value("SELECT records FROM of_strict", "7")
        .await;
    assert_eq!(server.query(gaps).await, told);
}
