//! One value of a system relation or function, and its way into and out of Arrow.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, new_empty_array};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result;
use datafusion::scalar::ScalarValue;

use crate::error::error;

/// A value; its Postgres type stands beside it. A timestamp is an `Int` of microseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Value {
        Value::Int(value.into())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Value {
        Value::Int(value.into())
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Value {
        Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<char> for Value {
    fn from(value: char) -> Value {
        Value::Text(value.to_string())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Text(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Value {
        Value::List(values.into_iter().map(Into::into).collect())
    }
}

impl Value {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// As a number, also from digits in text.
    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            Value::Float(value) => Some(*value as i64),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::List(_) => None,
        }
    }

    pub(crate) fn oid(&self) -> Option<u32> {
        self.int().and_then(|value| u32::try_from(value).ok())
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// As PostgreSQL prints it.
    pub(crate) fn print(&self) -> String {
        match self {
            Value::Null => String::new(),
            Value::Bool(value) => if *value { "t" } else { "f" }.to_owned(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Text(text) => text.clone(),
            Value::List(values) => {
                let items: Vec<String> = values.iter().map(print_element).collect();
                format!("{{{}}}", items.join(","))
            }
        }
    }

    /// The zero of a type, for columns that are never NULL and that clickmill has nothing to say about.
    pub(crate) fn zero(data_type: &DataType) -> Value {
        match data_type {
            DataType::Boolean => Value::Bool(false),
            DataType::Utf8 | DataType::Binary => Value::Text(String::new()),
            DataType::List(_) => Value::List(Vec::new()),
            _ => Value::Int(0),
        }
    }

    /// The value as a scalar of an Arrow type; text is read where the type is none.
    pub(crate) fn scalar(self, data_type: &DataType) -> Result<ScalarValue> {
        let wrong = |value: &Value| {
            error(
                "XX000",
                format!("{value:?} is no value of type {data_type}"),
            )
        };
        Ok(match (self, data_type) {
            (Value::Null, data_type) => ScalarValue::try_from(data_type)?,
            (Value::Text(text), DataType::Utf8) => ScalarValue::Utf8(Some(text)),
            (value, DataType::Utf8) => ScalarValue::Utf8(Some(value.print())),
            (Value::Text(text), DataType::Binary) => ScalarValue::Binary(Some(text.into_bytes())),
            (Value::Bool(value), DataType::Boolean) => ScalarValue::Boolean(Some(value)),
            (Value::Text(text), DataType::Boolean) => ScalarValue::Boolean(Some(text == "t")),
            (Value::List(values), DataType::List(field)) => list(values, field.data_type())?,
            (Value::Text(text), DataType::List(field)) => list(elements(&text), field.data_type())?,
            (Value::Float(value), DataType::Float64) => ScalarValue::Float64(Some(value)),
            (value, data_type) => {
                let number = value.int().ok_or_else(|| wrong(&value))?;
                number_scalar(number, data_type).ok_or_else(|| wrong(&value))?
            }
        })
    }

    /// The value of a scalar. What has no counterpart comes as its text.
    pub(crate) fn of(scalar: &ScalarValue) -> Value {
        if scalar.is_null() {
            return Value::Null;
        }
        match scalar {
            ScalarValue::Boolean(Some(value)) => Value::Bool(*value),
            ScalarValue::Int8(Some(value)) => Value::Int(i64::from(*value)),
            ScalarValue::Int16(Some(value)) => Value::Int(i64::from(*value)),
            ScalarValue::Int32(Some(value)) => Value::Int(i64::from(*value)),
            ScalarValue::Int64(Some(value)) => Value::Int(*value),
            ScalarValue::UInt8(Some(value)) => Value::Int(i64::from(*value)),
            ScalarValue::UInt16(Some(value)) => Value::Int(i64::from(*value)),
            ScalarValue::UInt32(Some(value)) => Value::Int(i64::from(*value)),
            ScalarValue::UInt64(Some(value)) => {
                Value::Int(i64::try_from(*value).unwrap_or(i64::MAX))
            }
            ScalarValue::Float32(Some(value)) => Value::Float(f64::from(*value)),
            ScalarValue::Float64(Some(value)) => Value::Float(*value),
            ScalarValue::Utf8(Some(text))
            | ScalarValue::LargeUtf8(Some(text))
            | ScalarValue::Utf8View(Some(text)) => Value::Text(text.clone()),
            ScalarValue::List(list) => list_values(&list.value(0)),
            ScalarValue::LargeList(list) => list_values(&list.value(0)),
            other => Value::Text(other.to_string()),
        }
    }
}

fn list_values(array: &ArrayRef) -> Value {
    let scalars = (0..array.len()).map(|i| ScalarValue::try_from_array(array, i));
    Value::List(
        scalars
            .map(|scalar| scalar.map_or(Value::Null, |scalar| Value::of(&scalar)))
            .collect(),
    )
}

fn list(values: Vec<Value>, element: &DataType) -> Result<ScalarValue> {
    let scalars = values
        .into_iter()
        .map(|value| value.scalar(element))
        .collect::<Result<Vec<_>>>()?;
    Ok(ScalarValue::List(ScalarValue::new_list(
        &scalars, element, true,
    )))
}

fn number_scalar(number: i64, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Int16 => ScalarValue::Int16(Some(i16::try_from(number).ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(number).ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(number)),
        DataType::UInt32 => ScalarValue::UInt32(Some(u32::try_from(number).ok()?)),
        DataType::Float32 => ScalarValue::Float32(Some(number as f32)),
        DataType::Float64 => ScalarValue::Float64(Some(number as f64)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            ScalarValue::TimestampMicrosecond(Some(number), zone.clone().map(Arc::from))
        }
        _ => return None,
    })
}

/// An Arrow array of values.
pub(crate) fn array(values: impl Iterator<Item = Value>, data_type: &DataType) -> Result<ArrayRef> {
    let scalars = values
        .map(|value| value.scalar(data_type))
        .collect::<Result<Vec<_>>>()?;
    if scalars.is_empty() {
        return Ok(new_empty_array(data_type));
    }
    ScalarValue::iter_to_array(scalars)
}

/// The elements of a one-dimensional array as text, such as `{a,"b c",NULL}`, or of a vector, such as `25 26`.
pub(crate) fn elements(text: &str) -> Vec<Value> {
    let Some(inner) = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    else {
        return text.split_whitespace().map(Value::from).collect();
    };
    let mut values = Vec::new();
    let mut chars = inner.chars().peekable();
    while chars.peek().is_some() {
        let mut element = String::new();
        let mut quoted = false;
        let mut inside = false;
        while let Some(c) = chars.next() {
            match c {
                '\\' => element.extend(chars.next()),
                '"' => {
                    quoted = true;
                    inside = !inside;
                }
                ',' if !inside => break,
                c => element.push(c),
            }
        }
        let null = !quoted && element.eq_ignore_ascii_case("null");
        values.push(if null {
            Value::Null
        } else {
            Value::Text(element)
        });
    }
    values
}

fn print_element(value: &Value) -> String {
    let text = match value {
        Value::Null => return "NULL".to_owned(),
        value => value.print(),
    };
    let plain = |c: char| !matches!(c, '{' | '}' | ',' | '"' | '\\') && !c.is_whitespace();
    if matches!(value, Value::List(_)) {
        text
    } else if !text.is_empty() && text.chars().all(plain) && !text.eq_ignore_ascii_case("null") {
        text
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests {
    use super::{Value, elements};

    #[test]
    fn arrays_are_read_and_printed_as_postgres_does() {
        for text in [
            "{}",
            "{a,b}",
            "{r,p,\"\"}",
            "{\"a b\",NULL,\"NULL\",\"q\\\"\\\\\"}",
            "{1,2}",
        ] {
            assert_eq!(Value::List(elements(text)).print(), text);
        }
        assert_eq!(elements("25 26"), [Value::from("25"), Value::from("26")]);
    }
}
