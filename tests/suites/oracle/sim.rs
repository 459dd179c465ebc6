//! A broker and its readers in memory: what is handed over when follows from a seed, and is written down.

use std::sync::Arc;

use dataflow::connector::{
    Health, OpenRequest, Partition, PollLimits, Position, SourceFactory, SourceReader,
};
use dataflow::time::{MILLI, SECOND};
use dataflow::{ManualClock, Result, Slab};
use parking_lot::Mutex;

use super::random::Random;
use super::stream::Stream;

/// What a reader handed over.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) partition: usize,
    pub(super) offsets: std::ops::Range<i64>,
}

/// The broker. Its first reader is the one that all views share; what that one does is written down.
pub(super) struct Broker {
    pub(super) stream: Arc<Stream>,
    /// Records of each partition that have been written.
    pub(super) written: Vec<i64>,
    /// Partitions that there are.
    pub(super) known: usize,
    /// What the first reader handed over since this was last taken.
    pub(super) deliveries: Vec<Delivery>,
    /// What the first reader said last: which partitions it has read to their end. One entry a partition that it knows.
    pub(super) at_end: Vec<bool>,
    clock: ManualClock,
    random: Random,
    /// Polls of a hundred that give nothing though there is something.
    pauses: usize,
    /// Most records of a poll.
    batch: usize,
    readers: usize,
}

impl Broker {
    pub(super) fn new(stream: Arc<Stream>, clock: ManualClock, mut random: Random) -> Self {
        let partitions = stream.partitions.len();
        let grows = !stream.in_time && random.chance(15);
        Self {
            written: vec![0; partitions],
            known: if grows {
                random.below(partitions + 1)
            } else {
                partitions
            },
            deliveries: Vec::new(),
            at_end: Vec::new(),
            pauses: *random.pick(&[0, 10, 40]),
            batch: *random.pick(&[1, 3, 8, 100]),
            stream,
            clock,
            random,
            readers: 0,
        }
    }

    /// Readers are gone; the next one is the first.
    pub(super) fn forget_readers(&mut self) {
        self.readers = 0;
    }

    /// Whether everything that has been written to known partitions has been handed over, and how many records are left.
    pub(super) fn backlog(&self, read: &[i64]) -> i64 {
        self.written.iter().zip(read).map(|(w, r)| w - r).sum()
    }
}

/// Opens readers of a broker.
#[derive(Clone)]
pub(super) struct Brokers(pub(super) Arc<Mutex<Broker>>);

impl std::fmt::Debug for Brokers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Brokers")
    }
}

impl SourceFactory for Brokers {
    fn open(&self, request: OpenRequest) -> Result<Box<dyn SourceReader>> {
        let mut broker = self.0.lock();
        broker.readers += 1;
        Ok(Box::new(Reader {
            first: broker.readers == 1,
            partitions: Vec::new(),
            positions: request.positions,
            paused: Vec::new(),
            broker: Arc::clone(&self.0),
        }))
    }

    fn topic(&self) -> String {
        "clicks".to_owned()
    }
}

struct Reader {
    broker: Arc<Mutex<Broker>>,
    partitions: Vec<Partition>,
    /// Where it begins, if not at the beginning.
    positions: Vec<Position>,
    /// Partitions that the engine wants nothing of.
    paused: Vec<bool>,
    first: bool,
}

impl Reader {
    fn look(&mut self, broker: &mut Broker) {
        self.paused.resize(broker.known, false);
        while self.partitions.len() < broker.known {
            let id = self.partitions.len() as i32;
            let given = self.positions.iter().find(|p| p.partition == id);
            self.partitions.push(Partition {
                topic: "clicks".into(),
                id,
                position: given.map_or(0, |p| p.offset),
                end: 0,
                at_end: false,
                stop: None,
                note: None,
            });
        }
        for (partition, written) in self.partitions.iter_mut().zip(&broker.written) {
            partition.end = *written;
            let end = partition.position == partition.end;
            // The broker says so a little later.
            partition.at_end = end && (partition.at_end || broker.random.chance(70));
        }
    }
}

impl SourceReader for Reader {
    fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    fn poll(&mut self, slab: &mut Slab, limits: PollLimits) -> Result<()> {
        slab.clear();
        let shared = Arc::clone(&self.broker);
        let broker = &mut *shared.lock();
        self.look(broker);
        let ready: Vec<usize> = (0..self.partitions.len())
            .filter(|p| self.partitions[*p].position < self.partitions[*p].end && !self.paused[*p])
            .collect();
        if !ready.is_empty() && !broker.random.chance(broker.pauses) {
            let at = *broker.random.pick(&ready);
            let partition = &mut self.partitions[at];
            let most = (partition.end - partition.position)
                .min(1 + broker.random.below(broker.batch) as i64)
                .min(limits.max_records as i64);
            let offsets = partition.position..partition.position + most;
            slab.partition = at;
            slab.topic = "clicks".into();
            for offset in offsets.clone() {
                let record = &broker.stream.partitions[at][offset as usize];
                slab.push(record.payload.as_deref(), offset, -1);
            }
            partition.position = offsets.end;
            self.look(broker);
            if self.first {
                broker.deliveries.push(Delivery {
                    partition: at,
                    offsets,
                });
            }
            if broker.random.chance(5) {
                let pause = *broker.random.pick(&[MILLI, 20 * MILLI, SECOND]);
                broker.clock.advance(pause);
            }
        }
        if self.first {
            broker.at_end = self.partitions.iter().map(|p| p.at_end).collect();
        }
        Ok(())
    }

    fn set_paused(&mut self, partition: usize, paused: bool) {
        self.paused[partition] = paused;
    }

    fn commit(&mut self, _positions: &[Position]) {}

    fn health(&self) -> Health {
        Health::Running
    }
}
