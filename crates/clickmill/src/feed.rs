//! Sends made-up clicks to a topic: when each goes out, and what time it bears.

use clicks::{ClickConfig, ClickGenerator};
use database::Cancel;
use dataflow::time::{MILLI, SECOND};
use dataflow::{Clock, Micros, Result, SystemClock};
use kafka::{Delivery, Producer, Record};

use std::time::Duration;

/// Events between two looks at the clock.
const CHUNK: u64 = 1_000;
/// Longest wait for the next event that is due.
const MAX_WAIT: Duration = Duration::from_millis(20);
/// Shortest wait while nothing is due, in microseconds: what becomes due meanwhile is sent together.
const LEAST_WAIT: Micros = 2 * MILLI;
/// Time between two calls of the watcher.
const WATCH_EVERY: Micros = 100 * MILLI;
/// How long the last records may take; longer than the producer itself waits before it gives a record up.
const FLUSH: Duration = Duration::from_secs(40);
/// The same when the user wants to stop.
const FLUSH_STOPPED: Duration = Duration::from_secs(5);

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Events a second; 0 is as fast as possible.
    pub(crate) rate: u64,
    /// Stop after so many.
    pub(crate) events: Option<u64>,
    /// Stop after so long, in microseconds.
    pub(crate) time_limit: Option<Micros>,
    /// What times the events bear.
    pub(crate) times: Times,
    /// When events are due, counted from here, in microseconds since 1970-01-01 UTC; now when `None`.
    pub(crate) begin: Option<Micros>,
    /// How far behind the rate may fall before what was missed is given up, in microseconds.
    pub(crate) catch_up: Micros,
}

/// Event times; all in microseconds (since 1970-01-01 UTC where they are points).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// The moment at which the event is due, or with rate 0 that of sending.
    Sending,
    /// `start` for the first, then one every `rate`-th of a second.
    From { start: Micros, rate: u64 },
    /// So many events spread evenly over `span`.
    Even {
        start: Micros,
        span: Micros,
        events: u64,
    },
    /// So many events spread over `span`, none a second at its beginning and twice the mean at its end.
    Rising {
        start: Micros,
        span: Micros,
        events: u64,
    },
}

impl Times {
    /// The time of event number `index`, counted from 0, that is due at `due`.
    fn of(&self, index: u64, due: Micros) -> Micros {
        match *self {
            Self::Sending => due,
            Self::From { start, rate } => start.saturating_add(steps(index, SECOND, rate)),
            Self::Even {
                start,
                span,
                events,
            } => start.saturating_add(steps(index, span, events)),
            Self::Rising {
                start,
                span,
                events,
            } => {
                let share = (index as f64 / events.max(1) as f64).sqrt();
                start.saturating_add((span as f64 * share) as Micros)
            }
        }
    }
}

/// `index` of the `count` steps that make up `whole`.
fn steps(index: u64, whole: Micros, count: u64) -> Micros {
    let product = i128::from(index) * i128::from(whole) / i128::from(count.max(1));
    Micros::try_from(product).unwrap_or(Micros::MAX)
}

/// Says how many events are due.
struct Pacer {
    begin: Micros,
    rate: u64,
    catch_up: Micros,
}

impl Pacer {
    /// How many of the events are due by `now`, given that `sent` are sent. Falling behind too far moves the beginning.
    fn due(&mut self, now: Micros, sent: u64) -> u64 {
        if self.rate == 0 {
            return u64::MAX;
        }
        let behind = now.saturating_sub(self.moment(sent));
        if behind > self.catch_up {
            self.begin = self.begin.saturating_add(behind - self.catch_up);
        }
        let Ok(elapsed) = u64::try_from(now.saturating_sub(self.begin)) else {
            return sent;
        };
        let due = u128::from(elapsed) * u128::from(self.rate) / SECOND as u128 + 1;
        u64::try_from(due).unwrap_or(u64::MAX).max(sent)
    }

    /// When event number `index` is due.
    fn moment(&self, index: u64) -> Micros {
        self.begin.saturating_add(steps(index, SECOND, self.rate))
    }
}

/// How sending went so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Events handed to the producer.
    pub(crate) sent: u64,
    /// What became of them and of those before them.
    pub(crate) delivery: Delivery,
    /// Time since the first, in microseconds.
    pub(crate) elapsed: Micros,
}

/// A generator and a producer. Blocks its thread.
pub(crate) struct Feeder {
    producer: Producer,
    generator: ClickGenerator,
    clock: SystemClock,
}

impl Feeder {
    /// A feeder of one topic.
    pub(crate) fn new(
        brokers: &str,
        topic: &str,
        properties: &[(&str, &str)],
        clicks: &ClickConfig,
    ) -> Result<Self> {
        Ok(Self {
            producer: Producer::new(brokers, topic, properties)?,
            generator: ClickGenerator::new(clicks),
            clock: SystemClock,
        })
    }

