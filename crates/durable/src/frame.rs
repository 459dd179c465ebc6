//! One record in a file: its length, two checksums, its bytes. The length has a checksum of its own, so that whole records
//! can be told from other bytes quickly.

/// Bytes before a record: its length, the CRC-32C of the length, and that of the record; little-endian.
pub(crate) const HEADER: usize = 12;
/// Most bytes of a record.
pub(crate) const MAX_RECORD: usize = 1 << 30;

/// Appends a record to `out`.
pub(crate) fn put(record: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(record.len()).expect("callers check MAX_RECORD");
    let length = length.to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&crc32c::crc32c(&length).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(record).to_le_bytes());
    out.extend_from_slice(record);
}

/// What is at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A record.
    Record(&'a [u8]),
    /// Fewer bytes than the record has.
    Short,
    /// Bytes that were never written as a record.
    Wrong,
}

/// The length of the record behind a header; `None` when it is none.
pub(crate) fn length(header: &[u8]) -> Option<usize> {
    let (length, rest) = header.split_first_chunk::<4>()?;
    let (checksum, _) = rest.split_first_chunk::<4>()?;
    let is_good = crc32c::crc32c(length) == u32::from_le_bytes(*checksum);
    is_good.then_some(u32::from_le_bytes(*length) as usize)
}

/// Whether a record is the one of its header.
pub(crate) fn is_of(record: &[u8], header: &[u8]) -> bool {
    crc32c::crc32c(record).to_le_bytes() == header[8..HEADER]
}

/// Looks at the beginning of `bytes`, which are not empty.
pub(crate) fn take(bytes: &[u8]) -> Found<'_> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Found::Short;
    };
    let number = |at: usize| {
        let bytes = header[at..at + 4].try_into();
        u32::from_le_bytes(bytes.expect("four bytes are four bytes"))
    };
    if crc32c::crc32c(&header[..4]) != number(4) {
        return Found::Wrong;
    }
    match rest.get(..number(0) as usize) {
        None => Found::Short,
        Some(record) if crc32c::crc32c(record) == number(8) => Found::Record(record),
        Some(_) => Found::Wrong,
    }
}

/// Whether a whole record begins anywhere in `bytes`.
pub(crate) fn is_anywhere(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| matches!(take(&bytes[at..]), Found::Record(_)))
}
