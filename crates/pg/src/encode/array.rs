//! Arrays and records, which hold encoded values of other types: `{1,NULL,"a b"}` and `(1,,"a b")`, and in binary.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StructArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef};

use dataflow::{Error, Result, SqlState};

use super::{Cells, EncodeOptions, binary, text};
use crate::types::{PgType, element_of, is_list, pg_type};

/// Dimensions that PostgreSQL's arrays have at most.
const MAX_DIMENSIONS: usize = 6;

/// The rows of a list array: one array of all elements, and where each row's begin and end in it.
struct Lists {
    element: FieldRef,
    elements: ArrayRef,
    ranges: Vec<(usize, usize)>,
}

impl Lists {
    fn new(array: &dyn Array) -> Result<Self> {
        let unsupported = || {
            Error::unsupported(format_args!(
                "a result column of type {}",
                array.data_type()
            ))
        };
        match array.data_type() {
            DataType::List(element) => {
                let list = array.as_list::<i32>();
                Ok(Self::from_offsets(
                    element,
                    list.values(),
                    list.value_offsets().iter().map(|&o| i64::from(o)),
                ))
            }
            DataType::LargeList(element) => {
                let list = array.as_list::<i64>();
                Ok(Self::from_offsets(
                    element,
                    list.values(),
                    list.value_offsets().iter().copied(),
                ))
            }
            DataType::Map(element, _) => {
                let map = array.as_map();
                let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
                Ok(Self::from_offsets(
                    element,
                    &entries,
                    map.value_offsets().iter().map(|&o| i64::from(o)),
                ))
            }
            DataType::FixedSizeList(element, size) => {
                let size = usize::try_from(*size).unwrap_or(0);
                let ranges = (0..array.len())
                    .map(|row| (row * size, (row + 1) * size))
                    .collect();
                let elements = array.as_fixed_size_list().values().clone();
                Ok(Self {
                    element: element.clone(),
                    elements,
                    ranges,
                })
            }
            DataType::ListView(element) | DataType::LargeListView(element) => {
                Self::new(&cast(array, &DataType::LargeList(element.clone()))?)
            }
            _ => Err(unsupported()),
        }
    }

    /// Keeps only the elements of these rows, as a sliced list still holds all of its elements.
    fn from_offsets(
        element: &FieldRef,
        elements: &ArrayRef,
        offsets: impl Iterator<Item = i64>,
    ) -> Self {
        let offsets: Vec<usize> = offsets.map(|o| usize::try_from(o).unwrap_or(0)).collect();
        let (first, last) = (
            offsets.first().copied().unwrap_or(0),
            offsets.last().copied().unwrap_or(0),
        );
        let ranges = offsets
            .windows(2)
            .map(|pair| (pair[0] - first, pair[1] - first))
            .collect();
        Self {
            element: element.clone(),
            elements: elements.slice(first, last - first),
            ranges,
        }
    }
}

/// Appends every list as `{…}`.
pub(crate) fn lists_as_text(
    array: &dyn Array,
    options: &EncodeOptions,
    cells: &mut Cells,
) -> Result<()> {
    let lists = Lists::new(array)?;
    let nested = is_list(lists.element.data_type());
    let mut shown = Cells::default();
    text::column(&lists.elements, options, &mut shown)?;
    cells.rows(array.len(), |row, out| {
        if array.is_null(row) {
            return Ok(false);
        }
        out.push(b'{');
        let (start, end) = lists.ranges[row];
        for element in start..end {
            if element > start {
                out.push(b',');
            }
            match shown.get(element) {
                None => out.extend_from_slice(b"NULL"),
                Some(value) if nested || !needs_quotes_in_array(value) => {
                    out.extend_from_slice(value)
                }
                Some(value) => {
                    out.push(b'"');
                    for &byte in value {
                        if byte == b'"' || byte == b'\\' {
                            out.push(b'\\');
                        }
                        out.push(byte);
                    }
                    out.push(b'"');
                }
            }
        }
        out.push(b'}');
        Ok(true)
    })
}

/// Appends every list as the catalog's vectors are shown: `1 2 3`.
pub(crate) fn vectors_as_text(
    array: &dyn Array,
    options: &EncodeOptions,
    cells: &mut Cells,
) -> Result<()> {
    let lists = Lists::new(array)?;
    let mut shown = Cells::default();
    text::column(&lists.elements, options, &mut shown)?;
    cells.rows(array.len(), |row, out| {
        let (start, end) = lists.ranges[row];
        for element in start..end {
            if element > start {
                out.push(b' ');
            }
            out.extend_from_slice(shown.get(element).unwrap_or_default());
        }
        Ok(!array.is_null(row))
    })
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn needs_quotes_in_array(value: &[u8]) -> bool {
    value.is_empty()
        || value.eq_ignore_ascii_case(b"null")
        || value
            .iter()
            .any(|&b| matches!(b, b'{' | b'}' | b',' | b'"' | b'\\') || is_space(b))
}

/// Appends every record as `(…)`.
pub(crate) fn records_as_text(
    array: &StructArray,
    options: &EncodeOptions,
    cells: &mut Cells,
) -> Result<()> {
    let mut fields = Vec::with_capacity(array.num_columns());
    for column in array.columns() {
        let mut shown = Cells::default();
        text::column(column, options, &mut shown)?;
        fields.push(shown);
    }
    cells.rows(array.len(), |row, out| {
        if array.is_null(row) {
            return Ok(false);
        }
        out.push(b'(');
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let Some(value) = field.get(row) else {
                continue;
            };
            let quoted = value.is_empty()
                || value
                    .iter()
                    .any(|&b| matches!(b, b'(' | b')' | b',' | b'"' | b'\\') || is_space(b));
            if quoted {
                out.push(b'"');
            }
            for &byte in value {
                if byte == b'"' || byte == b'\\' {
                    out.push(byte);
                }
                out.push(byte);
            }
            if quoted {
                out.push(b'"');
            }
        }
        out.push(b')');
        Ok(true)
    })
}

