//! Options that are numbers within bounds.

use std::ops::RangeInclusive;

use dataflow::Result;
use dataflow::options::{Options, bad_value};

/// The whole number under `name` or one of its `synonyms`.
///
/// # Errors
/// `22023` for anything outside of `range`.
pub(crate) fn take(
    options: &mut Options,
    name: &'static str,
    synonyms: &[&'static str],
    range: RangeInclusive<u64>,
) -> Result<Option<u64>> {
    let Some(entry) = options.take_any(name, synonyms)? else {
        return Ok(None);
    };
    match entry.value.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => {
            let (least, most) = (range.start(), range.end());
            let what = format!("is not a whole number from {least} to {most}");
            Err(bad_value(&entry, &what))
        }
    }
}

/// The share of a whole, 0 to 1, under `name`.
///
/// # Errors
/// `22023` for anything else.
pub(crate) fn take_share(options: &mut Options, name: &'static str) -> Result<Option<f64>> {
    let Some(entry) = options.take_any(name, &[])? else {
        return Ok(None);
    };
    match entry.value.trim().parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(Some(share)),
        _ => Err(bad_value(&entry, "is not a number from 0 to 1")),
    }
}
