//! Array parameters of one dimension, in text and binary.

use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;

use dataflow::{Error, Result, SqlState};

use super::{bad_binary, fixed, from_binary, from_text};
use crate::encode::Zone;
use crate::types::{element_of, oid, parameter_type};

/// Elements that a binary array parameter may have.
const MAX_ELEMENTS: usize = 1 << 20;

/// `{1,NULL,"a b"}`, of one dimension.
pub(super) fn from_text_form(text: &str, array: u32, zone: &Zone) -> Result<ScalarValue> {
    let element = element_of(array).unwrap_or(oid::TEXT);
    let bad = || {
        Error::new(
            SqlState::INVALID_TEXT,
            format!("malformed array literal: \"{text}\""),
        )
    };
    let inner = text
        .trim()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .ok_or_else(bad)?;
    if inner.starts_with('{') {
        return Err(Error::unsupported("a multidimensional array parameter"));
    }
    let mut values = Vec::new();
    let mut rest = inner.chars().peekable();
    while rest.peek().is_some() {
        let (mut value, mut quoted, mut open) = (String::new(), false, false);
        loop {
            match rest.next() {
                Some('"') => {
                    open = !open;
                    quoted = true;
                }
                Some('\\') => value.push(rest.next().ok_or_else(bad)?),
                Some(',') if !open => break,
                Some('{' | '}') if !open => return Err(bad()),
                Some(other) => value.push(other),
                None if open => return Err(bad()),
                None => break,
            }
        }
        let null = !quoted && value.trim().eq_ignore_ascii_case("null");
        let shown = if quoted { value.as_str() } else { value.trim() };
        values.push(if null {
            null_of(element)?
        } else {
            from_text(shown, element, zone)?
        });
    }
    list_of(&values, element)
}

/// An array of one dimension in binary.
pub(super) fn from_binary_form(bytes: &[u8], array: u32) -> Result<ScalarValue> {
    let element = element_of(array).unwrap_or(oid::TEXT);
    let bad = || bad_binary(array);
    let mut rest = bytes;
    let mut next = || -> Result<u32> {
        let (word, tail) = rest.split_at_checked(4).ok_or_else(bad)?;
        rest = tail;
        Ok(u32::from_be_bytes(fixed(word, array)?))
    };
    let (dimensions, _has_null, given) = (next()?, next()?, next()?);
    if given != element {
        return Err(bad());
    }
    match dimensions {
        0 => return list_of(&[], element),
        1 => {}
        _ => return Err(Error::unsupported("a multidimensional array parameter")),
    }
    let (count, _lower_bound) = (next()?, next()?);
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count <= MAX_ELEMENTS)
        .ok_or_else(bad)?;
    let mut values = Vec::new();
    for _ in 0..count {
        let (length, tail) = rest.split_at_checked(4).ok_or_else(bad)?;
        let length = i32::from_be_bytes(fixed(length, array)?);
        let Ok(length) = usize::try_from(length) else {
            values.push(null_of(element)?);
            rest = tail;
            continue;
        };
        let (value, tail) = tail.split_at_checked(length).ok_or_else(bad)?;
        values.push(from_binary(value, element)?);
        rest = tail;
    }
    if !rest.is_empty() {
        return Err(bad());
    }
    list_of(&values, element)
}

pub(super) fn list_of(values: &[ScalarValue], element: u32) -> Result<ScalarValue> {
    let data_type = parameter_type(element)
        .ok_or_else(|| Error::unsupported(format_args!("an array parameter of type {element}")))?;
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(
        values, &data_type,
    )))
}

fn null_of(element: u32) -> Result<ScalarValue> {
    let data_type = parameter_type(element).unwrap_or(DataType::Utf8);
    ScalarValue::try_from(&data_type).map_err(|e| Error::internal(e.to_string()))
}