/// Appends every record in binary: number of fields, and of each its type, length and bytes.
pub(crate) fn records_as_binary(array: &StructArray, cells: &mut Cells) -> Result<()> {
    let mut fields = Vec::with_capacity(array.num_columns());
    for (field, column) in array.fields().iter().zip(array.columns()) {
        let pg_type = pg_type(field)?;
        let mut encoded = Cells::default();
        binary::column(column, &pg_type, &mut encoded)?;
        fields.push((pg_type, encoded));
    }
    cells.rows(array.len(), |row, out| {
        if array.is_null(row) {
            return Ok(false);
        }
        put_len(fields.len(), out)?;
        for (pg_type, field) in &fields {
            out.extend_from_slice(&pg_type.oid.to_be_bytes());
            put_value(field.get(row), out)?;
        }
        Ok(true)
    })
}

/// Appends every list in binary: dimensions, whether there are NULLs, element type, length of each dimension, elements.
pub(crate) fn lists_as_binary(
    array: &dyn Array,
    announced: &PgType,
    cells: &mut Cells,
) -> Result<()> {
    let mut levels = vec![Lists::new(array)?];
    while let Some(inner) = levels
        .last()
        .filter(|level| is_list(level.element.data_type()))
    {
        if levels.len() == MAX_DIMENSIONS {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT,
                "number of array dimensions exceeds 6",
            ));
        }
        levels.push(Lists::new(&inner.elements)?);
    }
    let leaf = levels.last().expect("there is one level at least");
    let element = match element_of(announced.oid) {
        Some(element) => PgType::new(element),
        None => pg_type(&leaf.element)?,
    };
    let mut encoded = Cells::default();
    binary::column(&leaf.elements, &element, &mut encoded)?;
    cells.rows(array.len(), |row, out| {
        if array.is_null(row) {
            return Ok(false);
        }
        let (dimensions, (start, end)) = dimensions(&levels, row)?;
        let has_null = (start..end).any(|index| encoded.get(index).is_none());
        put_len(dimensions.len(), out)?;
        out.extend_from_slice(&i32::from(has_null).to_be_bytes());
        out.extend_from_slice(&element.oid.to_be_bytes());
        for dimension in &dimensions {
            put_len(*dimension, out)?;
            out.extend_from_slice(&1_i32.to_be_bytes());
        }
        for index in start..end {
            put_value(encoded.get(index), out)?;
        }
        Ok(true)
    })
}

/// The lengths of a row's dimensions and the range of its elements in the innermost array. Rows whose inner arrays
/// differ in length have no such shape.
fn dimensions(levels: &[Lists], row: usize) -> Result<(Vec<usize>, (usize, usize))> {
    let ragged = || {
        Error::new(
            SqlState("2202E"),
            "multidimensional arrays must have sub-arrays with matching dimensions",
        )
    };
    let mut lengths = Vec::with_capacity(levels.len());
    let (mut start, mut end) = (row, row + 1);
    for level in levels {
        let Some(&(first, first_end)) = level.ranges.get(start) else {
            return Ok((Vec::new(), (0, 0)));
        };
        let length = first_end - first;
        if level.ranges[start..end]
            .iter()
            .any(|(from, to)| to - from != length)
        {
            return Err(ragged());
        }
        if length == 0 {
            return Ok((Vec::new(), (0, 0)));
        }
        lengths.push(length);
        end = level.ranges[end - 1].1;
        start = first;
    }
    Ok((lengths, (start, end)))
}

fn put_len(len: usize, out: &mut Vec<u8>) -> Result<()> {
    let len = i32::try_from(len)
        .map_err(|_| Error::new(SqlState::PROGRAM_LIMIT, "value is too large to send"))?;
    out.extend_from_slice(&len.to_be_bytes());
    Ok(())
}

fn put_value(value: Option<&[u8]>, out: &mut Vec<u8>) -> Result<()> {
    match value {
        None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        Some(value) => {
            put_len(value.len(), out)?;
            out.extend_from_slice(value);
        }
    }
    Ok(())
}
