//! Flink SQL and clickmill on one topic of a real Apache Kafka: window statements of the same words give the same rows, in
//! queries that end and in views; what is known to differ differs as `docs/flink.md` says.

mod clicks;
mod compare;
mod statements;

use std::time::Duration;

use clicks::{Click, PARTITIONS};
use compare::differences;
use e2e::flink::{self, FlinkRows};
use e2e::kafka::Broker;
use e2e::tools::{repository, trial};
use e2e::world::{Answer, Client, PATIENCE, World, block_on};
use libtest_mimic::{Failed, Trial};
use statements::{Statement, read};

const PROGRAMS: &[&str] = &["java", "mvn"];
/// Statements whose rows must be equal; Flink's watermark moves at every record.
const EQUAL: &[&str] = &["statements.sql", "joins.sql"];
/// The same, but Flink's watermark moves when everything is read.
const EQUAL_AT_END: &str = "offsets.sql";
/// The file of statements that mean something else in Flink, each followed by what gives Flink's rows in clickmill.
const DIFFERENT: &str = "differences.sql";
const TOPIC: &str = "clicks";
const SEED: u64 = 19_691_231;
const DELIVERY_LIMIT: Duration = Duration::from_secs(120);

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "flink::the_same_statements_give_the_same_rows",
            PROGRAMS,
            || {
                block_on(same_rows());
            },
        ),
        Trial::test("flink::every_difference_is_documented", documented),
    ]
}

/// What is asked of both systems, and whether the rows must be equal or must differ.
struct Question {
    name: String,
    /// Which of Flink's answers.
    flink: usize,
    clickmill: String,
    equal: bool,
}

/// What Flink is told, and what its answers are compared with.
fn questions() -> (Vec<String>, Vec<Question>) {
    let mut told = vec![FLINK_OPTIONS.to_owned(), watermark("on-event")];
    let mut questions = Vec::new();
    let mut queries = 0;
    let mut ask = |told: &mut Vec<String>, text: &str, clickmill: &[(&Statement, bool)]| {
        told.push(text.to_owned());
        for (statement, equal) in clickmill {
            questions.push(Question {
                name: statement.name.clone(),
                flink: queries,
                clickmill: statement.text.clone(),
                equal: *equal,
            });
        }
        queries += 1;
    };
    for statement in EQUAL.iter().flat_map(|file| read(file)) {
        ask(&mut told, &statement.text, &[(&statement, true)]);
    }
    for pair in read(DIFFERENT).chunks(2) {
        let [flink, instead] = pair else {
            panic!("{} has no pair", pair[0].name)
        };
        ask(&mut told, &flink.text, &[(flink, false), (instead, true)]);
    }
    told.push(watermark("on-periodic"));
    for statement in read(EQUAL_AT_END) {
        ask(&mut told, &statement.text, &[(&statement, true)]);
    }
    (told, questions)
}

/// Flink's form of a source, which both take.
fn source(brokers: &str) -> String {
    format!(
        "CREATE TABLE clicks (
           id BIGINT, user_id STRING, page_url STRING, event_type STRING, n BIGINT, price DOUBLE, ts TIMESTAMP_LTZ(3),
           WATERMARK FOR ts AS ts - INTERVAL '10' SECOND
         ) WITH ('connector' = 'kafka', 'topic' = '{TOPIC}', 'properties.bootstrap.servers' = '{brokers}',
                 'scan.startup.mode' = 'earliest-offset', 'scan.watermark.idle-timeout' = '1 h', 'format' = 'json')"
    )
}

/// Flink alone must be told to end, and that times are ISO 8601. At the end of a bounded source its watermark is the greatest
/// there is: every window closes.
const FLINK_OPTIONS: &str = "ALTER TABLE clicks SET ('scan.bounded.mode' = 'latest-offset', \
    'json.timestamp-format.standard' = 'ISO-8601')";

