//! A connector for records that need no broker: topics in memory, which INSERT adds to.

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::connector::{
    Connector, Health, OpenRequest, Partition, PollLimits, Position, SourceFactory, SourceReader,
    SourceWriter,
};
use dataflow::options::Options;
use dataflow::wake::Waker;
use dataflow::{Error, Result, Slab, SqlState};
use parking_lot::Mutex;

/// A record: key and payload.
type Record = (Option<Vec<u8>>, Vec<u8>);

/// Broker's time of the first record, in milliseconds: 2026-01-01 00:00:00 UTC. Each is a second later than the one before.
const FIRST_MS: i64 = 1_767_225_600_000;

/// `WITH (connector = 'memory', topic = '…' [, records = '…'] [, start = 'latest'] [, read_only = true])`. `records` is what the
/// topic holds when it is new, a record a line.
#[derive(Default)]
pub struct MemoryConnector {
    topics: Mutex<HashMap<String, Arc<Topic>>>,
}

/// One partition of records.
#[derive(Default, Debug)]
struct Topic {
    records: Mutex<Vec<Record>>,
    readers: Mutex<Vec<Waker>>,
}

impl Connector for MemoryConnector {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn source(&self, options: &mut Options) -> Result<Arc<dyn SourceFactory>> {
        let name = options.take("topic")?.ok_or_else(|| {
            Error::new(SqlState::INVALID_PARAMETER, "option \"topic\" is missing")
        })?;
        let records = options.take("records")?.unwrap_or_default();
        let latest = options
            .take("start")?
            .is_some_and(|start| start == "latest");
        let read_only = options.take_bool("read_only")?.unwrap_or(false);
        let mut topics = self.topics.lock();
        let topic = topics.entry(name.clone()).or_insert_with(|| {
            let records = records.lines().map(|line| (None, line.as_bytes().to_vec()));
            Arc::new(Topic {
                records: Mutex::new(records.collect()),
                readers: Mutex::default(),
            })
        });
        Ok(Arc::new(MemorySource {
            name,
            topic: Arc::clone(topic),
            latest,
            read_only,
        }))
    }
}

#[derive(Debug)]
struct MemorySource {
    name: String,
    topic: Arc<Topic>,
    latest: bool,
    read_only: bool,
}

impl SourceFactory for MemorySource {
    fn open(&self, request: OpenRequest) -> Result<Box<dyn SourceReader>> {
        let end = self.topic.records.lock().len() as i64;
        let start = if self.latest { end } else { 0 };
        let given = request.positions.iter().find(|place| place.partition == 0);
        self.topic.readers.lock().push(request.waker);
        Ok(Box::new(MemoryReader {
            topic: Arc::clone(&self.topic),
            keys: request.wants.keys,
            headers: request.wants.headers,
            partition: [Partition {
                topic: self.name.as_str().into(),
                id: 0,
                position: given.map_or(start, |place| place.offset),
                end,
                at_end: false,
                stop: request.bounded.then_some(end),
                note: None,
            }],
            paused: false,
        }))
    }

    fn topic(&self) -> String {
        self.name.clone()
    }

    fn writer(&self) -> Result<Option<Box<dyn SourceWriter>>> {
        if self.read_only {
            return Ok(None);
        }
        Ok(Some(Box::new(MemoryWriter(Arc::clone(&self.topic)))))
    }
}

struct MemoryReader {
    topic: Arc<Topic>,
    keys: bool,
    headers: bool,
    partition: [Partition; 1],
    paused: bool,
}

impl SourceReader for MemoryReader {
    fn partitions(&self) -> &[Partition] {
        &self.partition
    }

    fn poll(&mut self, slab: &mut Slab, limits: PollLimits) -> Result<()> {
        slab.clear();
        let records = self.topic.records.lock();
        let partition = &mut self.partition[0];
        partition.end = records.len() as i64;
        let stop = partition.stop.unwrap_or(partition.end);
        while !self.paused && partition.position < stop && slab.len() < limits.max_records {
            let (key, value) = &records[partition.position as usize];
            let at = partition.position;
            slab.push(Some(value), at, FIRST_MS + at * 1_000);
            if self.keys {
                let span = slab.put(key.as_deref());
                slab.keys.push(span);
            }
            if self.headers {
                let span = slab.put(None);
                slab.headers.push(span);
            }
            partition.position += 1;
        }
        partition.at_end = partition.position >= partition.end;
        Ok(())
    }

    fn set_paused(&mut self, _partition: usize, paused: bool) {
        self.paused = paused;
    }

    fn commit(&mut self, _positions: &[Position]) {}

    fn health(&self) -> Health {
        Health::Running
    }
}

struct MemoryWriter(Arc<Topic>);

impl SourceWriter for MemoryWriter {
    fn write(&mut self, key: Option<&[u8]>, value: &[u8]) -> Result<()> {
        let record = (key.map(<[u8]>::to_vec), value.to_vec());
        self.0.records.lock().push(record);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.0.readers.lock().iter().for_each(Waker::wake);
        Ok(())
    }
}
