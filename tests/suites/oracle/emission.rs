//! How a random view says when its results come out.

use dataflow::time::{MILLI, SECOND};

use super::random::Random;
use super::window::interval;

/// How long changes wait at most, in microseconds.
const EVERY: [i64; 4] = [MILLI, MILLI, 700 * MILLI, 20 * SECOND];

/// The longest wait of an updating view, at random.
pub(super) fn every(random: &mut Random) -> i64 {
    // EMIT ON UPDATE alone means a second.
    if random.chance(15) {
        SECOND
    } else {
        *random.pick(&EVERY)
    }
}

/// The clause for results when windows close, or for corrections that wait `every` at most; and its form.
pub(super) fn clause(random: &mut Random, every: Option<i64>) -> (String, &'static str) {
    const CLOSE: [&str; 4] = [
        "",
        "EMIT ON WINDOW CLOSE",
        "EMIT AFTER WINDOW CLOSE",
        "EMIT FINAL",
    ];
    match every {
        None => match *random.pick(&CLOSE) {
            "" => (String::new(), "no EMIT"),
            form => (format!(" {form}"), form),
        },
        Some(SECOND) => {
            let form = *random.pick(&["EMIT ON UPDATE", "EMIT CHANGES"]);
            (format!(" {form}"), form)
        }
        Some(every) => {
            let form = *random.pick(&["EMIT ON UPDATE EVERY", "EMIT EVERY"]);
            (format!(" {form} {}", interval(every, false)), form)
        }
    }
}

/// `clause` and ALLOW LATENESS, in either order.
pub(super) fn with_lateness(random: &mut Random, clause: String, lateness: i64) -> String {
    let allowed = format!(" ALLOW LATENESS {}", interval(lateness, random.chance(50)));
    if random.chance(70) {
        clause + &allowed
    } else {
        allowed + &clause
    }
}
