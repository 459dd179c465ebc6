//! Views over Kafka: a million events on a real Apache Kafka that goes away in the middle, late rows, one read for many
//! views, sources that end, several topics.

mod model;
mod records;
mod sources;

use std::time::Duration;

use broker::BrokerConfig;
use clicks::{ClickConfig, ClickGenerator, EventKind};
use e2e::kafka::Broker;
use e2e::tools::{long, trial};
use e2e::world::{Client, PATIENCE, World, block_on};
use libtest_mimic::Trial;
use model::Model;

const PROGRAMS: &[&str] = &["java", "mvn"];
const PARTITIONS: i32 = 8;
/// Event time of the first event: 2026-01-01 00:00:00 UTC, in milliseconds.
const FIRST_MS: i64 = 1_767_225_600_000;
/// Event time between two events, in milliseconds.
const STEP_MS: i64 = 1;
/// How long the engine may take for all events of a test.
const READ_LIMIT: Duration = Duration::from_secs(15 * 60);
const DELIVERY_LIMIT: Duration = Duration::from_secs(120);

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = sources::trials();
    trials.extend([
        trial(
            "kafka::a_million_events_and_a_broker_that_goes_away",
            PROGRAMS,
            || block_on(a_million_events()),
        ),
        trial(
            "kafka::late_rows_and_bad_records_are_kept_and_no_row_is_lost",
            PROGRAMS,
            || block_on(late_rows()),
        ),
        trial(
            "kafka::columns_are_chosen_and_added_and_records_are_sent",
            PROGRAMS,
            || block_on(records::on_a_real_broker()),
        ),
        trial(
            "kafka::a_record_that_fails_a_view_is_named_and_skipped",
            &[],
            || block_on(a_failing_record()),
        ),
        trial("kafka::many_views_share_one_read", &[], || {
            block_on(many_views_share_one_read())
        }),
    ]);
    trials
}

/// Sends generated events and keeps the model of what views must show.
struct Sender {
    producer: kafka::Producer,
    generator: ClickGenerator,
    model: Model,
    now_ms: i64,
    sent: u64,
}

impl Sender {
    fn new(brokers: &str, topic: &str, config: &ClickConfig) -> Self {
        kafka::admin::create_topic(brokers, topic, PARTITIONS).unwrap();
        let properties = [
            ("enable.idempotence", "true"),
            ("message.timeout.ms", "120000"),
        ];
        let producer = kafka::Producer::new(brokers, topic, &properties).unwrap();
        Self {
            producer,
            generator: ClickGenerator::new(config),
            model: Model::default(),
            now_ms: FIRST_MS,
            sent: 0,
        }
    }

    /// Sends `count` events; a user's go to one partition, so that a partition is never out of order by more than the
    /// generator's disorder.
    fn send(&mut self, count: u64) {
        let mut record = Vec::new();
        for _ in 0..count {
            let meta = self.generator.next_event(self.now_ms, &mut record);
            self.now_ms += STEP_MS;
            let key = record[meta.key.clone()].to_vec();
            let partition = i32::from(key[key.len() - 1]) % PARTITIONS;
            self.put(&record, Some(&key), partition);
            match meta.kind {
                EventKind::Bad => self.model.bad += 1,
                EventKind::Good | EventKind::Late => self.model.add(&record),
            }
        }
        self.flush();
    }

    /// Sends one event to every partition that is an hour later than all others: every window closes.
    fn close_windows(&mut self) {
        let ts = self.now_ms + 3_600_000;
        let record = format!(
            r#"{{"userId":"nobody","pageUrl":"/end","eventType":"click","timestamp":{ts},"sessionId":"s","ipAddress":"10.0.0.1"}}"#
        );
        for partition in 0..PARTITIONS {
            self.put(record.as_bytes(), None, partition);
        }
        self.flush();
    }

    fn put(&mut self, payload: &[u8], key: Option<&[u8]>, partition: i32) {
        let record = kafka::Record {
            key,
            payload: Some(payload),
            partition: Some(partition),
            ..kafka::Record::default()
        };
        self.producer.send(&record).unwrap();
        self.sent += 1;
    }

    fn flush(&self) {
        let delivery = self.producer.flush(DELIVERY_LIMIT);
        assert_eq!(
            (delivery.delivered, delivery.failed),
            (self.sent, 0),
            "{delivery:?}"
        );
    }
}

