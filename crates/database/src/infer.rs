//! CREATE SOURCE … INFER: reads a sample of the records, and writes the statement that declares what is in them.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use dataflow::connector::{
    OpenRequest, Partition, PollLimits, Position, SourceFactory, SourceReader, Wants,
};
use dataflow::schema::ColumnOrigin;
use dataflow::wake::Waker;
use dataflow::{Error, Micros, Result, Slab, SqlState};
use formats::infer::{Inferred, infer};
use formats::{JsonSample, Limits};
use sql::ast::InferSource;
use sql::name::quote;

use crate::columns::{interval, type_name};
use crate::outcome::Notice;
use crate::scan::{finished, health_text};

/// How long a sample may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to sleep without a record, and what a wake-up without one counts.
const NAP: Duration = Duration::from_millis(100);
const TURN: Duration = Duration::from_millis(5);
/// Records of one poll: small, so that a sample has records of all partitions.
const POLL: PollLimits = PollLimits {
    max_records: 64,
    max_bytes: 4 << 20,
};

/// A statement that was written for a sample.
pub(crate) struct Written {
    pub(crate) statement: String,
    /// What was chosen and why.
    pub(crate) notices: Vec<Notice>,
}

/// Reads a sample and writes the statement. Waits, for a bounded time.
pub(crate) fn write(
    create: &InferSource,
    factory: &Arc<dyn SourceFactory>,
    now: Micros,
) -> Result<Written> {
    let sample = read(create, factory.as_ref())?;
    let mut taken: Vec<String> = create.included.iter().map(|c| c.name.clone()).collect();
    let chosen = infer(&sample, &taken, now);
    if chosen.columns.is_empty() {
        let message = match sample.records() {
            1 => "the record of the sample is no JSON object with fields".to_owned(),
            n => format!("the {n} records of the sample are no JSON objects with fields"),
        };
        return Err(Error::new(SqlState::INVALID_TEXT, message).at(create.name.location));
    }
    taken.extend(chosen.columns.iter().map(|column| column.name.clone()));
    let has_rest = create
        .included
        .iter()
        .any(|c| c.origin == ColumnOrigin::Rest);
    let rest = (!has_rest).then(|| free_name("rest", &taken));
    let statement = statement(create, &chosen, rest.as_deref());
    let head = format!(
        "{} records of \"{}\" were read, and this was chosen:\n{statement}",
        sample.records(),
        factory.topic()
    );
    let mut notices = vec![Notice::plain(head)];
    notices.push(match &chosen.event_time {
        Some(time) => Notice::plain(time.why.clone()),
        None => Notice::plain("no field was found to be the event time").with_hint(
            "windows need one: create the source from the statement above, with a WATERMARK",
        ),
    });
    notices.extend(chosen.notes.into_iter().map(Notice::plain));
    Ok(Written { statement, notices })
}

/// Words that begin something else than a column in a list of columns, and are no reserved words.
const OTHER_ELEMENTS: [&str; 3] = ["like", "exclude", "watermark"];

/// A column's name as its declaration must write it.
fn column_name(name: &str) -> String {
    if OTHER_ELEMENTS.contains(&name) {
        format!("\"{name}\"")
    } else {
        quote(name)
    }
}

fn free_name(name: &str, taken: &[String]) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .unwrap_or_else(|| name.to_owned())
}

