//! Growing Arrow columns that can take back their last rows, because a record may turn out bad halfway.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, BooleanBufferBuilder, NullBufferBuilder,
    PrimitiveArray, StringArray, StringViewArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type,
    Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};

/// The values of a column, with any value in place of a NULL.
pub(crate) enum Cells {
    Text(Text),
    Boolean(BooleanBufferBuilder),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    /// Whole numbers of 10^-scale.
    Decimal {
        units: Vec<i128>,
        precision: u8,
        scale: i8,
    },
    /// Days since 1970-01-01.
    Date(Vec<i32>),
    /// Microseconds since 1970-01-01 UTC.
    Timestamp(Vec<i64>),
}

/// Texts one after the other.
pub(crate) struct Text {
    /// UTF-8.
    bytes: Vec<u8>,
    /// Where texts begin and end: one more than there are texts.
    offsets: Vec<i32>,
}

impl Text {
    fn new() -> Self {
        Self {
            bytes: Vec::new(),
            offsets: vec![0],
        }
    }

    /// Appends a text, which is UTF-8.
    #[inline]
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.end();
    }

    /// Appends what `write` appends (UTF-8) as one text; `write` must only append.
    pub(crate) fn push_with<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<&[u8], E> {
        let start = self.bytes.len();
        write(&mut self.bytes)?;
        self.end();
        Ok(&self.bytes[start..])
    }

    /// Appends the bytes `range` of `data` as a text, which is UTF-8. Short texts cost less this way than by [`Text::push`]
    /// when other bytes follow them in `data`.
    #[inline]
    pub(crate) fn push_range(&mut self, data: &[u8], range: Range<usize>) {
        const AT_ONCE: usize = 32;
        let end = self.bytes.len() + range.len();
        match data
            .get(range.start..)
            .and_then(|rest| rest.first_chunk::<AT_ONCE>())
        {
            Some(chunk) if range.len() <= AT_ONCE => {
                self.bytes.extend_from_slice(chunk);
                self.bytes.truncate(end);
            }
            _ => self.bytes.extend_from_slice(&data[range]),
        }
        self.end();
    }

    #[inline]
    fn end(&mut self) {
        let end = i32::try_from(self.bytes.len());
        self.offsets
            .push(end.expect("a slab has less than 2 GiB, so its texts have too"));
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        let end = self
            .offsets
            .last()
            .expect("the first offset is never taken away");
        self.bytes
            .truncate(usize::try_from(*end).expect("offsets begin at 0 and never go down"));
    }

    fn reserve(&mut self, rows: usize, bytes: usize) {
        self.offsets.reserve(rows);
        self.bytes.reserve(bytes);
    }

    fn finish(&mut self, nulls: Option<NullBuffer>) -> StringArray {
        let bytes = std::mem::take(&mut self.bytes);
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let offsets = OffsetBuffer::new(offsets.into());
        StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls)
            .expect("whoever pushes texts has checked that they are UTF-8")
    }
}

