//! The bytes of many keys in large blocks, which a clone shares.

use std::sync::Arc;

/// Bytes of a block.
const BLOCK: usize = 1 << 18;

/// Where the bytes of a key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    block: u32,
    from: u32,
    length: u32,
}

/// Bytes that are added and never changed.
#[derive(Clone, Debug, Default)]
pub struct ByteBlocks {
    full: Vec<Arc<Vec<u8>>>,
    open: Vec<u8>,
    /// Bytes of all keys.
    total: usize,
}

impl ByteBlocks {
    /// Adds the bytes of a key.
    pub fn add(&mut self, key: &[u8]) -> Span {
        if !self.open.is_empty() && self.open.len() + key.len() > BLOCK {
            let mut full = std::mem::take(&mut self.open);
            full.shrink_to_fit();
            self.full.push(Arc::new(full));
        }
        let span = Span {
            block: as_u32(self.full.len()),
            from: as_u32(self.open.len()),
            length: as_u32(key.len()),
        };
        self.open.extend_from_slice(key);
        self.total += key.len();
        span
    }

    /// The bytes of a key.
    pub fn get(&self, span: Span) -> &[u8] {
        let block = self.full.get(span.block as usize);
        let block = block.map_or(self.open.as_slice(), |full| full.as_slice());
        let from = span.from as usize;
        &block[from..from + span.length as usize]
    }

    /// Bytes of all keys that were added.
    pub fn total(&self) -> usize {
        self.total
    }
}

fn as_u32(number: usize) -> u32 {
    u32::try_from(number).expect("keys are smaller than 4 GiB, and blocks fewer than 2^32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_sizes_come_back_from_a_clone_too() {
        let mut bytes = ByteBlocks::default();
        let sizes = [0, 1, 7, BLOCK - 3, 5, BLOCK * 2, 3, BLOCK, BLOCK];
        let key = |at: usize| vec![u8::try_from(at).unwrap(); sizes[at]];
        let spans: Vec<Span> = (0..sizes.len()).map(|at| bytes.add(&key(at))).collect();
        let clone = bytes.clone();
        bytes.add(b"more");
        for (at, span) in spans.into_iter().enumerate() {
            assert_eq!(bytes.get(span), key(at));
            assert_eq!(clone.get(span), key(at));
        }
        assert_eq!(clone.total(), sizes.iter().sum::<usize>());
    }
}
