//! The header of a record batch (format 2): what is checked before a batch is stored, and what is patched.

use bytes::Bytes;
use kafka_protocol::ResponseError;

/// Bytes before the first record.
pub(crate) const HEADER_BYTES: usize = 61;
/// The largest batch taken, in bytes.
pub(crate) const MAX_BATCH_BYTES: usize = 8 << 20;

const CRC_FROM: usize = 21;
const CODEC: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// The fields of a checked batch that storing it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) records: i32,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) first_sequence: i32,
}

/// Checks that `batch` is one whole, untransactional batch of format 2 with the right checksum.
pub(crate) fn check(batch: &[u8]) -> Result<Header, ResponseError> {
    if batch.len() < HEADER_BYTES {
        return Err(ResponseError::CorruptMessage);
    }
    if batch.len() > MAX_BATCH_BYTES {
        return Err(ResponseError::MessageTooLarge);
    }
    if batch[16] != 2 {
        return Err(ResponseError::UnsupportedForMessageFormat);
    }
    match usize::try_from(i32_at(batch, 8)) {
        Ok(length) if length + 12 == batch.len() => {}
        // One batch per partition and request, as Kafka has it.
        Ok(length) if length + 12 < batch.len() => return Err(ResponseError::InvalidRecord),
        _ => return Err(ResponseError::CorruptMessage),
    }
    if u32::from_be_bytes(at(batch, 17)) != crc32c::crc32c(&batch[CRC_FROM..]) {
        return Err(ResponseError::CorruptMessage);
    }
    let attributes = i16::from_be_bytes(at(batch, 21));
    if attributes & TRANSACTIONAL != 0 {
        return Err(ResponseError::TransactionalIdAuthorizationFailed);
    }
    if attributes & LOG_APPEND_TIME != 0 {
        return Err(ResponseError::InvalidTimestamp);
    }
    if attributes & CODEC > 4 {
        return Err(ResponseError::UnsupportedCompressionType);
    }
    let (last_offset, records) = (i32_at(batch, 23), i32_at(batch, 57));
    if attributes & CONTROL != 0 || records <= 0 || last_offset != records - 1 {
        return Err(ResponseError::InvalidRecord);
    }
    let header = Header {
        records,
        max_timestamp: i64_at(batch, 35),
        producer_id: i64_at(batch, 43),
        producer_epoch: i16::from_be_bytes(at(batch, 51)),
        first_sequence: i32_at(batch, 53),
    };
    if header.producer_id >= 0 && (header.first_sequence < 0 || header.producer_epoch < 0) {
        return Err(ResponseError::InvalidRecord);
    }
    Ok(header)
}

/// A copy of a checked batch that begins at `base_offset`, in the one leader epoch there is.
pub(crate) fn stored(batch: &[u8], base_offset: i64) -> Bytes {
    let mut copy = batch.to_vec();
    copy[0..8].copy_from_slice(&base_offset.to_be_bytes());
    copy[12..16].copy_from_slice(&0_i32.to_be_bytes());
    copy.into()
}

/// The offset of the first record.
pub(crate) fn base_offset(batch: &[u8]) -> i64 {
    i64_at(batch, 0)
}

/// The number of the compression codec.
pub(crate) fn codec(batch: &[u8]) -> i16 {
    i16::from_be_bytes(at(batch, 21)) & CODEC
}

/// The number of records.
pub(crate) fn records(batch: &[u8]) -> i32 {
    i32_at(batch, 57)
}

/// The timestamp that the records' timestamps are relative to, in milliseconds.
pub(crate) fn base_timestamp(batch: &[u8]) -> i64 {
    i64_at(batch, 27)
}

fn i32_at(batch: &[u8], from: usize) -> i32 {
    i32::from_be_bytes(at(batch, from))
}

fn i64_at(batch: &[u8], from: usize) -> i64 {
    i64::from_be_bytes(at(batch, from))
}

fn at<const N: usize>(batch: &[u8], from: usize) -> [u8; N] {
    batch[from..from + N]
        .try_into()
        .expect("the slice has the length of the array")
}
