//! Seeded random choices: the same seed gives the same case for ever.

/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
#[derive(Clone, Debug)]
pub(in crate::suites) struct Random(u64);

impl Random {
    /// Choices that follow from `seed` and from what they are `for_what`, so that one part of a case that takes more
    /// choices does not change the others.
    pub(in crate::suites) fn new(seed: u64, for_what: &str) -> Self {
        let mut random = Self(seed);
        for byte in for_what.bytes() {
            random.0 = random.next() ^ u64::from(byte);
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `bound` - 1; 0 when `bound` is 0.
    pub(in crate::suites) fn below(&mut self, bound: usize) -> usize {
        (self.next() % (bound as u64).max(1)) as usize
    }

    /// From `least` to `most`, both included.
    pub(in crate::suites) fn between(&mut self, least: i64, most: i64) -> i64 {
        let width = most.abs_diff(least) + 1;
        least.wrapping_add_unsigned(self.next() % width)
    }

    /// True in so many of a hundred cases.
    pub(in crate::suites) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`, which are not empty.
    pub(in crate::suites) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// From 0 to 1.
    pub(in crate::suites) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