fn source(brokers: &str, topic: &str) -> String {
    format!(
        "CREATE SOURCE clicks (
           user_id TEXT FROM 'userId', page_url TEXT FROM 'pageUrl', event_type TEXT FROM 'eventType',
           ts TIMESTAMPTZ FROM 'timestamp' NOT NULL, WATERMARK FOR ts AS ts - INTERVAL '5 seconds'
         ) WITH (connector = 'kafka', topic = '{topic}', brokers = '{brokers}', group.id = 'clickmill-tests',
                 watermark.idle_timeout = '1 h')
         FORMAT PLAIN ENCODE JSON;"
    )
}

const VIEWS: &str = "
CREATE MATERIALIZED VIEW minutes AS
  SELECT page_url, window_start, count(*) AS n, count(DISTINCT user_id) AS users, min(ts) AS first
  FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY page_url, window_start, window_end;
CREATE MATERIALIZED VIEW hops AS
  SELECT event_type, window_start, count(*) AS n
  FROM HOP(clicks, ts, INTERVAL '10 seconds', INTERVAL '5 minutes') GROUP BY event_type, window_start, window_end;
CREATE MATERIALIZED VIEW sessions AS
  SELECT user_id, window_start, window_end, count(*) AS n
  FROM SESSION(clicks PARTITION BY user_id, ts, INTERVAL '1 minute') GROUP BY user_id, window_start, window_end;
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM clicks;";

/// Sum over the partitions of a column of `clickmill.sources`.
fn sum(column: &str) -> String {
    format!("SELECT sum({column}) FROM clickmill.sources WHERE source = 'clicks'")
}

async fn await_read(client: &mut Client, records: u64) {
    client
        .until(&sum("records"), READ_LIMIT, |n| n == records.to_string())
        .await;
}

async fn a_million_events() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let config = ClickConfig {
        seed: 20_260_101,
        users: 20_000,
        pages: 200,
        active_sessions: 2_000,
        late: 0.0,
        ..ClickConfig::default()
    };
    let mut sender = Sender::new(broker.address(), "click-stream", &config);
    let half = if long() { 5_000_000 } else { 500_000 };
    sender.send(half);

    let world = World::with_system_clock();
    let mut client = world.connect();
    client
        .execute(&(source(broker.address(), "click-stream") + VIEWS))
        .await;
    // In the middle of the first half the broker stops.
    client
        .until(&sum("records"), READ_LIMIT, |n| {
            n.parse::<u64>().is_ok_and(|n| n > half / 10)
        })
        .await;
    let broker = tokio::task::block_in_place(|| {
        broker.stop();
        broker
    });
    client
        .until(
            "SELECT string_agg(DISTINCT state, ',') FROM clickmill.sources",
            READ_LIMIT,
            |state| state == "retrying",
        )
        .await;
    let before = client.value("SELECT n FROM total").await;
    assert_eq!(
        client
            .value("SELECT string_agg(DISTINCT state, ',') FROM clickmill.jobs")
            .await,
        "running"
    );
    let mut broker = broker;
    tokio::task::block_in_place(|| broker.start_again());
    sender.send(half);
    sender.close_windows();
    await_read(&mut client, sender.sent).await;
    assert_eq!(
        client
            .value("SELECT string_agg(DISTINCT state, ',') FROM clickmill.sources")
            .await,
        "running"
    );
    println!(
        "{before} of {} events were read when the broker was away",
        sender.sent
    );
    check(&mut client, &sender).await;
}

/// Compares every view with the model.
async fn check(client: &mut Client, sender: &Sender) {
    let model = &sender.model;
    assert_eq!(
        client.value(&sum("bad_records")).await,
        model.bad.to_string()
    );
    assert_eq!(client.value(&sum("lag")).await, "0");
    assert_eq!(
        client
            .value("SELECT sum(late_rows) FROM clickmill.jobs")
            .await,
        "0"
    );
    let good = (model.events.len() + PARTITIONS as usize).to_string();
    // An updating view gathers changes for a second.
    client
        .until("SELECT n FROM total", PATIENCE, |n| n == good)
        .await;
    let all = [
        (
            "SELECT page_url, window_start, n, users, first FROM minutes",
            model.minutes(),
        ),
        ("SELECT event_type, window_start, n FROM hops", model.hops()),
        (
            "SELECT user_id, window_start, window_end, n FROM sessions",
            model.sessions(),
        ),
    ];
    for (query, mut expected) in all {
        // The rows of the events that only close windows are not there yet.
        let mut found: Vec<String> = client
            .query(query)
            .await
            .into_iter()
            .map(|row| row.join("|"))
            .collect();
        found.sort_unstable();
        expected.sort_unstable();
        model::assert_same(query, &found, &expected);
    }
}

