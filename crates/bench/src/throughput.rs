//! Runs a query over a whole topic and measures it.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use database::{Cancel, Config, DataDir, Database, Place, SessionInit};
use dataflow::connector::Connectors;
use dataflow::{Clock, SystemClock};
use kafka::KafkaConnector;

use crate::queries::{QUERIES, source};
use crate::usage::{cpu_seconds, peak_mib};

/// Longest time for one query.
const LIMIT: Duration = Duration::from_secs(600);
/// Time from one checkpoint to the next.
pub(crate) const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// How often the status is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// One query.
#[derive(Args)]
pub(crate) struct QueryArgs {
    /// filter, tumble, tumble-count, hop, hop-360 or session.
    name: String,
    /// Bootstrap brokers.
    #[arg(long)]
    brokers: String,
    /// Topic.
    #[arg(long, default_value = "bench-clicks")]
    topic: String,
    /// Keep state in this folder.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// All queries.
#[derive(Args)]
pub(crate) struct AllArgs {
    /// Bootstrap brokers.
    #[arg(long)]
    brokers: String,
    /// Topic.
    #[arg(long, default_value = "bench-clicks")]
    topic: String,
    /// Runs of each query; the median is printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Run each query also with state that lasts, and compare.
    #[arg(long)]
    lasting: bool,
}

/// Figures of one run.
#[derive(Clone, Copy)]
struct Figures {
    events: u64,
    seconds: f64,
    cpu: f64,
    peak_mib: u64,
    rows: u64,
    late: u64,
    bad: u64,
}

/// A database with the Kafka connector.
pub(crate) fn database(data_dir: Option<PathBuf>) -> Result<Database, dataflow::Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let connectors = Connectors::new(vec![Arc::new(KafkaConnector::new(Arc::clone(&clock)))]);
    Database::start(Config {
        clock,
        connectors,
        version: env!("CARGO_PKG_VERSION"),
        data_dir: data_dir.map(|path| DataDir {
            place: Place::Disk(path),
            sync: true,
            journal_every: None,
            checkpoint_every: CHECKPOINT_EVERY,
            take_over: false,
            from_savepoint: None,
        }),
    })
}

/// Runs statements one after another as one batch.
pub(crate) async fn run_script(database: &Database, script: &str) -> Result<(), dataflow::Error> {
    let mut session = database.session(SessionInit::default())?;
    for parsed in session.parse(script)? {
        session.execute(&parsed, &[], &Cancel::new()).await?;
    }
    session.finish_batch().await
}

/// Runs one query to the end of the topic.
pub(crate) fn query(args: &QueryArgs) -> Result<String, String> {
    let (_, _, view) = QUERIES
        .iter()
        .find(|(name, ..)| *name == args.name)
        .ok_or_else(|| {
            format!(
                "no query \"{}\"; queries: filter, tumble, hop, session",
                args.name
            )
        })?;
    let script = source(&args.brokers, &args.topic) + view;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let figures = runtime
        .map_err(|e| e.to_string())?
        .block_on(measure(&script, args.data_dir.clone()))
        .map_err(|e| format!("{e:?}"))?;
    Ok(format!(
        "{{\"query\":\"{}\",\"events\":{},\"seconds\":{:.3},\"cpu\":{:.3},\"peak_mib\":{},\"rows\":{},\"late\":{},\"bad\":{}}}",
        args.name,
        figures.events,
        figures.seconds,
        figures.cpu,
        figures.peak_mib,
        figures.rows,
        figures.late,
        figures.bad
    ))
}

