//! Views over sources that end, over several topics, and over a topic that is made anew.

use broker::BrokerConfig;
use e2e::kafka::Broker;
use e2e::tools::trial;
use e2e::world::{PATIENCE, World, block_on};
use libtest_mimic::Trial;

use super::{DELIVERY_LIMIT, PROGRAMS};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "kafka::a_view_over_a_source_with_a_stop_closes_its_windows_and_is_finished",
            &[],
            || block_on(a_source_with_a_stop()),
        ),
        trial("kafka::several_topics_are_one_source", &[], || {
            block_on(several_topics())
        }),
        trial("kafka::a_topic_made_anew_is_told", PROGRAMS, || {
            block_on(a_topic_made_anew())
        }),
    ]
}

/// Creates `topic` if need be and sends `values` to its only partition.
async fn fill(brokers: &str, topic: &str, values: &[&str]) {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    let sent = move || {
        kafka::admin::create_topic(&brokers, &topic, 1).unwrap();
        let producer = kafka::Producer::new(&brokers, &topic, &[]).unwrap();
        for value in &values {
            let record = kafka::Record {
                payload: Some(value.as_bytes()),
                partition: Some(0),
                ..kafka::Record::default()
            };
            producer.send(&record).unwrap();
        }
        let delivered = producer.flush(DELIVERY_LIMIT).delivered;
        assert_eq!(delivered, values.len() as u64);
    };
    tokio::task::spawn_blocking(sent).await.unwrap();
}

const CLICKS: [&str; 3] = [
    r#"{"page":"/a","ts":"2026-01-01T00:00:10Z"}"#,
    r#"{"page":"/b","ts":"2026-01-01T00:00:50Z"}"#,
    r#"{"page":"/a","ts":"2026-01-01T00:01:10Z"}"#,
];

async fn a_source_with_a_stop() {
    let broker = broker::Broker::start(BrokerConfig::default())
        .await
        .unwrap();
    let brokers = broker.address().to_string();
    fill(&brokers, "clicks", &CLICKS).await;
    let world = World::with_system_clock();
    let mut client = world.connect();
    let view = |name: &str| {
        format!(
            "CREATE MATERIALIZED VIEW {name} AS SELECT page, window_start, count(*) AS n \
             FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY page, window_start, window_end;"
        )
    };
    let source = format!(
        "CREATE SOURCE clicks (page TEXT, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts - INTERVAL '1 hour') \
         WITH (connector = 'kafka', topic = 'clicks', brokers = '{brokers}', stop = 'latest') FORMAT PLAIN ENCODE JSON;"
    );
    client.execute(&format!("{source} {}", view("first"))).await;
    let rows = |view: &str| {
        format!(
            "SELECT coalesce(string_agg(page || n, ' ' ORDER BY window_start, page), '') FROM {view}"
        )
    };
    let state = |view: &str| format!("SELECT state FROM clickmill.jobs WHERE name = '{view}'");
    // The watermark is an hour behind: only the end of the source closes windows.
    client
        .until(&rows("first"), PATIENCE, |all| all == "/a1 /b1 /a1")
        .await;
    assert_eq!(client.value(&state("first")).await, "finished");
    let held = "SELECT count(*) FROM clickmill.waiting_windows";
    assert_eq!(client.value(held).await, "0");
    // What comes later is another read's: the first view has ended, a later one ends later.
    fill(
        &brokers,
        "clicks",
        &[r#"{"page":"/c","ts":"2026-01-01T00:01:20Z"}"#],
    )
    .await;
    client.execute(&view("second")).await;
    client
        .until(&rows("second"), PATIENCE, |all| all == "/a1 /b1 /a1 /c1")
        .await;
    client
        .until(&state("second"), PATIENCE, |state| state == "finished")
        .await;
    assert_eq!(client.value(&rows("first")).await, "/a1 /b1 /a1");
    let lag = "SELECT sum(lag) FROM clickmill.jobs";
    client.until(lag, PATIENCE, |lag| lag == "0").await;
    drop(client);
    drop(world);
    broker.shutdown().await;
}

async fn several_topics() {
    let broker = broker::Broker::start(BrokerConfig::default())
        .await
        .unwrap();
    let brokers = broker.address().to_string();
    fill(&brokers, "clicks-eu", &CLICKS[..2]).await;
    fill(&brokers, "clicks-us", &[CLICKS[2], "{"]).await;
    let world = World::with_system_clock();
    let mut client = world.connect();
    let statements = format!(
        "CREATE SOURCE clicks (page TEXT) INCLUDE TOPIC AS t, OFFSET AS o \
         WITH (connector = 'kafka', topic-pattern = 'clicks-.*', brokers = '{brokers}', bad_data = 'store',
               scan.topic-partition-discovery.interval = '200 ms') FORMAT PLAIN ENCODE JSON;
         CREATE MATERIALIZED VIEW pages AS SELECT t, o, page FROM clicks;"
    );
    client.execute(&statements).await;
    let all = "SELECT coalesce(string_agg(t || o || page, ' ' ORDER BY t, o), '') FROM pages";
    let expected = "clicks-eu0/a clicks-eu1/b clicks-us0/a";
    client.until(all, PATIENCE, |all| all == expected).await;
    let errors = "SELECT string_agg(topic || \"offset\", ' ') FROM clicks_errors";
    client
        .until(errors, PATIENCE, |all| all == "clicks-us1")
        .await;
    // A topic that is made later, before the others in the order of names.
    fill(&brokers, "clicks-asia", &CLICKS[..1]).await;
    let expected = format!("clicks-asia0/a {expected}");
    client.until(all, PATIENCE, |all| all == expected).await;
    let topics = "SELECT string_agg(topic || position, ' ' ORDER BY topic) FROM clickmill.sources";
    let positions = "clicks-asia1 clicks-eu2 clicks-us2";
    client.until(topics, PATIENCE, |all| all == positions).await;
    // A view that comes later finds the topics in another order, and joins the others all the same.
    client
        .execute("CREATE MATERIALIZED VIEW later AS SELECT t, o, page FROM clicks;")
        .await;
    let later = all.replace("pages", "later");
    client.until(&later, PATIENCE, |all| all == expected).await;
    let state = "SELECT state FROM clickmill.jobs WHERE name = 'later'";
    client
        .until(state, PATIENCE, |state| state == "running")
        .await;
    fill(&brokers, "clicks-asia", &CLICKS[1..2]).await;
    let expected = expected.replace("clicks-asia0/a", "clicks-asia0/a clicks-asia1/b");
    for query in [all, &later] {
        client.until(query, PATIENCE, |all| all == expected).await;
    }
    assert_eq!(client.value(errors).await, "clicks-us1");
    drop(client);
    drop(world);
    broker.shutdown().await;
}