/// When Flink's watermark moves: `on-event`, or `on-periodic`, which is at the end, because reading is over long before the
/// hour that is the period in `Rows.java`.
fn watermark(when: &str) -> String {
    format!("ALTER TABLE clicks SET ('scan.watermark.emit.strategy' = '{when}')")
}

fn send(brokers: &str, clicks: &[Click]) {
    let producer = kafka::Producer::new(brokers, TOPIC, &[]).unwrap();
    for click in clicks {
        let record = kafka::Record {
            payload: Some(click.payload.as_bytes()),
            partition: Some(click.partition),
            ..kafka::Record::default()
        };
        producer.send(&record).unwrap();
    }
    let delivery = producer.flush(DELIVERY_LIMIT);
    assert_eq!(delivery.delivered, clicks.len() as u64, "{delivery:?}");
}

async fn await_read(client: &mut Client, records: usize) {
    let sum = "SELECT sum(records) FROM clickmill.sources WHERE source = 'clicks'";
    client
        .until(sum, PATIENCE, |n| n == records.to_string())
        .await;
}

async fn same_rows() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let brokers = broker.address().to_owned();
    kafka::admin::create_topic(&brokers, TOPIC, PARTITIONS).unwrap();
    let (told, questions) = questions();
    let world = World::with_system_clock();
    let mut client = world.connect();
    client.execute(&source(&brokers)).await;
    for (number, question) in questions.iter().enumerate() {
        let view = format!(
            "CREATE MATERIALIZED VIEW v{number} AS {}",
            question.clickmill
        );
        client.execute(&view).await;
    }
    let clicks = clicks::clicks(SEED);
    send(&brokers, &clicks);

    let mut statements = vec![source(&brokers)];
    statements.extend(told);
    let flink = tokio::task::spawn_blocking(move || flink::run(&statements));
    let mut ended = Vec::new();
    for question in &questions {
        ended.push(ask(&mut client, &question.clickmill).await);
    }
    let flink = flink.await.unwrap();

    await_read(&mut client, clicks.len()).await;
    // Flink and the queries that end have read the topic: now it may get what closes the windows of the views.
    let closing = clicks::closing();
    send(&brokers, &closing);
    await_read(&mut client, clicks.len() + closing.len()).await;
    let unused = "SELECT sum(late_rows) + (SELECT sum(bad_records) FROM clickmill.sources) FROM clickmill.jobs";
    assert_eq!(client.value(unused).await, "0");
    let mut wrong = Vec::new();
    for (number, question) in questions.iter().enumerate() {
        let view = ask(&mut client, &format!("SELECT * FROM v{number}")).await;
        let flink = &flink[question.flink];
        wrong.extend(complaint(
            question,
            "query that ends",
            flink,
            &ended[number],
        ));
        wrong.extend(complaint(question, "view", flink, &view));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

async fn ask(client: &mut Client, query: &str) -> Answer {
    client
        .run(query)
        .await
        .unwrap_or_else(|error| panic!("{query}\n{error:?}"))
}

fn complaint(question: &Question, way: &str, flink: &FlinkRows, answer: &Answer) -> Option<String> {
    let name = &question.name;
    assert!(!flink.rows.is_empty(), "{name} gives no rows");
    match (differences(flink, answer), question.equal) {
        (Some(said), true) => Some(format!("{name}, {way}: {said}")),
        (None, false) => Some(format!("{name}, {way}: does not differ")),
        _ => None,
    }
}

/// `docs/flink.md` names every statement that differs.
fn documented() -> Result<(), Failed> {
    let page = std::fs::read_to_string(repository().join("docs/flink.md"))?;
    let pairs = read(DIFFERENT);
    let mut names = pairs.iter().step_by(2).map(|statement| &statement.name);
    match names.find(|name| !page.contains(&format!("`{name}`"))) {
        Some(name) => Err(Failed::from(format!(
            "docs/flink.md does not explain {name}"
        ))),
        None => Ok(()),
    }
}