/// With late events, what is dropped depends on how the partitions interleave; but every row is either in its window or
/// counted as late.
async fn late_rows() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let config = ClickConfig {
        seed: 7,
        users: 2_000,
        pages: 50,
        active_sessions: 200,
        late: 0.01,
        ..ClickConfig::default()
    };
    let mut sender = Sender::new(broker.address(), "late", &config);
    sender.send(200_000);
    let bad: [&[u8]; 4] = [
        b"{\"timestamp\":\"soon\"}",
        b"{",
        b"\xff",
        // The year 2100.
        b"{\"timestamp\":4102444800000}",
    ];
    bad.iter().for_each(|record| sender.put(record, None, 5));
    sender.close_windows();
    let world = World::with_system_clock();
    let mut client = world.connect();
    let kept = "WITH (late = 'store', bad_data = 'store', ";
    let source = source(broker.address(), "late").replacen("WITH (", kept, 1);
    client.execute(&(source + VIEWS)).await;
    await_read(&mut client, sender.sent).await;
    let reasons = "SELECT reason, \"partition\" FROM clicks_errors WHERE encode(payload, 'hex') IN ('7b', 'ff') \
        OR reason = 'far_future' ORDER BY \"offset\"";
    assert_eq!(
        client.query(reasons).await,
        [["not_json", "5"], ["not_utf8", "5"], ["far_future", "5"]]
    );
    let errors =
        "SELECT count(*), (SELECT sum(bad_records) FROM clickmill.sources) FROM clicks_errors";
    let counts = &client.query(errors).await[0];
    assert_eq!(counts[0], counts[1]);
    let places = "SELECT count(*) FROM (SELECT DISTINCT \"partition\", \"offset\" FROM clicks_errors WHERE topic = 'late')";
    assert_eq!(client.value(places).await, counts[0]);
    let errors: usize = counts[0].parse().unwrap();
    let good = sender.model.events.len();
    let late = |view: &str| format!("SELECT late_rows FROM clickmill.jobs WHERE name = '{view}'");
    let mut late_rows = Vec::new();
    for view in ["minutes", "sessions"] {
        let rows: usize = client
            .value(&format!("SELECT sum(n) FROM {view}"))
            .await
            .parse()
            .unwrap();
        let late: usize = client.value(&late(view)).await.parse().unwrap();
        assert_eq!(rows + late, good, "{view}");
        late_rows.push(late);
    }
    // Every late row is there, once, with the watermark that it missed.
    let of_view = "SELECT count(*) FROM clicks_late WHERE view = 'minutes'";
    assert_eq!(client.value(of_view).await, late_rows[0].to_string());
    let in_time = "SELECT count(*) FROM clicks_late WHERE view <> 'minutes' OR late_by <> watermark - event_time \
        OR date_trunc('minute', event_time) + INTERVAL '1 minute' > watermark + INTERVAL '1 microsecond'";
    assert_eq!(client.value(in_time).await, "0");
    let rows = "SELECT count(*) FROM clicks_late WHERE \"row\" NOT LIKE '{\"user_id\":\"user_%\"ts\":\"202%Z\"}'";
    assert_eq!(client.value(rows).await, "0");
    // So a query that ends finds what the view and the table of late rows have together, but for windows that are open.
    let bounded = "SELECT sum(n) FROM (SELECT count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '1 minute') \
        GROUP BY page_url, window_start, window_end)";
    let rows = sender.sent as usize - errors;
    assert_eq!(client.value(bounded).await, rows.to_string());
    // Late events are at most a minute old: too late for many a minute, in time for a session that ends a minute after them
    // and for a hop of five.
    // How many are late depends on where the ticks end: a tick's rows are judged by the watermark before it.
    assert!(late_rows[0] > 0, "{late_rows:?} late rows show nothing");
    assert_eq!(
        (late_rows[1], client.value(&late("hops")).await.as_str()),
        (0, "0")
    );
}

