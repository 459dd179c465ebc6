//! Whole and decimal numbers as text.

use datafusion::scalar::ScalarValue;

use dataflow::{Error, Result, SqlState};

use super::bad_text;
use crate::types::{NUMERIC_PARAMETER, name_of, oid};

pub(super) fn integer<T: TryFrom<i128>>(text: &str, oid: u32) -> Result<T> {
    let wide: i128 = text.trim().parse().map_err(|_| bad_text(oid, text))?;
    T::try_from(wide).map_err(|_| {
        let message = format!("value \"{text}\" is out of range for type {}", name_of(oid));
        Error::new(SqlState::NUMERIC_OUT_OF_RANGE, message)
    })
}

/// Decimal text, with or without an exponent, as the numeric type of parameters. Nothing is rounded.
pub(super) fn decimal(text: &str) -> Result<ScalarValue> {
    let (precision, scale) = NUMERIC_PARAMETER;
    let syntax = || bad_text(oid::NUMERIC, text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| syntax())?),
        None => (text, 0),
    };
    let negative = mantissa.starts_with('-');
    let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all: String = [whole, fraction].concat();
    if all.eq_ignore_ascii_case("nan") || all.to_ascii_lowercase().starts_with("inf") {
        return Err(Error::unsupported(format_args!("the numeric value {text}")));
    }
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return Err(syntax());
    }
    let overflow = || {
        Error::new(
            SqlState::NUMERIC_OUT_OF_RANGE,
            format!("numeric value out of range: \"{text}\""),
        )
        .detail(format!(
            "A numeric parameter has at most {precision} digits, {scale} of them after the point."
        ))
    };
    let all = all.trim_start_matches('0');
    if all.is_empty() {
        return Ok(ScalarValue::Decimal128(Some(0), precision, scale));
    }
    let places = i32::try_from(fraction.len())
        .map_err(|_| overflow())?
        .saturating_sub(exponent);
    let zeros = i32::from(scale).saturating_sub(places);
    let digits = if zeros >= 0 {
        let zeros = usize::try_from(zeros)
            .ok()
            .filter(|z| *z <= usize::from(precision))
            .ok_or_else(overflow)?;
        format!("{all}{}", "0".repeat(zeros))
    } else {
        let extra = usize::try_from(-zeros).map_err(|_| overflow())?;
        let kept = all.len().checked_sub(extra).ok_or_else(overflow)?;
        let (kept, cut) = all.split_at(kept);
        if cut.bytes().any(|b| b != b'0') {
            return Err(overflow());
        }
        if kept.is_empty() {
            "0".to_owned()
        } else {
            kept.to_owned()
        }
    };
    if digits.len() > usize::from(precision) {
        return Err(overflow());
    }
    let value: i128 = digits.parse().map_err(|_| overflow())?;
    Ok(ScalarValue::Decimal128(
        Some(if negative { -value } else { value }),
        precision,
        scale,
    ))
}
