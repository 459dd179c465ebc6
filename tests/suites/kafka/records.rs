//! Sources that tell their own columns, take records by INSERT, and get columns while views read them.

use std::time::Duration;

use e2e::kafka::Broker;
use e2e::world::{Client, PATIENCE, World};

const TOPIC: &str = "shop";
/// 2026-01-01 00:00:00 UTC in milliseconds.
const FIRST_MS: i64 = 1_767_225_600_000;
const RECORDS: i64 = 300;

/// Records in three partitions, a second apart.
fn fill(brokers: &str) {
    kafka::admin::create_topic(brokers, TOPIC, 3).unwrap();
    kafka::admin::create_topic(brokers, "empty", 1).unwrap();
    let producer = kafka::Producer::new(brokers, TOPIC, &[]).unwrap();
    for n in 0..RECORDS {
        let record = format!(
            r#"{{"userId":"u{}","event_time":{},"item":{{"id":{n},"price":{n}.5}},"note":"n{n}"}}"#,
            n % 7,
            FIRST_MS + n * 1_000
        );
        let record = kafka::Record {
            payload: Some(record.as_bytes()),
            partition: Some(i32::try_from(n % 3).unwrap()),
            ..kafka::Record::default()
        };
        producer.send(&record).unwrap();
    }
    let delivery = producer.flush(PATIENCE);
    assert_eq!(delivery.delivered, RECORDS.unsigned_abs());
}

/// Against a real broker, which then goes away.
pub(super) async fn on_a_real_broker() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let world = World::with_system_clock();
    let mut client = world.connect();
    let brokers = broker.address().to_owned();
    tokio::task::spawn_blocking(move || fill(&brokers))
        .await
        .unwrap();
    infer(&mut client, broker.address()).await;
    insert(&mut client).await;
    alter(&mut client).await;
    tokio::task::block_in_place(|| broker.stop());
    let error = client
        .run("INSERT INTO chosen (user_id) VALUES ('u1')")
        .await;
    // The event time is missing: found before anything is sent.
    assert_eq!(error.unwrap_err().state().0, "23502");
    let begun = std::time::Instant::now();
    let error = client
        .run("INSERT INTO chosen (user_id, event_time) VALUES ('u1', '2026-01-01')")
        .await
        .unwrap_err();
    assert_eq!(error.state().0, "08006", "{error:?}");
    assert!(error.message().contains("acknowledged 0 of 1"), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{error:?}");
}

/// The columns are chosen by a sample; the statement that is shown makes the same source again.
async fn infer(client: &mut Client, brokers: &str) {
    let with = |topic: &str| {
        format!("WITH (connector = 'kafka', topic = '{topic}', brokers = '{brokers}')")
    };
    client
        .execute(&format!(
            "CREATE SOURCE chosen INCLUDE KEY AS k {} FORMAT PLAIN ENCODE JSON INFER (SAMPLE 120)",
            with(TOPIC)
        ))
        .await;
    let notices = client.notices().join("\n");
    assert!(
        notices.contains("120 records of \"shop\" were read"),
        "{notices}"
    );
    assert!(notices.contains("user_id TEXT FROM 'userId'"), "{notices}");
    assert!(
        notices.contains("\"event_time\" is the event time: all 120 records have it"),
        "{notices}"
    );
    let columns = client.query("DESCRIBE chosen").await;
    let types: Vec<(&str, &str)> = columns.iter().map(|c| (&*c[0], &*c[1])).collect();
    assert_eq!(
        types,
        [
            ("user_id", "text"),
            ("event_time", "timestamp with time zone"),
            ("item_id", "bigint"),
            ("item_price", "double precision"),
            ("note", "text"),
            ("rest", "text"),
            ("k", "text"),
        ]
    );
    let shown = client.query("SHOW CREATE SOURCE chosen").await;
    let statement = shown[0][1].replacen("chosen", "again", 1);
    client.execute(&statement).await;
    assert_eq!(client.query("DESCRIBE again").await, columns);
    assert_eq!(client.value("SELECT count(*) FROM again").await, "300");
    let refused = [("empty", "55000"), ("missing", "08006")];
    for (topic, state) in refused {
        let error = client
            .run(&format!("CREATE SOURCE none {} INFER", with(topic)))
            .await;
        assert_eq!(error.unwrap_err().state().0, state, "{topic}");
    }
}

/// Rows become records that views read.
async fn insert(client: &mut Client) {
    client
        .execute("CREATE MATERIALIZED VIEW keyed AS SELECT k, user_id, item_id, event_time FROM chosen WHERE k IS NOT NULL")
        .await;
    client
        .execute(
            "INSERT INTO chosen (k, user_id, item_id, event_time) VALUES ('k1', 'ü', 7, '2026-01-01 00:10:00.000001Z'), (NULL, 'x', 8, '2026-01-01')",
        )
        .await;
    client
        .until("SELECT count(*) FROM keyed", PATIENCE, |n| n == "1")
        .await;
    assert_eq!(
        client.query("SELECT * FROM keyed").await,
        [["k1", "ü", "7", "2026-01-01 00:10:00.000001+00"]]
    );
    assert_eq!(client.value("SELECT count(*) FROM chosen").await, "302");
}

/// A column is added while a view reads the source: that view goes on, a new one has the column.
async fn alter(client: &mut Client) {
    client
        .execute("ALTER SOURCE chosen ADD COLUMN color TEXT FROM 'item.color'")
        .await;
    client
        .execute("CREATE MATERIALIZED VIEW colors AS SELECT color, k FROM chosen WHERE color IS NOT NULL")
        .await;
    client
        .execute("INSERT INTO chosen (k, color, event_time) VALUES ('k2', 'red', '2026-01-01 00:20:00Z')")
        .await;
    client
        .until("SELECT count(*) FROM colors", PATIENCE, |n| n == "1")
        .await;
    client
        .until("SELECT count(*) FROM keyed", PATIENCE, |n| n == "2")
        .await;
    let states = client.query("SHOW JOBS").await;
    assert!(
        states.iter().all(|job| job.contains(&"running".to_owned())),
        "{states:?}"
    );
    let shown = client.query("SHOW CREATE SOURCE chosen").await;
    let statement = shown[0][1].replace("chosen", "third");
    client.execute(&statement).await;
    assert_eq!(
        client.query("DESCRIBE third").await,
        client.query("DESCRIBE chosen").await
    );
    // A suspended view goes over to the new definition, and reads the same rows.
    client
        .execute("ALTER MATERIALIZED VIEW keyed SUSPEND")
        .await;
    client.execute("ALTER MATERIALIZED VIEW keyed RESUME").await;
    client
        .until("SELECT count(*) FROM keyed", PATIENCE, |n| n == "2")
        .await;
}
