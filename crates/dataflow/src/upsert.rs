//! What a key comes to when rows of it come and go in one version.

/// The rows of one key that come and go in one version. `R` tells rows apart, `P` says where they are.
#[derive(Debug)]
pub struct KeyChanges<R, P>(Vec<(R, P, i32)>);

impl<R, P> Default for KeyChanges<R, P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R: PartialEq, P: Copy> KeyChanges<R, P> {
    /// A row comes, or goes when `weight` is below zero.
    pub fn add(&mut self, row: R, place: P, weight: i8) {
        let weight = i32::from(weight);
        match self.0.iter_mut().find(|(known, ..)| *known == row) {
            Some((_, _, net)) => *net += weight,
            None => self.0.push((row, place, weight)),
        }
    }

    /// The newest row that is there in the end, and `true`; else one that is not any more, and `false`; nothing when all
    /// that came has gone.
    pub fn end(&self) -> Option<(P, bool)> {
        let there = self.0.iter().rev().find(|(_, _, net)| *net > 0);
        let gone = || self.0.iter().find(|(_, _, net)| *net < 0);
        there
            .or_else(gone)
            .map(|(_, place, net)| (*place, *net > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::KeyChanges;

    fn end(changes: &[(&str, i8)]) -> Option<(usize, bool)> {
        let mut key = KeyChanges::default();
        for (place, (row, weight)) in changes.iter().enumerate() {
            key.add(*row, place, *weight);
        }
        key.end()
    }

    #[test]
    fn only_what_is_left_counts() {
        assert_eq!(end(&[("a", 1)]), Some((0, true)));
        assert_eq!(end(&[("a", -1)]), Some((0, false)));
        assert_eq!(end(&[("a", -1), ("b", 1)]), Some((1, true)));
        // What takes its place may stand before it.
        assert_eq!(end(&[("b", 1), ("a", -1)]), Some((0, true)));
        assert_eq!(end(&[("b", 1), ("b", -1)]), None);
        assert_eq!(end(&[("a", -1), ("b", 1), ("b", -1)]), Some((0, false)));
        assert_eq!(end(&[("b", 1), ("b", -1), ("c", 1)]), Some((2, true)));
    }
}
