//! Event time of one source: a watermark per partition, idleness, and the minimum over those that are not idle.

use dataflow::connector::Connection;
use dataflow::{Micros, Watermark};

use crate::faults::{self, Fault};
use crate::journal::LoggedTime;

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
    /// Nothing will come any more.
    pub finished: bool,
}

impl PartitionTime {
    /// When it becomes idle, if it can.
    fn idle_at(&self, connection: Connection, idle_after: Micros) -> Option<Micros> {
        let quiet_since = match connection {
            Connection::Always => self.last_row,
            Connection::Worked { since, .. } => self.last_row.max(since),
            Connection::Down => return None,
        };
        Some(quiet_since.saturating_add(idle_after))
    }
}

/// Event time of a source.
#[derive(Debug)]
pub struct SourceTime {
    rules: TimeRules,
    partitions: Vec<PartitionTime>,
    watermark: Watermark,
    connection: Connection,
}

/// How a source's watermark moves; lengths in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeRules {
    /// Rows may come so long after the highest time seen.
    pub delay: Micros,
    /// A partition read to its end is idle after so long without rows.
    pub idle_after: Micros,
    /// When all partitions are idle the watermark follows the wall clock, `delay` behind it, so that last windows close.
    pub idle_advance: bool,
    /// The wall clock is the time: nothing comes any more for what it has passed.
    pub processing: bool,
    /// While history is read, no partition goes farther ahead of the one that is farthest behind.
    pub max_drift: Option<Micros>,
}

impl SourceTime {
    /// Without partitions.
    pub fn new(rules: TimeRules) -> Self {
        Self {
            rules,
            partitions: Vec::new(),
            watermark: Watermark::MIN,
            connection: Connection::Always,
        }
    }

    /// What is known of the source's connection. Once it works again, rows that have waited may come to some partitions before
    /// they come to others: nobody is idle for the idle time.
    pub fn connected(&mut self, connection: Connection) {
        self.connection = connection;
    }

