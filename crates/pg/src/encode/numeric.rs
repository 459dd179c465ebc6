//! PostgreSQL's `numeric`: exact decimal text from Arrow's decimals, and its base-10000 binary form.

use dataflow::{Error, Result, SqlState};

/// Decimal digits in one digit of the binary form.
const GROUP: usize = 4;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;
/// Most decimal digits, before and after the point together, that a binary parameter may have.
const MAX_DIGITS: usize = 1 << 12;

/// Writes an unscaled integer, given as text, with `scale` digits after the point.
pub(crate) fn write_decimal(unscaled: &str, scale: i8, out: &mut Vec<u8>) {
    let digits = match unscaled.strip_prefix('-') {
        Some(digits) => {
            out.push(b'-');
            digits
        }
        None => unscaled,
    };
    let scale_digits = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        out.extend_from_slice(digits.as_bytes());
        if digits != "0" {
            out.resize(out.len() + scale_digits, b'0');
        }
    } else if digits.len() > scale_digits {
        let (whole, fraction) = digits.split_at(digits.len() - scale_digits);
        out.extend_from_slice(whole.as_bytes());
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + scale_digits - digits.len(), b'0');
        out.extend_from_slice(digits.as_bytes());
    }
}

/// Writes the binary form of plain decimal text such as `-12.50`.
pub(crate) fn write_binary(text: &[u8], out: &mut Vec<u8>) {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let point = text.iter().position(|&b| b == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..point], text.get(point + 1..).unwrap_or_default());
    let lead = (GROUP - whole.len() % GROUP) % GROUP;
    let mut digits = vec![b'0'; lead];
    digits.extend_from_slice(whole);
    let mut weight = i16::try_from(digits.len() / GROUP).unwrap_or(i16::MAX) - 1;
    digits.extend_from_slice(fraction);
    digits.resize(digits.len().div_ceil(GROUP) * GROUP, b'0');
    let group = |four: &[u8]| {
        four.iter()
            .fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'))
    };
    let groups: Vec<u16> = digits.chunks(GROUP).map(group).collect();
    let first = groups.iter().position(|&g| g != 0).unwrap_or(groups.len());
    let last = groups
        .iter()
        .rposition(|&g| g != 0)
        .map_or(first, |last| last + 1);
    let kept = &groups[first..last];
    weight = if kept.is_empty() {
        0
    } else {
        weight - i16::try_from(first).unwrap_or(0)
    };
    let sign = if negative && !kept.is_empty() {
        NEGATIVE
    } else {
        0
    };
    out.extend_from_slice(&u16::try_from(kept.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(
        &u16::try_from(fraction.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes(),
    );
    for digit in kept {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

/// Reads the binary form as decimal text. `NaN` and infinities are given by name.
pub(crate) fn read_binary(bytes: &[u8]) -> Result<String> {
    let broken = || {
        Error::new(
            SqlState("22P03"),
            "incorrect binary data format for numeric",
        )
    };
    let word = |index: usize| -> Result<u16> {
        let pair = bytes.get(index * 2..index * 2 + 2).ok_or_else(broken)?;
        Ok(u16::from_be_bytes([pair[0], pair[1]]))
    };
    let (count, weight, sign, scale) = (word(0)?, word(1)?.cast_signed(), word(2)?, word(3)?);
    match sign {
        0 | NEGATIVE => {}
        NAN => return Ok("NaN".to_owned()),
        INFINITY => return Ok("Infinity".to_owned()),
        NEGATIVE_INFINITY => return Ok("-Infinity".to_owned()),
        _ => return Err(broken()),
    }
    let (count, scale, weight) = (usize::from(count), usize::from(scale), i32::from(weight));
    if bytes.len() != (4 + count) * 2 {
        return Err(broken());
    }
    let whole_groups = usize::try_from(weight + 1).unwrap_or(0);
    if whole_groups * GROUP + scale > MAX_DIGITS {
        return Err(Error::new(
            SqlState::NUMERIC_OUT_OF_RANGE,
            "value overflows numeric format",
        ));
    }
    let digit = |place: i32| -> Result<u16> {
        let index = usize::try_from(weight - place).unwrap_or(usize::MAX);
        let digit = if index < count { word(4 + index)? } else { 0 };
        if digit > 9999 {
            Err(broken())
        } else {
            Ok(digit)
        }
    };
    let mut text = String::from(if sign == NEGATIVE { "-" } else { "" });
    let mut whole = String::new();
    for place in (0..=weight).rev() {
        whole.push_str(&format!("{:04}", digit(place)?));
    }
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let mut fraction = String::new();
        for place in 1..=i32::try_from(scale.div_ceil(GROUP)).unwrap_or(0) {
            fraction.push_str(&format!("{:04}", digit(-place)?));
        }
        fraction.truncate(scale);
        text.push('.');
        text.push_str(&fraction);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(unscaled: i128, scale: i8) -> String {
        let mut out = Vec::new();
        write_decimal(&unscaled.to_string(), scale, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal(12345, 2), "123.45");
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(0, 3), "0.000");
        assert_eq!(decimal(7, 0), "7");
        assert_eq!(decimal(7, -2), "700");
        assert_eq!(
            decimal(i128::MAX, 10),
            "17014118346046923173168730371.5884105727"
        );
    }

    #[test]
    fn binary_has_the_bytes_of_postgres() {
        // SELECT encode(numeric_send('-12345.678'), 'hex') on PostgreSQL 15.
        let mut out = Vec::new();
        write_binary(b"-12345.678", &mut out);
        assert_eq!(
            hex(&out),
            "00030001400000030001".to_owned() + "0929" + "1a7c"
        );
        out.clear();
        write_binary(b"0.00", &mut out);
        assert_eq!(hex(&out), "0000000000000002");
        out.clear();
        write_binary(b"0.00001", &mut out);
        assert_eq!(hex(&out), "0001fffe0000000503e8");
        out.clear();
        write_binary(b"100000000", &mut out);
        assert_eq!(hex(&out), "00010002000000000001");
    }

    #[test]
    fn binary_reads_back() {
        for text in [
            "0",
            "0.00",
            "-12345.678",
            "0.00001",
            "100000000",
            "99999999.9999",
            "-0.5",
            "10000.0001",
        ] {
            let mut out = Vec::new();
            write_binary(text.as_bytes(), &mut out);
            assert_eq!(read_binary(&out).unwrap(), text);
        }
    }

    #[test]
    fn broken_binary_is_refused() {
        assert!(read_binary(&[]).is_err());
        assert!(read_binary(&[0, 9, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(read_binary(&[0, 1, 0x7f, 0xff, 0, 0, 0, 0, 0, 1]).is_err());
        assert!(read_binary(&[0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff]).is_err());
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}
