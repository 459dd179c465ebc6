//! The time from handing an event to the producer to its row in a SUBSCRIBE client, both clocks in this process; also by way of
//! a sink that writes exactly once and a source that reads what it has committed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures::{StreamExt, TryStreamExt};
use kafka::{Producer, Record};
use pg::{PgConfig, PgServer};
use tokio_postgres::NoTls;

use crate::queries::source;
use crate::throughput::{database, run_script};

/// How to measure.
#[derive(Args)]
pub(crate) struct LatencyArgs {
    /// Bootstrap brokers.
    #[arg(long)]
    brokers: String,
    /// Topic, made anew.
    #[arg(long, default_value = "bench-latency")]
    topic: String,
    /// Events a second.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// By way of a sink into this topic, made anew; its state is kept in `--data-dir`.
    #[arg(long, requires = "data_dir")]
    sink: Option<String>,
    /// Further options of the sink, as in WITH.
    #[arg(long, default_value = "", requires = "sink")]
    sink_options: String,
    /// Where state is kept.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// Longest wait for the rows that are still under way when the last event was sent.
const DRAIN: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &LatencyArgs) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.map_err(|e| e.to_string())?.block_on(measure(args))
}

async fn measure(args: &LatencyArgs) -> Result<String, String> {
    let text = |e: dataflow::Error| format!("{e:?}");
    kafka::admin::delete_topic(&args.brokers, &args.topic).map_err(text)?;
    kafka::admin::create_topic(&args.brokers, &args.topic, 4).map_err(text)?;
    let database = database(args.data_dir.clone()).map_err(text)?;
    let view = "CREATE MATERIALIZED VIEW v WITH (retention = '1 min') AS \
                SELECT user_id, page_url, ts FROM clicks WHERE event_type = 'purchase';";
    run_script(&database, &(source(&args.brokers, &args.topic) + view))
        .await
        .map_err(text)?;
    if let Some(topic) = &args.sink {
        kafka::admin::delete_topic(&args.brokers, topic).map_err(text)?;
        kafka::admin::create_topic(&args.brokers, topic, 4).map_err(text)?;
        let script = through(&args.brokers, topic, &args.sink_options);
        run_script(&database, &script).await.map_err(text)?;
    }
    let config = PgConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        ..PgConfig::default()
    };
    let server = PgServer::start(config, Arc::new(database.clone()))
        .await
        .map_err(text)?;
    let options = format!("host=127.0.0.1 port={} user=bench", server.address().port());
    let (client, connection) = tokio_postgres::connect(&options, NoTls)
        .await
        .map_err(|e| e.to_string())?;
    let driver = tokio::spawn(connection);
    let rows = client
        .copy_out(match args.sink {
            Some(_) => "COPY (SUBSCRIBE back) TO STDOUT",
            None => "COPY (SUBSCRIBE v) TO STDOUT",
        })
        .await
        .map_err(|e| e.to_string())?;
    let began = Instant::now();
    let total = args.rate * args.seconds;
    let sender = {
        let (brokers, topic, rate) = (args.brokers.clone(), args.topic.clone(), args.rate);
        std::thread::spawn(move || send(&brokers, &topic, rate, total, began))
    };
    let mut latencies = Vec::new();
    let mut rows = Box::pin(rows.map_err(|e| e.to_string()));
    let end = Duration::from_secs(args.seconds) + DRAIN;
    while (latencies.len() as u64) < total && began.elapsed() < end {
        let Ok(Some(chunk)) = tokio::time::timeout(DRAIN, rows.next()).await else {
            break;
        };
        let now = began.elapsed();
        for line in chunk?.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            latencies.push(now.saturating_sub(sent_at(line)?));
        }
    }
    sender
        .join()
        .map_err(|_| "the sending thread failed".to_owned())??;
    drop(rows);
    server.shutdown().await;
    driver.abort();
    database.shutdown();
    if (latencies.len() as u64) < total {
        return Err(format!("{} of {total} rows came", latencies.len()));
    }
    latencies.sort();
    let at =
        |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Ok(format!(
        "| events/s | rows | p50 ms | p90 ms | p99 ms | max ms |\n|---|---|---|---|---|---|\n| {} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
        args.rate,
        latencies.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    ))
}

/// A sink of the view, and a view of what it has committed.
fn through(brokers: &str, topic: &str, options: &str) -> String {
    let comma = if options.is_empty() { "" } else { ", " };
    format!(
        "CREATE SINK out FROM v WITH (connector = 'kafka', topic = '{topic}', brokers = '{brokers}', delivery = 'exactly_once'{comma}{options})
         FORMAT PLAIN ENCODE JSON;
         CREATE SOURCE committed (user_id TEXT, page_url TEXT, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts)
         WITH (connector = 'kafka', topic = '{topic}', brokers = '{brokers}') FORMAT PLAIN ENCODE JSON;
         CREATE MATERIALIZED VIEW back WITH (retention = '1 min') AS SELECT user_id, page_url, ts FROM committed;"
    )
}

/// Sends events at a steady rate; the user id says when, in microseconds since `began`.
fn send(brokers: &str, topic: &str, rate: u64, total: u64, began: Instant) -> Result<(), String> {
    let text = |e: dataflow::Error| format!("{e:?}");
    let producer = Producer::new(brokers, topic, &[("linger.ms", "1")]).map_err(text)?;
    for i in 0..total {
        let due = Duration::from_micros(i * 1_000_000 / rate);
        if let Some(left) = due.checked_sub(began.elapsed()) {
            producer.serve(Duration::ZERO);
            std::thread::park_timeout(left);
        }
        let sent = began.elapsed().as_micros();
        let payload = format!(
            "{{\"userId\":\"{sent}\",\"pageUrl\":\"/p{}\",\"eventType\":\"purchase\",\"timestamp\":{},\"sessionId\":\"s\",\"ipAddress\":\"10.0.0.1\"}}",
            i % 100,
            1_767_225_600_000 + i
        );
        let key = (i % 16).to_string();
        let record = Record {
            key: Some(key.as_bytes()),
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        producer.send(&record).map_err(text)?;
    }
    let delivery = producer.flush(DRAIN);
    if delivery.failed + delivery.pending > 0 {
        Err("events were not delivered".to_owned())
    } else {
        Ok(())
    }
}

/// When a row's event was sent: its third column, after version and diff.
fn sent_at(line: &[u8]) -> Result<Duration, String> {
    let field = line.split(|b| *b == b'\t').nth(2).unwrap_or_default();
    let text = std::str::from_utf8(field).map_err(|e| e.to_string())?;
    text.parse()
        .map(Duration::from_micros)
        .map_err(|_| format!("no time in {}", String::from_utf8_lossy(line)))
}
