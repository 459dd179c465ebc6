//! What keys come to when rows of them come and go in one version.

use std::collections::HashMap;
use std::hash::Hash;

/// A row that comes, or goes when its weight is below zero.
pub struct Change<K, R, P> {
    /// Its key.
    pub key: K,
    /// Tells it from other rows of the key.
    pub row: R,
    /// Where it is.
    pub place: P,
    /// How often it comes.
    pub weight: i8,
}

/// Of each key, in the order in which they came, the newest row that is there in the end and `true`; else one that is not any
/// more and `false`; nothing when all that came of it has gone. Takes time in proportion to the changes.
pub fn newest<K, R, P>(changes: impl Iterator<Item = Change<K, R, P>>) -> Vec<(P, bool)>
where
    K: Hash + Eq,
    R: Hash + Eq,
    P: Copy,
{
    let mut numbers: HashMap<K, usize> = HashMap::new();
    let mut rows: Vec<(usize, R, P, i8)> = Vec::new();
    for change in changes {
        let next = numbers.len();
        let number = *numbers.entry(change.key).or_insert(next);
        rows.push((number, change.row, change.place, change.weight));
    }
    let mut nets: HashMap<(usize, &R), i32> = HashMap::with_capacity(rows.len());
    for (number, row, _, weight) in &rows {
        *nets.entry((*number, row)).or_default() += i32::from(*weight);
    }
    let mut ends: Vec<Option<(P, bool)>> = vec![None; numbers.len()];
    for (number, row, place, weight) in rows.iter().rev() {
        let end = &mut ends[*number];
        let net = nets.get(&(*number, row)).copied().unwrap_or(0);
        match end {
            Some((_, true)) => {}
            _ if *weight > 0 && net > 0 => *end = Some((*place, true)),
            None if net < 0 => *end = Some((*place, false)),
            _ => {}
        }
    }
    ends.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::{Change, newest};

    fn end(changes: &[(&str, i8)]) -> Vec<(usize, bool)> {
        newest(changes.iter().enumerate().map(|(place, (row, weight))| {
            let (key, row) = row.split_at(1);
            Change {
                key,
                row,
                place,
                weight: *weight,
            }
        }))
    }

    #[test]
    fn only_what_is_left_counts() {
        assert_eq!(end(&[("ka", 1)]), [(0, true)]);
        assert_eq!(end(&[("ka", -1)]), [(0, false)]);
        assert_eq!(end(&[("ka", -1), ("kb", 1)]), [(1, true)]);
        // What takes its place may stand before it.
        assert_eq!(end(&[("kb", 1), ("ka", -1)]), [(0, true)]);
        assert_eq!(end(&[("kb", 1), ("kb", -1)]), []);
        assert_eq!(end(&[("ka", -1), ("kb", 1), ("kb", -1)]), [(0, false)]);
        assert_eq!(end(&[("kb", 1), ("kb", -1), ("kc", 1)]), [(2, true)]);
        // One that comes again is newer than what came between.
        assert_eq!(end(&[("ka", 1), ("kb", 1), ("ka", 1)]), [(2, true)]);
        let two = [("ka", 1), ("lb", 1), ("ka", -1), ("lc", 1), ("lb", -1)];
        assert_eq!(end(&two), [(3, true)]);
    }
}
