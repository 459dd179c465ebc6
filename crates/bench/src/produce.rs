//! Fills the benchmark's topic.

use clap::Args;
use clicks::{ClickConfig, ClickGenerator};
use kafka::{Producer, Record};

/// What to produce.
#[derive(Args)]
pub(crate) struct ProduceArgs {
    /// Bootstrap brokers.
    #[arg(long)]
    brokers: String,
    /// Topic, made anew when it is missing.
    #[arg(long, default_value = "bench-clicks")]
    topic: String,
    /// Events.
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// Partitions.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Seed.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// Beginning of the event time: 2026-01-01T00:00:00Z in milliseconds.
const BEGIN_MS: i64 = 1_767_225_600_000;
/// Span of the event time in milliseconds.
const SPAN_MS: i64 = 3_600_000;

pub(crate) fn run(args: &ProduceArgs) -> Result<(), String> {
    let text = |e: dataflow::Error| format!("{e:?}");
    let made =
        kafka::admin::create_topic(&args.brokers, &args.topic, args.partitions).map_err(text)?;
    if !made {
        return Err(format!(
            "topic \"{}\" exists already; delete it first",
            args.topic
        ));
    }
    let properties = [
        ("compression.type", "lz4"),
        ("linger.ms", "50"),
        ("batch.size", "1000000"),
    ];
    let producer = Producer::new(&args.brokers, &args.topic, &properties).map_err(text)?;
    let mut generator = ClickGenerator::new(&ClickConfig {
        seed: args.seed,
        ..ClickConfig::default()
    });
    let mut payload = Vec::new();
    for i in 0..args.events {
        let share = i as f64 / args.events as f64;
        let now = BEGIN_MS + (share * SPAN_MS as f64) as i64;
        let meta = generator.next_event(now, &mut payload);
        let record = Record {
            key: Some(&payload[meta.key.clone()]),
            payload: Some(&payload),
            timestamp_ms: Some(meta.event_time_ms),
            ..Record::default()
        };
        producer.send(&record).map_err(text)?;
    }
    let delivery = producer.flush(std::time::Duration::from_secs(120));
    if delivery.failed > 0 || delivery.pending > 0 {
        return Err(format!(
            "{} events were not delivered",
            delivery.failed + delivery.pending
        ));
    }
    println!("{} events in topic {}", delivery.delivered, args.topic);
    Ok(())
}
