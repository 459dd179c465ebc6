//! A few time zones written out by hand, so that windows of days do not depend on the tables that the engine reads.

use dataflow::time::SECOND;

use super::random::Random;

/// A time zone: by how many seconds clocks are ahead of UTC, and when that changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Zone {
    pub(super) name: &'static str,
    first: i64,
    /// Instants in seconds since 1970, with what holds from then on.
    changes: &'static [(i64, i64)],
}

pub(super) const ZONES: [Zone; 5] = [
    Zone {
        name: "Europe/Berlin",
        first: 7200,
        changes: &[
            (1_761_440_400, 3600),
            (1_774_746_000, 7200),
            (1_792_890_000, 3600),
            (1_806_195_600, 7200),
            (1_824_944_400, 3600),
            (1_837_645_200, 7200),
            (1_856_394_000, 3600),
            (1_869_094_800, 7200),
            (1_887_843_600, 3600),
            (1_901_149_200, 7200),
            (1_919_293_200, 3600),
        ],
    },
    Zone {
        name: "America/New_York",
        first: -14_400,
        changes: &[
            (1_762_063_200, -18_000),
            (1_772_953_200, -14_400),
            (1_793_512_800, -18_000),
            (1_805_007_600, -14_400),
            (1_825_567_200, -18_000),
            (1_836_457_200, -14_400),
            (1_857_016_800, -18_000),
            (1_867_906_800, -14_400),
            (1_888_466_400, -18_000),
            (1_899_356_400, -14_400),
            (1_919_916_000, -18_000),
        ],
    },
    // Half an hour is not an hour.
    Zone {
        name: "Australia/Lord_Howe",
        first: 37_800,
        changes: &[
            (1_759_591_800, 39_600),
            (1_775_314_800, 37_800),
            (1_791_041_400, 39_600),
            (1_806_764_400, 37_800),
            (1_822_491_000, 39_600),
            (1_838_214_000, 37_800),
            (1_853_940_600, 39_600),
            (1_869_663_600, 37_800),
            (1_885_995_000, 39_600),
            (1_901_718_000, 37_800),
            (1_917_444_600, 39_600),
        ],
    },
    // Clocks change at midnight: the day begins at one.
    Zone {
        name: "America/Sao_Paulo",
        first: -7200,
        changes: &[
            (1_487_469_600, -10_800),
            (1_508_036_400, -7200),
            (1_518_919_200, -10_800),
            (1_541_300_400, -7200),
            (1_550_368_800, -10_800),
        ],
    },
    Zone {
        name: "Asia/Kolkata",
        first: 19_800,
        changes: &[],
    },
];

impl Zone {
    /// A time in microseconds a little before some change of the clocks that is written down, with others around it.
    pub(super) fn eventful(&self, random: &mut Random) -> i64 {
        let instants = match self.changes {
            [_, second, third, ..] => [*second, *third],
            _ => [(1_767_225_600, 0); 2],
        };
        random.pick(&instants).0 * SECOND
    }

    /// The first instant at which clocks show a time; both in microseconds. A time that clocks jump over is as far behind
    /// the jump as it would be behind its beginning.
    pub(super) fn utc(&self, local: i64) -> i64 {
        let mut offset = self.first;
        for (change, next) in self.changes {
            let at = local - offset * SECOND;
            if at < change * SECOND {
                return at;
            }
            if local - next * SECOND < change * SECOND {
                return at;
            }
            offset = *next;
        }
        local - offset * SECOND
    }
}
