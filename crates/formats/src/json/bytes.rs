//! Looks at 32 bytes at once: where two blocks are equal, where a string may end, where a number ends.

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

/// Bit n is set when byte n is the same in both blocks.
#[inline(always)]
pub(super) fn equal(a: &Block, b: &Block) -> u32 {
    imp::equal(a, b)
}

/// Bit n is set when byte n is a quote, a backslash or a control character.
#[inline(always)]
pub(super) fn special(bytes: &Block) -> u32 {
    imp::special(bytes)
}

/// Bit n is set when byte n is no digit.
#[inline(always)]
pub(super) fn not_digit(bytes: &Block) -> u32 {
    imp::not_digit(bytes)
}

/// SSE2, which every x86-64 processor has.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "the compiler makes no masks of comparisons in portable code"
)]
mod imp {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_loadu_si128, _mm_min_epu8,
        _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };

    use super::Block;

    #[inline(always)]
    pub(super) fn equal(a: &Block, b: &Block) -> u32 {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { equal_sse2(a, b) }
    }

    #[inline(always)]
    pub(super) fn special(bytes: &Block) -> u32 {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { special_sse2(bytes) }
    }

    #[inline(always)]
    pub(super) fn not_digit(bytes: &Block) -> u32 {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { not_digit_sse2(bytes) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal_sse2(a: &Block, b: &Block) -> u32 {
        let (a, b) = (halves(a), halves(b));
        mask(_mm_cmpeq_epi8(a[0], b[0]), _mm_cmpeq_epi8(a[1], b[1]))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn special_sse2(bytes: &Block) -> u32 {
        let [low, high] = halves(bytes).map(|half| {
            let quote = _mm_cmpeq_epi8(half, all(b'"'));
            let backslash = _mm_cmpeq_epi8(half, all(b'\\'));
            let control = _mm_cmpeq_epi8(_mm_min_epu8(half, all(0x1f)), half);
            _mm_or_si128(_mm_or_si128(quote, backslash), control)
        });
        mask(low, high)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn not_digit_sse2(bytes: &Block) -> u32 {
        // The digits become the ten least numbers of eight bits with sign.
        let [low, high] = halves(bytes).map(|half| {
            let moved = _mm_add_epi8(half, all(0x80 - b'0'));
            _mm_cmpgt_epi8(moved, all(0x80 + 9))
        });
        mask(low, high)
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

    #[inline]
    #[target_feature(enable = "sse2")]
    fn mask(low: __m128i, high: __m128i) -> u32 {
        let low = _mm_movemask_epi8(low).cast_unsigned();
        low | _mm_movemask_epi8(high).cast_unsigned() << 16
    }
}

/// Byte by byte, for the compiler to make of it what it can.
#[cfg(not(target_arch = "x86_64"))]
use portable as imp;

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::{Block, WIDTH};

    #[inline(always)]
    pub(super) fn equal(a: &Block, b: &Block) -> u32 {
        mask(|n| a[n] == b[n])
    }

    #[inline(always)]
    pub(super) fn special(bytes: &Block) -> u32 {
        mask(|n| (bytes[n] == b'"') | (bytes[n] == b'\\') | (bytes[n] < 0x20))
    }

    #[inline(always)]
    pub(super) fn not_digit(bytes: &Block) -> u32 {
        mask(|n| bytes[n].wrapping_sub(b'0') > 9)
    }

    #[inline(always)]
    fn mask(bit: impl Fn(usize) -> bool) -> u32 {
        (0..WIDTH).fold(0, |mask, n| mask | u32::from(bit(n)) << n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_in_every_place() {
        for fill in [b'a', b'5', b'"', 0, 0xff] {
            for place in 0..WIDTH {
                for byte in 0..=255 {
                    let (mut bytes, other) = ([fill; WIDTH], [fill; WIDTH]);
                    bytes[place] = byte;
                    let shown = format!("{byte:#x} at {place} among {fill:#x}");
                    let bits = |is: &dyn Fn(u8) -> bool| {
                        (0..WIDTH).fold(0, |mask, n| mask | u32::from(is(bytes[n])) << n)
                    };
                    let stops = bits(&|b| matches!(b, b'"' | b'\\' | 0..0x20));
                    let others = bits(&|b| !b.is_ascii_digit());
                    let same = bits(&|b| b == fill);
                    assert_eq!(special(&bytes), stops, "{shown}");
                    assert_eq!(portable::special(&bytes), stops, "{shown}");
                    assert_eq!(not_digit(&bytes), others, "{shown}");
                    assert_eq!(portable::not_digit(&bytes), others, "{shown}");
                    assert_eq!(equal(&bytes, &other), same, "{shown}");
                    assert_eq!(portable::equal(&bytes, &other), same, "{shown}");
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
