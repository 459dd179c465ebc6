//! Event time of one source: a watermark per partition, idleness, and the minimum over those that are not idle.

use dataflow::{Micros, Watermark};

/// Event time of one partition.
#[derive(Clone, Debug)]
pub struct PartitionTime {
    /// Highest event time seen.
    pub highest: Option<Micros>,
    /// When a row came last, by the wall clock of its tick's end.
    pub last_row: Micros,
    /// Rows came, or the partition itself, since the last tick's end.
    fresh: bool,
    /// Nothing came for the idle time and everything there was has been read.
    pub idle: bool,
}

/// Event time of a source.
#[derive(Debug)]
pub struct SourceTime {
    delay: Micros,
    idle_after: Micros,
    partitions: Vec<PartitionTime>,
    watermark: Watermark,
}

impl SourceTime {
    /// Rows may come `delay` after the highest time; a partition read to its end is idle after `idle_after`. Both in
    /// microseconds.
    pub fn new(delay: Micros, idle_after: Micros) -> Self {
        Self {
            delay,
            idle_after,
            partitions: Vec::new(),
            watermark: Watermark::MIN,
        }
    }

    /// Makes room for `count` partitions; new ones have no event time yet and, until they are idle, hold the watermark.
    pub fn grow(&mut self, count: usize, wall: Micros) {
        while self.partitions.len() < count {
            self.partitions.push(PartitionTime {
                highest: None,
                last_row: wall,
                fresh: true,
                idle: false,
            });
        }
    }

    /// Rows with event times up to `highest` came in `partition`.
    pub fn observe(&mut self, partition: usize, highest: Micros, wall: Micros) {
        let time = &mut self.partitions[partition];
        time.highest = Some(time.highest.map_or(highest, |h| h.max(highest)));
        time.last_row = wall;
        time.fresh = true;
        time.idle = false;
    }

    /// Ends a tick: decides who is idle (`at_end` has one entry a partition) and moves the watermark, never back.
    pub fn advance(&mut self, wall: Micros, at_end: impl Fn(usize) -> bool) -> Watermark {
        for (i, time) in self.partitions.iter_mut().enumerate() {
            // Only a tick's end is in the cut log, and a long tick makes nobody idle whose rows it brought.
            if std::mem::take(&mut time.fresh) {
                time.last_row = wall;
            }
            time.idle = at_end(i) && wall.saturating_sub(time.last_row) >= self.idle_after;
        }
        let least = self
            .partitions
            .iter()
            .filter(|t| !t.idle)
            .map(|t| self.watermark_of(t))
            .min();
        if let Some(least) = least {
            self.watermark = self.watermark.max(least);
        }
        self.watermark
    }

    /// The partition's own watermark: just below its highest time less the delay, so equal times are not late.
    pub fn watermark_of(&self, time: &PartitionTime) -> Watermark {
        time.highest.map_or(Watermark::MIN, |h| {
            Watermark(h.saturating_sub(self.delay).saturating_sub(1))
        })
    }

    /// The source's watermark.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// Moves the watermark by hand, never back.
    pub fn advance_to(&mut self, to: Watermark) {
        self.watermark = self.watermark.max(to);
    }

    /// The partitions.
    pub fn partitions(&self) -> &[PartitionTime] {
        &self.partitions
    }

    /// When the next partition could become idle, if one can: ticks are needed then.
    pub fn next_idle(&self, at_end: impl Fn(usize) -> bool) -> Option<Micros> {
        self.partitions
            .iter()
            .enumerate()
            .filter(|(i, t)| !t.idle && at_end(*i))
            .map(|(_, t)| t.last_row.saturating_add(self.idle_after))
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_partition_holds_until_it_is_idle() {
        let mut time = SourceTime::new(5, 100);
        time.grow(2, 0);
        time.observe(0, 50, 0);
        assert_eq!(time.advance(0, |_| true), Watermark::MIN);
        time.observe(1, 30, 10);
        assert_eq!(time.advance(10, |_| true), Watermark(24));
        time.observe(0, 60, 90);
        assert_eq!(
            time.advance(110, |_| false),
            Watermark(24),
            "idle only when read to the end"
        );
        assert_eq!(time.advance(110, |_| true), Watermark(54));
        time.observe(1, 31, 120);
        assert_eq!(
            time.advance(120, |_| true),
            Watermark(54),
            "it never goes back"
        );
    }

    #[test]
    fn rows_count_however_long_their_tick_took() {
        let mut time = SourceTime::new(0, 10);
        time.grow(1, 0);
        time.observe(0, 7, 0);
        assert_eq!(time.advance(500, |_| true), Watermark(6));
        assert!(!time.partitions()[0].idle);
        time.advance(510, |_| true);
        assert!(time.partitions()[0].idle);
    }

    #[test]
    fn all_idle_holds() {
        let mut time = SourceTime::new(0, 10);
        time.grow(1, 0);
        time.observe(0, 7, 0);
        assert_eq!(time.advance(0, |_| true), Watermark(6));
        assert_eq!(time.advance(1000, |_| true), Watermark(6));
    }
}