impl Cells {
    /// Cells of a type, or `None` when clickmill's decoders have no such cells.
    pub(crate) fn new(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Utf8 | DataType::Utf8View => Self::Text(Text::new()),
            DataType::Boolean => Self::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Int16 => Self::Int16(Vec::new()),
            DataType::Int32 => Self::Int32(Vec::new()),
            DataType::Int64 => Self::Int64(Vec::new()),
            DataType::Float32 => Self::Float32(Vec::new()),
            DataType::Float64 => Self::Float64(Vec::new()),
            DataType::Decimal128(precision @ 1..=DECIMAL128_MAX_PRECISION, scale)
                if scale.unsigned_abs() <= *precision =>
            {
                Self::Decimal {
                    units: Vec::new(),
                    precision: *precision,
                    scale: *scale,
                }
            }
            DataType::Date32 => Self::Date(Vec::new()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Timestamp(Vec::new()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone))
                if matches!(&**zone, "UTC" | "+00:00") =>
            {
                Self::Timestamp(Vec::new())
            }
            _ => return None,
        })
    }

    /// Appends any value, for a NULL.
    pub(crate) fn push_default(&mut self) {
        match self {
            Self::Text(text) => text.end(),
            Self::Boolean(values) => values.append(false),
            Self::Int16(values) => values.push(0),
            Self::Int32(values) | Self::Date(values) => values.push(0),
            Self::Int64(values) | Self::Timestamp(values) => values.push(0),
            Self::Float32(values) => values.push(0.0),
            Self::Float64(values) => values.push(0.0),
            Self::Decimal { units, .. } => units.push(0),
        }
    }

    /// Appends the rows `rows` of other cells of the same type, which is not text.
    pub(crate) fn append(&mut self, other: &Self, rows: Range<usize>) {
        match (self, other) {
            (Self::Boolean(values), Self::Boolean(other)) => {
                for row in rows {
                    values.append(other.get_bit(row));
                }
            }
            (Self::Int16(values), Self::Int16(other)) => values.extend_from_slice(&other[rows]),
            (Self::Int32(values), Self::Int32(other)) | (Self::Date(values), Self::Date(other)) => {
                values.extend_from_slice(&other[rows]);
            }
            (Self::Int64(values), Self::Int64(other))
            | (Self::Timestamp(values), Self::Timestamp(other)) => {
                values.extend_from_slice(&other[rows]);
            }
            (Self::Float32(values), Self::Float32(other)) => values.extend_from_slice(&other[rows]),
            (Self::Float64(values), Self::Float64(other)) => values.extend_from_slice(&other[rows]),
            (Self::Decimal { units, .. }, Self::Decimal { units: other, .. }) => {
                units.extend_from_slice(&other[rows]);
            }
            _ => unreachable!("a column's cells have one type, and texts are appended otherwise"),
        }
    }

    /// Takes back all rows after the first `rows`.
    pub(crate) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Text(text) => text.truncate(rows),
            Self::Boolean(values) => values.truncate(rows),
            Self::Int16(values) => values.truncate(rows),
            Self::Int32(values) | Self::Date(values) => values.truncate(rows),
            Self::Int64(values) | Self::Timestamp(values) => values.truncate(rows),
            Self::Float32(values) => values.truncate(rows),
            Self::Float64(values) => values.truncate(rows),
            Self::Decimal { units, .. } => units.truncate(rows),
        }
    }

    fn reserve(&mut self, rows: usize, bytes: usize) {
        match self {
            Self::Text(text) => text.reserve(rows, bytes),
            Self::Boolean(values) => values.reserve(rows),
            Self::Int16(values) => values.reserve(rows),
            Self::Int32(values) | Self::Date(values) => values.reserve(rows),
            Self::Int64(values) | Self::Timestamp(values) => values.reserve(rows),
            Self::Float32(values) => values.reserve(rows),
            Self::Float64(values) => values.reserve(rows),
            Self::Decimal { units, .. } => units.reserve(rows),
        }
    }

    fn finish(&mut self, data_type: &DataType, nulls: Option<NullBuffer>) -> ArrayRef {
        match self {
            Self::Text(text) => {
                let texts = text.finish(nulls);
                if *data_type == DataType::Utf8View {
                    return Arc::new(StringViewArray::from(&texts));
                }
                Arc::new(texts)
            }
            Self::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Self::Int16(values) => primitive::<Int16Type>(values, data_type, nulls),
            Self::Int32(values) => primitive::<Int32Type>(values, data_type, nulls),
            Self::Int64(values) => primitive::<Int64Type>(values, data_type, nulls),
            Self::Float32(values) => primitive::<Float32Type>(values, data_type, nulls),
            Self::Float64(values) => primitive::<Float64Type>(values, data_type, nulls),
            Self::Decimal { units, .. } => primitive::<Decimal128Type>(units, data_type, nulls),
            Self::Date(values) => primitive::<Date32Type>(values, data_type, nulls),
            Self::Timestamp(values) => {
                primitive::<TimestampMicrosecondType>(values, data_type, nulls)
            }
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    data_type: &DataType,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let values = std::mem::take(values);
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type.clone()))
}

/// A column under construction: cells and which of them are NULL.
pub(crate) struct Column {
    /// Push a value here, then call [`Column::valid`].
    pub(crate) cells: Cells,
    nulls: NullBufferBuilder,
    data_type: DataType,
}

impl Column {
    /// An empty column, or `None` as [`Cells::new`].
    pub(crate) fn new(data_type: &DataType) -> Option<Self> {
        let cells = Cells::new(data_type)?;
        Some(Self {
            cells,
            nulls: NullBufferBuilder::new(0),
            data_type: data_type.clone(),
        })
    }

    /// The value pushed last is not NULL.
    #[inline]
    pub(crate) fn valid(&mut self) {
        self.nulls.append_non_null();
    }

    /// The `rows` values pushed last are not NULL, except those whose bit is set in `nulls`.
    pub(crate) fn valid_unless(&mut self, nulls: u64, rows: usize) {
        if nulls == 0 {
            self.nulls.append_n_non_nulls(rows);
            return;
        }
        for row in 0..rows {
            self.nulls.append(nulls >> row & 1 == 0);
        }
    }

    /// Appends a NULL.
    pub(crate) fn push_null(&mut self) {
        self.cells.push_default();
        self.nulls.append_null();
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Takes back all rows after the first `rows`.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.cells.truncate(rows);
        self.nulls.truncate(rows);
    }

    /// Makes room for `rows` rows with `bytes` bytes of text in all.
    pub(crate) fn reserve(&mut self, rows: usize, bytes: usize) {
        self.cells.reserve(rows, bytes);
    }

    /// Bytes of text so far.
    pub(crate) fn text_bytes(&self) -> usize {
        if let Cells::Text(text) = &self.cells {
            text.bytes.len()
        } else {
            0
        }
    }

    /// The rows as an array; the column is empty again.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        let nulls = self.nulls.finish().filter(|nulls| nulls.null_count() > 0);
        self.cells.finish(&self.data_type, nulls)
    }
}
