//! Looks at 32 bytes at once: whether they begin with a literal, where a string may end, where a number ends.

/// As many bytes as are looked at in one step.
pub(super) const WIDTH: usize = 32;

/// The bytes of one step.
pub(super) type Block = [u8; WIDTH];

/// The [`WIDTH`] bytes at `at`, or `None` when the text ends before.
#[inline(always)]
pub(super) fn block(text: &[u8], at: u32) -> Option<&Block> {
    let at = at as usize;
    text.get(at..at + WIDTH)?.first_chunk()
}

/// Up to [`WIDTH`] bytes to compare with.
pub(super) struct Pattern {
    bytes: Block,
    /// 0xff for the bytes that count, 0 for the others, which are 0 in `bytes`.
    kept: Block,
}

impl Pattern {
    /// The first bytes of `text`.
    pub(super) fn new(text: &[u8]) -> Self {
        let (mut bytes, mut kept) = ([0; WIDTH], [0; WIDTH]);
        let length = text.len().min(WIDTH);
        bytes[..length].copy_from_slice(&text[..length]);
        kept[..length].fill(0xff);
        Self { bytes, kept }
    }

    /// Whether `bytes` begin with the pattern.
    #[inline(always)]
    pub(super) fn begins(&self, bytes: &Block) -> bool {
        imp::same(bytes, &self.kept, &self.bytes)
    }
}

/// The place of the first quote, backslash or control character; [`WIDTH`] when there is none.
#[inline(always)]
pub(super) fn plain(bytes: &Block) -> u32 {
    imp::plain(bytes)
}

/// The number of digits before anything else.
#[inline(always)]
pub(super) fn digits(bytes: &Block) -> u32 {
    imp::digits(bytes)
}