    /// Until when it is known that nothing came.
    fn known_until(&self, wall: Micros) -> Micros {
        match self.connection {
            Connection::Worked { until, .. } => wall.min(until),
            Connection::Always | Connection::Down => wall,
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
                finished: false,
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

    /// Event time of a partition as the journal has it.
    pub(crate) fn set(&mut self, partition: usize, to: &LoggedTime) {
        self.partitions[partition] = PartitionTime {
            highest: to.highest,
            last_row: to.last_row,
            fresh: false,
            idle: to.idle,
            finished: to.finished,
        };
    }

    /// A partition of a bounded source has been read to its stop: it holds nobody any more.
    pub fn finish(&mut self, partition: usize) {
        self.partitions[partition].finished = true;
    }

    /// Ends a tick: decides who is idle (`at_end` has one entry a partition) and moves the watermark, never back.
    pub fn advance(&mut self, wall: Micros, at_end: impl Fn(usize) -> bool) -> Watermark {
        let (known, rules, connection) = (self.known_until(wall), self.rules, self.connection);
        for (i, time) in self.partitions.iter_mut().enumerate() {
            // Only a tick's end is in the cut log, and a long tick makes nobody idle whose rows it brought.
            if std::mem::take(&mut time.fresh) {
                time.last_row = wall;
            }
            let is_idle = match time.idle_at(connection, rules.idle_after) {
                Some(from) => at_end(i) && known >= from,
                None => time.idle,
            };
            time.idle = is_idle && !time.finished;
        }
        let active = self.partitions.iter().filter(|t| !t.idle && !t.finished);
        let own = active.map(|t| self.watermark_of(t));
        let least = match faults::on(Fault::WatermarkMaximum) {
            false => own.min(),
            true => own.max(),
        };
        if self.rules.processing && !self.has_ended() {
            self.watermark = self.watermark.max(Watermark(wall.saturating_sub(1)));
        } else if let Some(least) = least {
            self.watermark = self.watermark.max(least);
        } else if self.has_ended() {
            self.watermark = Watermark::MAX;
        } else if self.follows_clock() {
            self.watermark = self.watermark.max(self.below(self.known_until(wall)));
        }
        self.watermark
    }

    /// Whether nothing will come any more from any partition.
    fn has_ended(&self) -> bool {
        !self.partitions.is_empty() && self.partitions.iter().all(|t| t.finished)
    }

    /// Whether the wall clock moves the watermark now.
    fn follows_clock(&self) -> bool {
        self.rules.idle_advance
            && self.connection != Connection::Down
            && !self.has_ended()
            && self.partitions.iter().all(|t| t.idle || t.finished)
            && self.partitions.iter().any(|t| t.highest.is_some())
    }

    /// Which partitions are to wait until others have come closer; `at_end` has one entry a partition. Partitions that have
    /// been read to their end hold nobody.
    pub fn too_far_ahead(&self, at_end: impl Fn(usize) -> bool) -> Vec<bool> {
        let Some(drift) = self.rules.max_drift else {
            return Vec::new();
        };
        let reading = || {
            self.partitions
                .iter()
                .enumerate()
                .filter(|(i, t)| !at_end(*i) && !t.finished)
        };
        let least = reading()
            .map(|(_, t)| t.highest.unwrap_or(Micros::MIN))
            .min();
        let limit = least.map_or(Micros::MAX, |least| least.saturating_add(drift));
        let ahead = |t: &PartitionTime| t.highest.is_some_and(|highest| highest > limit);
        self.partitions.iter().map(ahead).collect()
    }

    /// The partition's own watermark: just below its highest time less the delay, so equal times are not late.
    pub fn watermark_of(&self, time: &PartitionTime) -> Watermark {
        time.highest.map_or(Watermark::MIN, |h| self.below(h))
    }

    fn below(&self, time: Micros) -> Watermark {
        Watermark(time.saturating_sub(self.rules.delay).saturating_sub(1))
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
            .filter(|(i, t)| !t.idle && !t.finished && at_end(*i))
            .filter_map(|(_, t)| t.idle_at(self.connection, self.rules.idle_after))
            .min()
            // Else somebody who looks again wakes the engine.
            .filter(|at| self.known_until(*at) == *at)
    }

    /// Whether ticks are needed without rows because the wall clock moves the watermark.
    pub fn needs_ticks(&self) -> bool {
        self.follows_clock() || self.rules.processing && !self.has_ended()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(delay: Micros, idle_after: Micros) -> TimeRules {
        TimeRules {
            delay,
            idle_after,
            ..TimeRules::default()
        }
    }

    #[test]
    fn the_slowest_partition_holds_until_it_is_idle() {
        let mut time = SourceTime::new(rules(5, 100));
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
        let mut time = SourceTime::new(rules(0, 10));
        time.grow(1, 0);
        time.observe(0, 7, 0);
        assert_eq!(time.advance(500, |_| true), Watermark(6));
        assert!(!time.partitions()[0].idle);
        time.advance(510, |_| true);
        assert!(time.partitions()[0].idle);
    }

    #[test]
    fn all_idle_holds() {
        let mut time = SourceTime::new(rules(0, 10));
        time.grow(1, 0);
        time.observe(0, 7, 0);
        assert_eq!(time.advance(0, |_| true), Watermark(6));
        assert_eq!(time.advance(1000, |_| true), Watermark(6));
    }

    #[test]
    fn the_clock_moves_the_watermark_of_idle_partitions_if_told_so() {
        let mut time = SourceTime::new(TimeRules {
            idle_advance: true,
            ..rules(5, 10)
        });
        time.grow(2, 0);
        time.observe(0, 7, 0);
        assert_eq!(time.advance(0, |_| true), Watermark::MIN);
        assert!(!time.needs_ticks());
        assert_eq!(time.advance(100, |_| true), Watermark(94));
        assert!(time.needs_ticks());
        // A clock that goes back moves nothing.
        assert_eq!(time.advance(50, |_| true), Watermark(94));
        time.observe(1, 300, 101);
        assert_eq!(time.advance(101, |_| true), Watermark(294));
    }

    #[test]
    fn nobody_becomes_idle_while_there_is_no_connection() {
        let mut time = SourceTime::new(TimeRules {
            idle_advance: true,
            ..rules(0, 10)
        });
        time.grow(3, 0);
        (0..2).for_each(|at| time.observe(at, 7, 0));
        time.advance(0, |_| true);
        time.observe(0, 8, 5);
        time.observe(1, 8, 5);
        // The third is idle, and stays so.
        assert_eq!(time.advance(12, |i| i == 2), Watermark(7));
        time.connected(Connection::Down);
        assert_eq!(time.next_idle(|_| true), None);
        assert_eq!(time.advance(100, |_| true), Watermark(7));
        let idle =
            |time: &SourceTime| -> Vec<bool> { time.partitions().iter().map(|p| p.idle).collect() };
        assert_eq!(idle(&time), [false, false, true]);
        // What has waited comes to one of them first.
        let worked = |until| Connection::Worked { since: 101, until };
        time.connected(worked(101));
        time.observe(0, 90, 102);
        assert_eq!(time.advance(102, |_| true), Watermark(7));
        assert_eq!(idle(&time), [false; 3]);
        time.observe(1, 80, 103);
        assert_eq!(time.advance(103, |_| true), Watermark(7));
        // Nobody has looked since.
        assert_eq!(time.advance(111, |_| true), Watermark(7));
        assert_eq!(time.next_idle(|_| true), None);
        time.connected(worked(111));
        assert_eq!(time.next_idle(|_| true), Some(111));
        assert_eq!(time.advance(111, |_| true), Watermark(79));
        assert_eq!(idle(&time), [false, false, true]);
        // Nor does the clock move anything.
        time.connected(worked(200));
        time.advance(200, |_| true);
        assert!(time.needs_ticks());
        time.connected(Connection::Down);
        assert!(!time.needs_ticks());
        assert_eq!(time.advance(300, |_| true), Watermark(199));
    }

    #[test]
    fn finished_partitions_hold_nobody_and_the_last_one_ends_time() {
        let mut time = SourceTime::new(rules(5, 10));
        time.grow(2, 0);
        time.observe(0, 100, 0);
        time.finish(1);
        assert_eq!(time.advance(0, |_| false), Watermark(94));
        time.finish(0);
        assert_eq!(time.advance(0, |_| true), Watermark::MAX);
        assert!(!time.needs_ticks());
        assert_eq!(time.next_idle(|_| true), None);
        assert_eq!(time.advance(1_000, |_| true), Watermark::MAX);
        assert!(
            !time.partitions()[0].idle,
            "what has ended is more than idle"
        );
        let mut nothing = SourceTime::new(rules(5, 10));
        assert_eq!(nothing.advance(0, |_| true), Watermark::MIN);
    }

    #[test]
    fn partitions_wait_for_those_that_are_behind() {
        let mut time = SourceTime::new(TimeRules {
            max_drift: Some(10),
            ..rules(0, 10)
        });
        time.grow(3, 0);
        time.observe(0, 100, 0);
        time.observe(1, 111, 0);
        // The third has not begun.
        assert_eq!(time.too_far_ahead(|_| false), [true, true, false]);
        time.observe(2, 105, 0);
        assert_eq!(time.too_far_ahead(|_| false), [false, true, false]);
        // The first has nothing more to read.
        assert_eq!(time.too_far_ahead(|i| i == 0), [false, false, false]);
        assert_eq!(time.too_far_ahead(|_| true), [false, false, false]);
        assert!(
            SourceTime::new(rules(0, 10))
                .too_far_ahead(|_| false)
                .is_empty()
        );
    }
}