    /// Sends what the plan says, or until `stop`, and waits until it is delivered. `watch` is called now and then. Gives
    /// up early when nothing at all can be delivered.
    ///
    /// # Errors
    /// Those of [`Producer::send`]. That records were not delivered is no error, but in the result.
    pub(crate) fn send(
        &mut self,
        plan: &Plan,
        stop: &Cancel,
        watch: &mut dyn FnMut(&Progress),
    ) -> Result<Progress> {
        let started = self.clock.now();
        let mut pacer = Pacer {
            begin: plan.begin.unwrap_or(started),
            rate: plan.rate,
            catch_up: plan.catch_up,
        };
        let mut progress = Progress::default();
        let mut watched = started;
        let mut record = Vec::new();
        loop {
            let now = self.clock.now();
            progress.elapsed = now.saturating_sub(started);
            let in_time = plan.time_limit.is_none_or(|limit| progress.elapsed < limit);
            let left = plan
                .events
                .map_or(u64::MAX, |events| events - progress.sent);
            if stop.is_cancelled() || !in_time || left == 0 {
                break;
            }
            if now.saturating_sub(watched) >= WATCH_EVERY {
                watched = now;
                progress.delivery = self.producer.delivery();
                watch(&progress);
                if progress.delivery.failed > 0 && progress.delivery.delivered == 0 {
                    break;
                }
            }
            let due = pacer.due(now, progress.sent) - progress.sent;
            for index in progress.sent..progress.sent + due.min(left).min(CHUNK) {
                let moment = match plan.rate {
                    0 => now,
                    _ => pacer.moment(index),
                };
                self.send_one(plan.times.of(index, moment), &mut record)?;
                progress.sent += 1;
            }
            if due <= CHUNK {
                let wait = pacer.moment(progress.sent).saturating_sub(self.clock.now());
                // Not in the producer's own wait, which spins through the last millisecond.
                std::thread::park_timeout(bounded(wait.max(LEAST_WAIT)));
                self.producer.serve(Duration::ZERO);
            }
        }
        let patience = if stop.is_cancelled() {
            FLUSH_STOPPED
        } else {
            FLUSH
        };
        progress.delivery = self.producer.flush(patience);
        progress.elapsed = self.clock.now().saturating_sub(started);
        watch(&progress);
        Ok(progress)
    }

    fn send_one(&mut self, time: Micros, record: &mut Vec<u8>) -> Result<()> {
        let meta = self.generator.next_event(time.div_euclid(MILLI), record);
        self.producer.send(&Record {
            key: Some(&record[meta.key]),
            payload: Some(record),
            ..Record::default()
        })
    }
}

fn bounded(wait: Micros) -> Duration {
    Duration::from_micros(u64::try_from(wait).unwrap_or(0)).min(MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_due_at_the_rate() {
        let mut pacer = Pacer {
            begin: 100,
            rate: 1_000,
            catch_up: SECOND,
        };
        assert_eq!(pacer.due(99, 0), 0);
        assert_eq!(pacer.due(100, 0), 1);
        assert_eq!(pacer.due(100 + 999, 1), 1);
        assert_eq!(pacer.due(100 + 1_000, 1), 2);
        assert_eq!(pacer.due(100 + SECOND, 2), 1_001);
        assert_eq!(pacer.moment(500), 100 + SECOND / 2);
        // The clock went back.
        assert_eq!(pacer.due(0, 7), 7);
    }

    #[test]
    fn what_is_missed_for_too_long_is_given_up() {
        let mut pacer = Pacer {
            begin: 0,
            rate: 10,
            catch_up: 2 * SECOND,
        };
        assert_eq!(
            pacer.due(3_600 * SECOND, 5),
            26,
            "two seconds of events and the one due now"
        );
        assert_eq!(pacer.moment(5), 3_598 * SECOND);
    }

    #[test]
    fn times_are_spread_as_planned() {
        let even = Times::Even {
            start: 1_000,
            span: 300,
            events: 3,
        };
        assert_eq!(
            [0, 1, 2].map(|index| even.of(index, 7)),
            [1_000, 1_100, 1_200]
        );
        let from = Times::From {
            start: -SECOND,
            rate: 2,
        };
        assert_eq!(
            [0, 1, 2].map(|index| from.of(index, 7)),
            [-SECOND, -SECOND / 2, 0]
        );
        let rising = Times::Rising {
            start: 0,
            span: 1_000,
            events: 100,
        };
        assert_eq!(
            [0, 25, 100].map(|index| rising.of(index, 7)),
            [0, 500, 1_000]
        );
        assert_eq!(Times::Sending.of(9, 7), 7);
    }
}
