//! What a large state costs: the pause of a checkpoint, its size, and the time of a start on it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use database::{Cancel, Database, Outcome, SessionInit};
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use futures::StreamExt;

use crate::queries::source;
use crate::throughput::{database, run_script};

/// Longest time until the topic has been read.
const LIMIT: Duration = Duration::from_secs(600);

/// A view with a group for every user and page of a topic.
#[derive(Args)]
pub(crate) struct RecoveryArgs {
    /// Bootstrap brokers.
    #[arg(long)]
    brokers: String,
    /// Topic.
    #[arg(long, default_value = "bench-clicks")]
    topic: String,
    /// Where state is kept meanwhile.
    #[arg(long)]
    data_dir: PathBuf,
}

/// Reads the topic, ends, starts again; one line of figures.
pub(crate) fn run(args: &RecoveryArgs) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let measured = runtime.map_err(|e| e.to_string())?.block_on(measure(args));
    measured.map_err(|e| format!("{e:?}"))
}

async fn measure(args: &RecoveryArgs) -> Result<String, dataflow::Error> {
    let view = "CREATE MATERIALIZED VIEW groups WITH (unbounded_state = true) AS
                SELECT user_id, page_url, count(*) AS n, max(ts) AS last FROM clicks GROUP BY user_id, page_url;";
    let lasting = database(Some(args.data_dir.clone()))?;
    run_script(&lasting, &(source(&args.brokers, &args.topic) + view)).await?;
    let begun = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let status = lasting.status().await?;
        let partitions = &status.sources[0].partitions;
        if !partitions.is_empty() && partitions.iter().all(|p| p.end > 0 && p.position >= p.end) {
            break;
        }
        if begun.elapsed() > LIMIT {
            return Err(dataflow::Error::internal("the topic was not read in time"));
        }
    }
    let groups = lasting.status().await?.views[0].counters.state_rows;
    let ended = Instant::now();
    tokio::task::block_in_place(|| lasting.shutdown());
    let ended = ended.elapsed();
    drop(lasting);
    let begun = Instant::now();
    let again = database(Some(args.data_dir.clone()))?;
    let started = begun.elapsed();
    let recovered = again.recovery().cloned().unwrap_or_default();
    let last =
        "SELECT coalesce(max(pause_ms), 0), coalesce(max(bytes), 0), coalesce(max(duration_ms), 0)
                FROM clickmill.checkpoints";
    tokio::time::sleep(crate::throughput::CHECKPOINT_EVERY).await;
    run_script(
        &again,
        "CREATE TABLE next (n INT); INSERT INTO next VALUES (1);",
    )
    .await?;
    let figures = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let figures = numbers(&again, last).await?;
        // The pause may be less than a millisecond.
        if figures[1..].iter().all(|n| *n > 0) {
            break figures;
        }
        if begun.elapsed() > LIMIT {
            return Err(dataflow::Error::internal("no checkpoint was made in time"));
        }
    };
    Ok(format!(
        "{groups} groups: checkpoint of {} MiB, pause {} ms, written in {} ms; orderly end {:.1} s; start {:.1} s ({} ticks run again)",
        figures[1] >> 20,
        figures[0],
        figures[2],
        ended.as_secs_f64(),
        started.as_secs_f64(),
        recovered.ticks
    ))
}

/// The numbers of a query's one row.
async fn numbers(database: &Database, query: &str) -> Result<Vec<i64>, dataflow::Error> {
    let mut session = database.session(SessionInit::default())?;
    let parsed = session.parse(query)?;
    let Outcome::Rows(mut rows) = session.execute(&parsed[0], &[], &Cancel::new()).await? else {
        return Err(dataflow::Error::internal("no rows"));
    };
    let batch = rows.stream.next().await.transpose()?;
    let batch = batch.ok_or_else(|| dataflow::Error::internal("no row"))?;
    let columns = batch.columns().iter();
    Ok(columns
        .map(|c| c.as_primitive::<Int64Type>().value(0))
        .collect())
}
