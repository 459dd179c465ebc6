//! Time zones of the IANA database: local time from UTC and back.

use std::cmp::Ordering;
use std::fmt;

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;
use dataflow::Micros;
use dataflow::time::SECOND;

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Zone(Tz);

impl Zone {
    /// The zone called so, such as `Europe/Berlin`, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let mut zones = chrono_tz::TZ_VARIANTS.iter();
        zones
            .find(|zone| zone.name().eq_ignore_ascii_case(name))
            .map(|zone| Self(*zone))
    }

    /// Local minus universal time at an instant.
    fn offset_at(self, at: Micros) -> Micros {
        let Some(utc) = DateTime::from_timestamp_micros(at) else {
            return 0;
        };
        let offset = self.0.offset_from_utc_datetime(&utc.naive_utc());
        Micros::from(offset.fix().local_minus_utc()) * SECOND
    }

    /// What the clocks show at an instant, as microseconds since their 1970-01-01.
    pub fn local(self, at: Micros) -> Micros {
        at.saturating_add(self.offset_at(at))
    }

    /// The first instant at which clocks show a time; for a time that is left out, the instant at which they jump over it
    /// plus how far it is behind the jump's beginning.
    pub fn utc(self, local: Micros) -> Micros {
        let Some(shown) = naive(local) else {
            return local;
        };
        match self.0.offset_from_local_datetime(&shown) {
            LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => {
                local - Micros::from(offset.fix().local_minus_utc()) * SECOND
            }
            // The offset that was in force before: zones change it by less than a day.
            LocalResult::None => local - self.offset_at(local - crate::window::DAY),
        }
    }
}

fn naive(local: Micros) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(local).map(|shown| shown.naive_utc())
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.name().cmp(other.0.name())
    }
}