/// SSE2, which every x86-64 processor has. The lanes take half as long again with the portable functions.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "portable code cannot say to take one bit of each byte"
)]
mod imp {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_and_si128, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_loadu_si128,
        _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };

    use super::Block;

    #[inline(always)]
    pub(super) fn same(bytes: &Block, kept: &Block, expected: &Block) -> bool {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { same_sse2(bytes, kept, expected) }
    }

    #[inline(always)]
    pub(super) fn plain(bytes: &Block) -> u32 {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { plain_sse2(bytes) }
    }

    #[inline(always)]
    pub(super) fn digits(bytes: &Block) -> u32 {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { digits_sse2(bytes) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn same_sse2(bytes: &Block, kept: &Block, expected: &Block) -> bool {
        let (bytes, kept, expected) = (halves(bytes), halves(kept), halves(expected));
        let low = _mm_cmpeq_epi8(_mm_and_si128(bytes[0], kept[0]), expected[0]);
        let high = _mm_cmpeq_epi8(_mm_and_si128(bytes[1], kept[1]), expected[1]);
        _mm_movemask_epi8(_mm_and_si128(low, high)) == 0xffff
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn plain_sse2(bytes: &Block) -> u32 {
        first(halves(bytes).map(|half| {
            let quote = _mm_cmpeq_epi8(half, all(b'"'));
            let backslash = _mm_cmpeq_epi8(half, all(b'\\'));
            let control = _mm_cmpeq_epi8(_mm_min_epu8(half, all(0x1f)), half);
            _mm_or_si128(_mm_or_si128(quote, backslash), control)
        }))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn digits_sse2(bytes: &Block) -> u32 {
        first(halves(bytes).map(|half| {
            // The digits become the ten least numbers of eight bits with sign.
            let moved = _mm_add_epi8(half, all(0x80 - b'0'));
            _mm_cmpgt_epi8(moved, all(0x80 + 9))
        }))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn halves(bytes: &Block) -> [__m128i; 2] {
        let (low, high) = bytes.split_at(16);
        // SAFETY: both halves have 16 bytes, and these loads need no alignment.
        unsafe {
            [
                _mm_loadu_si128(low.as_ptr().cast()),
                _mm_loadu_si128(high.as_ptr().cast()),
            ]
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn all(byte: u8) -> __m128i {
        _mm_set1_epi8(byte.cast_signed())
    }

    /// The place of the first byte that is not 0.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn first([low, high]: [__m128i; 2]) -> u32 {
        let bits = |half| _mm_movemask_epi8(half).cast_unsigned();
        (bits(low) | bits(high) << 16).trailing_zeros()
    }
}

#[cfg(not(target_arch = "x86_64"))]
use portable as imp;

/// The same for all processors; the compiler makes vector instructions of it.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::{Block, WIDTH};

    #[inline(always)]
    pub(super) fn same(bytes: &Block, kept: &Block, expected: &Block) -> bool {
        let differs = |n: usize| bytes[n] & kept[n] ^ expected[n];
        (0..WIDTH).fold(0, |found, n| found | differs(n)) == 0
    }

    #[inline(always)]
    pub(super) fn plain(bytes: &Block) -> u32 {
        first(bytes, |b| (b == b'"') | (b == b'\\') | (b < 0x20))
    }

    #[inline(always)]
    pub(super) fn digits(bytes: &Block) -> u32 {
        first(bytes, |b| b.wrapping_sub(b'0') > 9)
    }

    #[inline(always)]
    fn first(bytes: &Block, is: impl Fn(u8) -> bool) -> u32 {
        let hits = bytes.map(|b| if is(b) { 0xff } else { 0 });
        let (halves, _) = hits.as_chunks::<16>();
        let [low, high] = [halves[0], halves[1]].map(u128::from_le_bytes);
        if low != 0 {
            low.trailing_zeros() / 8
        } else {
            16 + high.trailing_zeros() / 8
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &Block) {
        let place = |is: &dyn Fn(u8) -> bool| bytes.iter().position(|b| is(*b));
        let stop = place(&|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap_or(WIDTH) as u32;
        assert_eq!(plain(bytes), stop, "{bytes:?}");
        assert_eq!(portable::plain(bytes), stop, "{bytes:?}");
        let stop = place(&|b| !b.is_ascii_digit()).unwrap_or(WIDTH) as u32;
        assert_eq!(digits(bytes), stop, "{bytes:?}");
        assert_eq!(portable::digits(bytes), stop, "{bytes:?}");
    }

    #[test]
    fn every_byte_in_every_place() {
        for fill in [b'a', b'5', b'"', 0, 0xff] {
            check(&[fill; WIDTH]);
            for place in 0..WIDTH {
                for byte in 0..=255 {
                    let mut bytes = [fill; WIDTH];
                    bytes[place] = byte;
                    check(&bytes);
                    // Not only the first one.
                    bytes[WIDTH - 1 - place / 2] = b'"';
                    check(&bytes);
                }
            }
        }
    }

    #[test]
    fn patterns_of_every_length() {
        for length in 0..WIDTH + 3 {
            let text: Vec<u8> = (0..length).map(|n| 100 + n as u8).collect();
            let pattern = Pattern::new(&text);
            let mut bytes = [0xa5; WIDTH];
            let counts = length.min(WIDTH);
            bytes[..counts].copy_from_slice(&text[..counts]);
            for place in 0..WIDTH {
                for bit in 0..8 {
                    let mut other = bytes;
                    other[place] ^= 1 << bit;
                    let begins = place >= counts;
                    assert_eq!(pattern.begins(&other), begins, "{length} {place}");
                    let portable = portable::same(&other, &pattern.kept, &pattern.bytes);
                    assert_eq!(portable, begins, "{length} {place}");
                }
            }
        }
    }

    #[test]
    fn blocks_end_with_the_text() {
        let text = [7; WIDTH + 1];
        assert!(block(&text, 1).is_some());
        assert!(block(&text, 2).is_none());
        assert!(block(&text, 99).is_none());
        assert!(block(&text[..WIDTH - 1], 0).is_none());
    }
}
