//! Where a source's readers left records out, newest last.

use std::collections::VecDeque;

use dataflow::Micros;
use serde::{Deserialize, Serialize};

/// Gaps of a source that are told of.
const TOLD: usize = 1_000;

/// Records that were to be read and were not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceGap {
    /// The topic.
    pub topic: String,
    /// The partition's number in it.
    pub partition: i32,
    /// Offset of the record that was to be read next.
    pub from: i64,
    /// Offset at which reading went on.
    pub to: i64,
    /// `deleted`, `truncated` or `recreated`.
    pub reason: String,
    /// When it was noticed.
    pub noticed: Micros,
}

/// The newest gaps.
#[derive(Debug, Default)]
pub(crate) struct Gaps(VecDeque<SourceGap>);

impl Gaps {
    /// Notes a gap; says whether it is news. Several views may read over the same one, and a start reads over it again; meanwhile
    /// it may have grown.
    pub(crate) fn note(&mut self, gap: SourceGap) -> bool {
        let is_it = |known: &&mut SourceGap| {
            (known.partition, known.from) == (gap.partition, gap.from)
                && known.topic == gap.topic
                && known.reason == gap.reason
        };
        if let Some(known) = self.0.iter_mut().find(is_it) {
            let grows = known.to < gap.to;
            known.to = known.to.max(gap.to);
            return grows;
        }
        if self.0.len() == TOLD {
            self.0.pop_front();
        }
        self.0.push_back(gap);
        true
    }

    /// All that are known, oldest first.
    pub(crate) fn all(&self) -> Vec<SourceGap> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_noted_once_and_the_newest_are_kept() {
        let gap = |from: i64| SourceGap {
            topic: "clicks".to_owned(),
            partition: 0,
            from,
            to: from + 5,
            reason: "deleted".to_owned(),
            noticed: from,
        };
        let mut gaps = Gaps::default();
        assert!(gaps.note(gap(1)));
        assert!(!gaps.note(SourceGap {
            noticed: 7,
            ..gap(1)
        }));
        assert!(gaps.note(SourceGap {
            partition: 1,
            ..gap(1)
        }));
        let grown = SourceGap { to: 9, ..gap(1) };
        assert!(gaps.note(grown.clone()) && !gaps.note(grown));
        assert_eq!((gaps.all().len(), gaps.all()[0].to), (2, 9));
        (2..=1_000).for_each(|from| assert!(gaps.note(gap(from))));
        assert_eq!(gaps.all().len(), 1_000);
        assert_eq!(gaps.all()[0].partition, 1);
    }
}