/// Bytes that a fresh embedded broker sends for the views of `statements` over the same records.
async fn bytes_out(statements: &str) -> u64 {
    let broker = broker::Broker::start(BrokerConfig::default())
        .await
        .unwrap();
    let brokers = broker.address().to_string();
    let config = ClickConfig {
        seed: 3,
        ..ClickConfig::default()
    };
    let to = brokers.clone();
    let sent = tokio::task::spawn_blocking(move || {
        let mut sender = Sender::new(&to, "click-stream", &config);
        sender.send(200_000);
        sender.sent
    });
    let sent = sent.await.unwrap();
    let world = World::with_system_clock();
    let mut client = world.connect();
    client
        .execute(&(source(&brokers, "click-stream") + statements))
        .await;
    await_read(&mut client, sent).await;
    let jobs = "SELECT count(*) FROM clickmill.jobs WHERE state <> 'running' OR lag > 0";
    client.until(jobs, READ_LIMIT, |n| n == "0").await;
    let bytes = broker.bytes_out();
    drop(client);
    drop(world);
    broker.shutdown().await;
    bytes
}

/// A view that fails at a record says which, hurts no other, and goes on without it.
async fn a_failing_record() {
    let broker = broker::Broker::start(BrokerConfig::default())
        .await
        .unwrap();
    let brokers = broker.address().to_string();
    let to = brokers.clone();
    tokio::task::spawn_blocking(move || {
        kafka::admin::create_topic(&to, "numbers", 1).unwrap();
        let producer = kafka::Producer::new(&to, "numbers", &[]).unwrap();
        for n in [1, 0, 2, 0, 5] {
            let payload = format!("{{\"n\":{n}}}");
            let record = kafka::Record {
                payload: Some(payload.as_bytes()),
                partition: Some(0),
                ..kafka::Record::default()
            };
            producer.send(&record).unwrap();
        }
        assert_eq!(producer.flush(DELIVERY_LIMIT).delivered, 5);
    })
    .await
    .unwrap();
    let world = World::with_system_clock();
    let mut client = world.connect();
    let statements = format!(
        "CREATE SOURCE numbers (n BIGINT) WITH (connector = 'kafka', topic = 'numbers', brokers = '{brokers}') \
         FORMAT PLAIN ENCODE JSON;
         CREATE MATERIALIZED VIEW shares AS SELECT 10 / n AS share FROM numbers;
         CREATE MATERIALIZED VIEW everything AS SELECT n FROM numbers;"
    );
    client.execute(&statements).await;
    let detail = "SELECT coalesce(detail, state) FROM clickmill.jobs WHERE name = 'shares'";
    for offset in [1, 3] {
        let place = format!("topic numbers partition 0 offset {offset}");
        let said = client
            .until(detail, PATIENCE, |detail| detail.ends_with(&place))
            .await;
        assert!(said.starts_with("division by zero"), "{said}");
        client
            .execute("ALTER MATERIALIZED VIEW shares RESUME SKIP")
            .await;
    }
    let shares = "SELECT string_agg(CAST(share AS TEXT), ' ' ORDER BY share) FROM shares";
    client.until(shares, PATIENCE, |all| all == "2 5 10").await;
    assert_eq!(client.value(detail).await, "running");
    let everything = "SELECT count(*) FROM everything";
    client.until(everything, PATIENCE, |n| n == "5").await;
    drop(client);
    drop(world);
    broker.shutdown().await;
}

async fn many_views_share_one_read() {
    let one = "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM clicks;";
    let many: String = (0..20)
        .map(|i| {
            format!(
                "CREATE MATERIALIZED VIEW v{i} WITH (unbounded_state = true) AS \
                 SELECT user_id, count(*) AS n FROM clicks WHERE page_url <> '/{i}' GROUP BY user_id;"
            )
        })
        .collect();
    let (one, many) = (bytes_out(one).await, bytes_out(&many).await);
    assert!(one > 10_000_000, "{one} bytes for all records are too few");
    assert!(
        many < one + one / 10 && one < many + many / 10,
        "one view: {one} bytes, twenty views: {many} bytes"
    );
}