async fn a_topic_made_anew() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let brokers = broker.address().to_owned();
    fill(&brokers, "clicks", &[CLICKS[0], "{"]).await;
    let world = World::with_system_clock();
    let mut client = world.connect();
    let statements = format!(
        "CREATE SOURCE clicks (page TEXT) INCLUDE OFFSET AS o \
         WITH (connector = 'kafka', topic = 'clicks', brokers = '{brokers}', bad_data = 'store') FORMAT PLAIN ENCODE JSON;
         CREATE MATERIALIZED VIEW pages AS SELECT o, page FROM clicks;"
    );
    client.execute(&statements).await;
    let all = "SELECT coalesce(string_agg(DISTINCT o || page, ' '), '') FROM pages";
    client.until(all, PATIENCE, |all| all == "0/a").await;
    let to = brokers.clone();
    let gone = move || kafka::admin::delete_topic(&to, "clicks").unwrap();
    assert!(tokio::task::spawn_blocking(gone).await.unwrap());
    let state = "SELECT state FROM clickmill.sources";
    client
        .until(state, PATIENCE, |state| state == "retrying")
        .await;
    fill(&brokers, "clicks", &["{", CLICKS[1], CLICKS[1], "{"]).await;
    let detail = "SELECT coalesce(detail, '') FROM clickmill.sources";
    client
        .until(detail, PATIENCE, |detail| {
            detail.starts_with("the topic was made anew before")
                && detail.ends_with("went on at offset 0")
        })
        .await;
    client
        .until("SELECT count(DISTINCT o) FROM pages", PATIENCE, |n| {
            n == "3"
        })
        .await;
    // The bad record at offset 0 is another one than that of the old topic, which was noted up to offset 1.
    let errors = "SELECT string_agg(DISTINCT CAST(\"offset\" AS TEXT), ' ' ORDER BY CAST(\"offset\" AS TEXT)) FROM clicks_errors";
    client.until(errors, PATIENCE, |all| all == "0 1 3").await;
    assert_eq!(client.value(state).await, "running");
    drop(client);
    drop(world);
}