fn statement(create: &InferSource, chosen: &Inferred, rest: Option<&str>) -> String {
    let mut lines: Vec<String> = Vec::new();
    for column in &chosen.columns {
        let ColumnOrigin::Field(path) = &column.origin else {
            continue;
        };
        let mut line = format!(
            "  {} {}",
            column_name(&column.name),
            type_name(&column.data_type).to_ascii_uppercase()
        );
        if path.len() > 1 || path.first() != Some(&column.name) {
            line.push_str(&format!(" FROM '{}'", path.join(".").replace('\'', "''")));
        }
        lines.push(line);
    }
    if let Some(time) = &chosen.event_time {
        let name = column_name(&chosen.columns[time.column].name);
        lines.push(format!(
            "  WATERMARK FOR {name} AS {name} - {}",
            interval(time.delay)
        ));
    }
    let exists = if create.if_not_exists {
        "IF NOT EXISTS "
    } else {
        ""
    };
    let mut text = format!(
        "CREATE SOURCE {exists}{} (\n{}\n)",
        quote(&create.name.value),
        lines.join(",\n")
    );
    let rest = rest.map(|name| format!("INCLUDE REST AS {}", quote(name)));
    let format = (!create.format_given).then(|| "FORMAT PLAIN ENCODE JSON".to_owned());
    for clause in rest.iter().chain(&create.clauses).chain(&format) {
        text.push('\n');
        text.push_str(clause);
    }
    text
}

/// Reads the sample: from the source's start, or from the first record there is when its start is behind all of them.
fn read(create: &InferSource, factory: &dyn SourceFactory) -> Result<JsonSample> {
    let mut sample = JsonSample::new(create.timestamps, Limits::default());
    let mut reading = Reading {
        create,
        waited: Duration::ZERO,
    };
    let partitions = reading.run(factory, Vec::new(), &mut sample)?;
    if sample.records() == 0 {
        reading.run(factory, partitions, &mut sample)?;
    }
    if sample.records() > 0 {
        return Ok(sample);
    }
    let message = format!(
        "\"{}\" has no records to infer columns from",
        factory.topic()
    );
    Err(Error::new(SqlState::OBJECT_NOT_READY, message)
        .hint("name the columns, or send records first")
        .at(create.name.location))
}

struct Reading<'a> {
    create: &'a InferSource,
    waited: Duration,
}

impl Reading<'_> {
    /// Reads until the sample is full or all is read; gives the beginnings of the partitions. A sample that is not empty is
    /// good enough when time is over.
    fn run(
        &mut self,
        factory: &dyn SourceFactory,
        positions: Vec<Position>,
        sample: &mut JsonSample,
    ) -> Result<Vec<Position>> {
        let waker = Waker::default();
        let mut reader = factory.open(OpenRequest {
            schema: Arc::default(),
            wants: Wants::default(),
            bounded: true,
            positions,
            topics: Vec::new(),
            waker: waker.clone(),
        })?;
        let mut slab = Slab::default();
        let most = self.create.sample as u64;
        while sample.records() < most {
            let left = usize::try_from(most - sample.records()).unwrap_or(usize::MAX);
            let limits = PollLimits {
                max_records: POLL.max_records.min(left),
                ..POLL
            };
            reader.poll(&mut slab, limits)?;
            if !slab.is_empty() {
                let partition = &reader.partitions()[slab.partition];
                let stop = partition.stop.unwrap_or(i64::MAX);
                let until = slab.offsets.partition_point(|offset| *offset < stop);
                sample.add(&slab, 0..until, partition.id);
                continue;
            }
            if finished(reader.as_ref()) {
                break;
            }
            if self.waited >= PATIENCE && sample.records() == 0 {
                return Err(self.gave_up(factory, reader.as_ref()));
            }
            if self.waited >= PATIENCE {
                break;
            }
            self.waited += if waker.sleep(NAP) { TURN } else { NAP };
        }
        let beginning = |partition: &Partition| Position {
            topic: Arc::clone(&partition.topic),
            partition: partition.id,
            offset: 0,
        };
        Ok(reader.partitions().iter().map(beginning).collect())
    }

    fn gave_up(&self, factory: &dyn SourceFactory, reader: &dyn SourceReader) -> Error {
        let message = format!(
            "no record of \"{}\" could be read in {} s",
            factory.topic(),
            PATIENCE.as_secs()
        );
        Error::new(SqlState::CONNECTION_FAILURE, message)
            .detail(health_text(&reader.health()))
            .at(self.create.name.location)
    }
}
