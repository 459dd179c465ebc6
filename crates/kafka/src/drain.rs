//! What comes out of one partition's queue in one go: records into the slab, ends and errors beside them.

use dataflow::Slab;
use dataflow::connector::Wants;

use crate::headers::{self, Header};

/// Most bytes a slab is filled with, whatever the caller allows: with one more record (librdkafka's limit is 2 GB) its
/// spans still fit into 32 bits.
const MAX_BYTES: usize = 1 << 30;

/// A record as the queue lends it.
pub(crate) struct Entry<'a> {
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
}

/// Takes the entries of one partition and keeps account of where the partition stands.
pub(crate) struct Drain<'a> {
    pub(crate) slab: &'a mut Slab,
    pub(crate) wants: Wants,
    pub(crate) max_records: usize,
    pub(crate) max_bytes: usize,
    /// Records at and after this offset are not wanted.
    pub(crate) stop: Option<i64>,
    /// Offset of the next record.
    pub(crate) position: i64,
    /// Whether the broker said that nothing follows.
    pub(crate) at_end: bool,
    /// Where offsets went back from: the topic was made anew.
    pub(crate) went_back: Option<i64>,
    /// The last error, unless a record or the end came after it.
    pub(crate) trouble: Option<String>,
    /// The broker does not have the record that was to come next, and librdkafka waits to be told where to go on.
    pub(crate) out_of_range: bool,
    /// Where the partition ends, if that was told.
    pub(crate) ends_at: Option<i64>,
    /// Entries seen: records, ends and errors.
    pub(crate) entries: usize,
}

impl Drain<'_> {
    /// Takes one record; its headers are asked for only when they are wanted.
    pub(crate) fn record(&mut self, entry: &Entry<'_>, headers: &[Header<'_>]) {
        self.entries += 1;
        self.trouble = None;
        self.at_end = false;
        if self.stop.is_some_and(|stop| entry.offset >= stop) {
            self.position = entry.offset;
            return;
        }
        if entry.offset < self.position {
            self.went_back.get_or_insert(self.position);
        }
        self.position = entry.offset + 1;
        self.slab
            .push(entry.value, entry.offset, entry.timestamp_ms);
        if self.wants.keys {
            let key = self.slab.put(entry.key);
            self.slab.keys.push(key);
        }
        if self.wants.headers {
            let mut text = Vec::new();
            headers::write_json(headers, &mut text);
            let span = self.slab.put(Some(&text));
            self.slab.headers.push(span);
        }
    }

    /// The broker said that the partition ends at `offset`, which may lie behind the last record: transaction markers
    /// and compacted records have offsets too.
    pub(crate) fn end(&mut self, offset: i64) {
        self.entries += 1;
        self.trouble = None;
        self.at_end = true;
        self.position = self.position.max(offset);
    }

    /// The broker does not have the record at the position.
    pub(crate) fn out_of_range(&mut self, ends_at: Option<i64>) {
        self.entries += 1;
        self.ends_at = ends_at;
        self.out_of_range = true;
    }

    /// An error about this partition.
    pub(crate) fn error(&mut self, text: String) {
        self.entries += 1;
        self.trouble = Some(text);
    }

    /// Whether to take no more now.
    pub(crate) fn full(&self) -> bool {
        self.out_of_range
            || self.slab.len() >= self.max_records
            || self.slab.data.len() >= self.max_bytes.min(MAX_BYTES)
            || self.stop.is_some_and(|stop| self.position >= stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(slab: &mut Slab, stop: Option<i64>) -> Drain<'_> {
        Drain {
            slab,
            wants: Wants {
                keys: true,
                headers: true,
            },
            max_records: 3,
            max_bytes: 100,
            stop,
            position: 5,
            at_end: false,
            went_back: None,
            trouble: None,
            out_of_range: false,
            ends_at: None,
            entries: 0,
        }
    }

    fn entry(offset: i64, value: &[u8]) -> Entry<'_> {
        Entry {
            value: Some(value),
            key: None,
            offset,
            timestamp_ms: -1,
        }
    }

    #[test]
    fn positions_follow_records_and_ends() {
        let mut slab = Slab::default();
        let mut drain = drain(&mut slab, None);
        drain.error("lost".to_owned());
        drain.record(&entry(7, b"x"), &[(b"h", Some(b"v"))]);
        assert_eq!(
            (drain.position, drain.at_end, &drain.trouble),
            (8, false, &None)
        );
        drain.end(10);
        assert_eq!((drain.position, drain.at_end), (10, true));
        drain.record(&entry(10, b"y"), &[]);
        assert_eq!(
            (drain.position, drain.at_end, drain.full()),
            (11, false, false)
        );
        drain.record(&entry(11, b"z"), &[]);
        assert!(drain.full());
        assert_eq!(slab.header(0), Some(&b"{\"h\":\"v\"}"[..]));
        assert_eq!(slab.header(1), Some(&b"{}"[..]));
        assert_eq!(slab.offsets, [7, 10, 11]);
        assert_eq!(slab.key(0), None);
    }

    #[test]
    fn nothing_at_or_after_the_stop_is_handed_over() {
        let mut slab = Slab::default();
        let mut drain = drain(&mut slab, Some(7));
        drain.record(&entry(5, b"x"), &[]);
        assert!(!drain.full());
        drain.record(&entry(9, b"y"), &[]);
        assert!(drain.full() && drain.position >= 7);
        assert_eq!(slab.offsets, [5]);
    }

    #[test]
    fn nothing_comes_behind_a_position_that_is_gone() {
        let mut slab = Slab::default();
        let mut drain = drain(&mut slab, None);
        drain.record(&entry(5, b"x"), &[]);
        assert!(!drain.full());
        drain.out_of_range(None);
        assert!(drain.full());
        assert_eq!((drain.position, drain.entries), (6, 2));
    }

    #[test]
    fn one_large_record_fills_the_slab_alone() {
        let mut slab = Slab::default();
        let mut drain = drain(&mut slab, None);
        drain.record(&entry(5, &[b'x'; 1_000]), &[]);
        assert!(drain.full());
        assert_eq!(slab.len(), 1);
    }
}
