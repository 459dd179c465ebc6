//! Draws ranks whose frequency falls off like Zipf's law, in constant time.

use crate::rng::Rng;

/// An alias table (Walker 1977, built as by Vose 1991) over the weights `1 / (rank + 1 + flatten)`.
///
/// Only additions, multiplications and divisions are used, so the table is the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Zipf {
    /// For each slot: below this 32-bit threshold the slot itself is drawn, else its alias.
    slots: Vec<(u32, u32)>,
}

impl Zipf {
    /// Over `count` ranks; a larger `flatten` makes the first ranks less frequent.
    pub(crate) fn new(count: u32, flatten: u32) -> Self {
        assert!(count > 0, "a distribution needs at least one rank");
        let weight = |rank: u32| 1.0 / (f64::from(rank) + 1.0 + f64::from(flatten));
        let total: f64 = (0..count).map(weight).sum();
        let mut share: Vec<f64> = (0..count)
            .map(|rank| weight(rank) / total * f64::from(count))
            .collect();
        let mut slots: Vec<(u32, u32)> = (0..count).map(|rank| (u32::MAX, rank)).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..count).partition(|rank| share[*rank as usize] < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            let own = share[poor as usize];
            slots[poor as usize] = ((own * 4_294_967_296.0) as u32, rich);
            share[rich as usize] -= 1.0 - own;
            if share[rich as usize] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Self { slots }
    }

    /// A rank, 0 the most frequent.
    pub(crate) fn draw(&self, rng: &mut Rng) -> u32 {
        let random = rng.next();
        let slot = ((random >> 32) * self.slots.len() as u64) >> 32;
        let (threshold, alias) = self.slots[slot as usize];
        if (random as u32) < threshold {
            slot as u32
        } else {
            alias
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_follow_the_weights() {
        let zipf = Zipf::new(10, 0);
        let mut rng = Rng::new(7);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[zipf.draw(&mut rng) as usize] += 1;
        }
        let harmonic: f64 = (1..=10).map(|k| 1.0 / f64::from(k)).sum();
        for (rank, count) in (1_u32..).zip(counts) {
            let expected = 100_000.0 / f64::from(rank) / harmonic;
            assert!(
                (f64::from(count) - expected).abs() < expected * 0.05,
                "rank {rank}: {count}"
            );
        }
    }
}
