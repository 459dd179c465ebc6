//! JSON numbers to integers and decimals, exactly and without floating point. All texts have passed the scanner.

/// The value of a number without fraction and exponent; `None` when an `i64` cannot hold it.
#[inline]
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    if let (Some(first), Some(last)) = (digits.first_chunk(), digits.last_chunk())
        && digits.len() <= 16
    {
        // The last eight digits without those that the first eight have, too.
        let (more, twice) = (digits.len() - 8, 16 - digits.len());
        let last = u64::from_le_bytes(*last) & u64::MAX.checked_shl(8 * twice as u32).unwrap_or(0);
        let value = eight_digits(u64::from_le_bytes(*first)) * POWERS[more] + eight_digits(last);
        return Some(if negative { -value } else { value });
    }
    let mut value = 0i64;
    for digit in digits {
        let digit = i64::from(digit - b'0');
        // Towards the sign, because i64::MIN has no positive twin.
        value = value.checked_mul(10)?;
        value = if negative {
            value.checked_sub(digit)?
        } else {
            value.checked_add(digit)?
        };
    }
    Some(value)
}

/// Powers of ten.
const POWERS: [i64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

/// The value of eight digits, or of fewer with zero bytes before: neighbours are joined to pairs, pairs to fours, fours to eight.
#[inline]
fn eight_digits(digits: u64) -> i64 {
    let word = digits & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (word.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    let eight = fours.wrapping_mul(1 + (10_000 << 32)) >> 32;
    eight.cast_signed()
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, text),
    }
}

/// A number times a power of ten, cut to an integer.
pub(super) struct Scaled {
    negative: bool,
    /// The absolute value's integer part.
    units: i128,
    /// Something was cut off.
    inexact: bool,
    /// What was cut off is one half or more.
    half: bool,
}

impl Scaled {
    /// The nearest integer, halves away from zero, as PostgreSQL's `numeric` rounds.
    pub(super) fn rounded(&self) -> i128 {
        let units = self.units + i128::from(self.half);
        if self.negative { -units } else { units }
    }

    /// The greatest integer that is not above the value.
    pub(super) fn floor(&self) -> i128 {
        if self.negative {
            -self.units - i128::from(self.inexact)
        } else {
            self.units
        }
    }
}

/// The number `text` times 10^`scale`; `None` beyond 38 digits.
pub(super) fn scaled(text: &[u8], scale: i64) -> Option<Scaled> {
    let (negative, text) = sign(text);
    let (mantissa, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])),
        None => (text, 0),
    };
    let point = mantissa
        .iter()
        .position(|b| *b == b'.')
        .unwrap_or(mantissa.len());
    let fraction = mantissa.get(point + 1..).unwrap_or_default();
    let digits = || mantissa[..point].iter().chain(fraction).map(|d| d - b'0');

    let zeros = digits().take_while(|d| *d == 0).count();
    let mut significant = digits().skip(zeros);
    if zeros == point + fraction.len() {
        return Some(Scaled {
            negative,
            units: 0,
            inexact: false,
            half: false,
        });
    }
    // How many of the significant digits stand before the point of the result.
    let whole = length(point) - length(zeros) + exponent + scale;
    if whole > 38 {
        return None;
    }
    if whole < 0 {
        return Some(Scaled {
            negative,
            units: 0,
            inexact: true,
            half: false,
        });
    }
    let mut units = 0;
    for _ in 0..whole {
        units = units * 10 + i128::from(significant.next().unwrap_or(0));
    }
    let next = significant.next().unwrap_or(0);
    Some(Scaled {
        negative,
        units,
        inexact: next > 0 || significant.any(|d| d > 0),
        half: next >= 5,
    })
}

fn length(count: usize) -> i64 {
    i64::try_from(count).expect("a record has fewer than 2^63 bytes")
}

/// The value of an exponent; a large one is cut to one that is beyond every type just the same.
fn exponent(text: &[u8]) -> i64 {
    let (negative, digits) = sign(text.strip_prefix(b"+").unwrap_or(text));
    let most = 1 << 50;
    let add = |value: i64, d: &u8| (value * 10 + i64::from(d - b'0')).min(most);
    let value = digits.iter().fold(0, add);
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_length() {
        for (first, step) in [(1, 1), (9, 9), (9, 0), (1, 7)] {
            for length in 1..25 {
                let digits = (0..length).map(|n| (first + n * step) % 10);
                let text: String = digits.map(|digit| digit.to_string()).collect();
                for text in [text.clone(), format!("-{text}")] {
                    assert_eq!(integer(text.as_bytes()), text.parse().ok(), "{text}");
                }
            }
        }
    }

    #[test]
    fn integers_at_the_borders() {
        let check = |text: &str| {
            assert_eq!(integer(text.as_bytes()), text.parse().ok(), "{text}");
        };
        for text in [
            "0",
            "-0",
            "7",
            "-7",
            "999999999999999999",
            "1000000000000000000",
        ] {
            check(text);
        }
        for text in [
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
        ] {
            check(text);
        }
        for text in [
            "-9223372036854775809",
            "18446744073709551616",
            "-99999999999999999999999",
        ] {
            check(text);
        }
    }

    #[test]
    fn scaling_rounds_and_floors() {
        let check = |text: &str, scale: i64, expected: Option<(i128, i128)>| {
            let found = scaled(text.as_bytes(), scale).map(|s| (s.rounded(), s.floor()));
            assert_eq!(found, expected, "{text} at {scale}");
        };
        check("12.345", 2, Some((1235, 1234)));
        check("-12.345", 2, Some((-1235, -1235)));
        check("12.3449999", 2, Some((1234, 1234)));
        check("0.005", 2, Some((1, 0)));
        check("0.0049", 2, Some((0, 0)));
        check("-0.0049", 2, Some((0, -1)));
        check("0.00049", 2, Some((0, 0)));
        check("1.5e3", 0, Some((1500, 1500)));
        check("1500E-3", 0, Some((2, 1)));
        check("0.000e99999999999999999999", 3, Some((0, 0)));
        check("1e-99999999999999999999", 3, Some((0, 0)));
        check("1e999", 3, None);
        check("1e99999999999999999999", 3, None);
        let nines = "9".repeat(38);
        check(
            &nines,
            0,
            Some((nines.parse().unwrap(), nines.parse().unwrap())),
        );
        check(&format!("{nines}9"), 0, None);
        check("150", -2, Some((2, 1)));
        check("49", -2, Some((0, 0)));
    }
}