async fn measure(script: &str, data_dir: Option<PathBuf>) -> Result<Figures, dataflow::Error> {
    let database = database(data_dir)?;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    run_script(&database, script).await?;
    loop {
        tokio::time::sleep(LOOK).await;
        let status = database.status().await?;
        let (source, view) = (&status.sources[0], &status.views[0]);
        if let database::ViewState::Failed(error) = &view.state {
            return Err(error.error.clone());
        }
        let done = !source.partitions.is_empty()
            && source
                .partitions
                .iter()
                .all(|p| p.end > 0 && p.position >= p.end);
        if done {
            let figures = Figures {
                events: source.counts.records,
                seconds: began.elapsed().as_secs_f64(),
                cpu: cpu_seconds() - cpu,
                peak_mib: peak_mib(),
                rows: view.rows_out,
                late: view.counters.late_rows,
                bad: source.counts.bad,
            };
            database.shutdown();
            return Ok(figures);
        }
        if began.elapsed() > LIMIT {
            return Err(dataflow::Error::internal(
                "the topic was not read to its end in time",
            ));
        }
    }
}

/// Runs every query in a process of its own.
pub(crate) fn all(args: &AllArgs) -> Result<String, String> {
    if args.lasting {
        return compare(args);
    }
    let mut table = String::from(
        "| query | M events/s | CPU s / M events | peak MiB | rows out | late | bad |\n|---|---|---|---|---|---|---|\n",
    );
    for (name, title, _) in QUERIES {
        let runs = (0..args.runs.max(1)).map(|_| run(args, name, false));
        let mut runs = runs.collect::<Result<Vec<_>, _>>()?;
        runs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
        let f = runs[runs.len() / 2];
        let million = f.events as f64 / 1e6;
        let _ = writeln!(
            table,
            "| {title} | {:.2} | {:.2} | {} | {} | {} | {} |",
            million / f.seconds,
            f.cpu / million,
            f.peak_mib,
            f.rows,
            f.late,
            f.bad
        );
    }
    Ok(table)
}

/// One query in a process of its own.
fn run(args: &AllArgs, name: &str, lasting: bool) -> Result<Figures, String> {
    let folder = std::env::temp_dir().join(format!("clickmill-bench-{}", std::process::id()));
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = std::process::Command::new(program);
    command.args([
        "query",
        name,
        "--brokers",
        &args.brokers,
        "--topic",
        &args.topic,
    ]);
    if lasting {
        command.arg("--data-dir").arg(&folder);
    }
    let output = command.output().map_err(|e| e.to_string());
    if lasting {
        // Only what is there can be removed.
        let _ = std::fs::remove_dir_all(&folder);
    }
    let output = output?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    read(&String::from_utf8_lossy(&output.stdout))
}

/// Every query with and without state that lasts, by turns.
fn compare(args: &AllArgs) -> Result<String, String> {
    let mut table = String::from(
        "| query | M events/s | with a journal and checkpoints | ratio |\n|---|---|---|---|\n",
    );
    for (name, title, _) in QUERIES {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..args.runs.max(1) {
            without.push(run(args, name, false)?.rate());
            with.push(run(args, name, true)?.rate());
        }
        let (without, with) = (median(without), median(with));
        let ratio = with / without;
        let _ = writeln!(table, "| {title} | {without:.2} | {with:.2} | {ratio:.2} |");
    }
    Ok(table)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

impl Figures {
    /// Million events a second.
    fn rate(&self) -> f64 {
        self.events as f64 / 1e6 / self.seconds
    }
}

/// Reads the line that `query` prints.
fn read(line: &str) -> Result<Figures, String> {
    let field = |name: &str| -> Result<f64, String> {
        let key = format!("\"{name}\":");
        let at = line
            .find(&key)
            .ok_or_else(|| format!("no {name} in {line}"))?
            + key.len();
        let text: String = line[at..]
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect();
        text.parse().map_err(|_| format!("bad {name} in {line}"))
    };
    let whole = |name: &str| field(name).map(|v| v as u64);
    Ok(Figures {
        events: whole("events")?,
        seconds: field("seconds")?,
        cpu: field("cpu")?,
        peak_mib: whole("peak_mib")?,
        rows: whole("rows")?,
        late: whole("late")?,
        bad: whole("bad")?,
    })
}
