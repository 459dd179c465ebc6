//! Floating-point numbers as text, as PostgreSQL 12 and later write them.

use std::io::Write;

/// Digits that a `double precision` has for certain, and the exponent from which it is written with `e`.
const DOUBLE_DIGITS: i32 = 15;
/// The same of a `real`.
const REAL_DIGITS: i32 = 6;
/// Room for the longest scientific form: sign, 17 digits, point, `e`, exponent.
const SCIENTIFIC_BYTES: usize = 64;

/// Writes a `double precision`.
pub(crate) fn write_f64(value: f64, extra_digits: i32, out: &mut Vec<u8>) {
    if let Some(name) = special(value) {
        out.extend_from_slice(name.as_bytes());
    } else if extra_digits > 0 {
        scientific(format_args!("{value:e}"), DOUBLE_DIGITS, out);
    } else {
        let digits = (DOUBLE_DIGITS + extra_digits).max(1);
        rounded(value, digits, out);
    }
}

/// Writes a `real`.
pub(crate) fn write_f32(value: f32, extra_digits: i32, out: &mut Vec<u8>) {
    if let Some(name) = special(f64::from(value)) {
        out.extend_from_slice(name.as_bytes());
    } else if extra_digits > 0 {
        scientific(format_args!("{value:e}"), REAL_DIGITS, out);
    } else {
        let digits = (REAL_DIGITS + extra_digits).max(1);
        rounded(f64::from(value), digits, out);
    }
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("Infinity")
    } else if value == f64::NEG_INFINITY {
        Some("-Infinity")
    } else {
        None
    }
}

/// `%.{digits}g` of C.
fn rounded(value: f64, digits: i32, out: &mut Vec<u8>) {
    let decimals = usize::try_from(digits - 1).unwrap_or(0);
    scientific(format_args!("{value:.decimals$e}"), digits, out);
}

/// Rewrites Rust's `-1.25e-7` in PostgreSQL's form: plain for exponents from -4 to below `limit`, else with a signed
/// exponent of two digits at least. Trailing zeros of the fraction go.
fn scientific(text: std::fmt::Arguments<'_>, limit: i32, out: &mut Vec<u8>) {
    let mut room = [0_u8; SCIENTIFIC_BYTES];
    let mut rest = &mut room[..];
    let fits = rest.write_fmt(text).is_ok();
    debug_assert!(fits, "a float's digits fit {SCIENTIFIC_BYTES} bytes");
    let used = SCIENTIFIC_BYTES - rest.len();
    let text = std::str::from_utf8(&room[..used]).unwrap_or_default();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = match mantissa.strip_prefix('-') {
        Some(positive) => {
            out.push(b'-');
            positive
        }
        None => mantissa,
    };
    let (first, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0').as_bytes();
    if !(-4..limit).contains(&exponent) {
        out.extend_from_slice(first.as_bytes());
        if !fraction.is_empty() {
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
    } else if let Ok(whole) = usize::try_from(exponent) {
        out.extend_from_slice(first.as_bytes());
        let (shown, after) = fraction.split_at(whole.min(fraction.len()));
        out.extend_from_slice(shown);
        out.resize(out.len() + (whole - shown.len()), b'0');
        if !after.is_empty() {
            out.push(b'.');
            out.extend_from_slice(after);
        }
    } else {
        out.extend_from_slice(b"0.");
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        out.resize(out.len() + zeros, b'0');
        out.extend_from_slice(first.as_bytes());
        out.extend_from_slice(fraction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(value: f64, extra: i32) -> String {
        let mut out = Vec::new();
        write_f64(value, extra, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn real(value: f32) -> String {
        let mut out = Vec::new();
        write_f32(value, 1, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_read_back_and_look_as_in_postgres() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (1e14, "100000000000000"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e15, "1e+15"),
            (1e20, "1e+20"),
            (1.234e-4, "0.0001234"),
            (1.234e-5, "1.234e-05"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in cases {
            assert_eq!(double(value, 1), text);
        }
    }

    #[test]
    fn reals_use_six_digits_before_the_exponent() {
        assert_eq!(real(100_000.0), "100000");
        assert_eq!(real(1_000_000.0), "1e+06");
        assert_eq!(real(123_456_789.0), "1.2345679e+08");
        assert_eq!(real(0.1), "0.1");
    }

    #[test]
    fn fewer_extra_digits_round() {
        assert_eq!(double(0.1 + 0.2, 0), "0.3");
        assert_eq!(double(1.0 / 3.0, 0), "0.333333333333333");
        assert_eq!(double(1.0 / 3.0, -12), "0.333");
        assert_eq!(double(123_456.0, -12), "1.23e+05");
        assert_eq!(double(100.0, 0), "100");
    }
}
