//! Looking into a batch: the first record of at least a given time, whatever the batch is compressed with.

use std::borrow::Cow;
use std::io::Read;

use crate::batch::{self, HEADER_BYTES};

/// Bytes that a batch may have when decompressed.
const MAX_DECOMPRESSED: u64 = 64 << 20;
/// How snappy-java begins its streams: a magic number, then two versions.
const SNAPPY_JAVA: &[u8] = b"\x82SNAPPY\0";

/// Offset, counted from the batch's first record, and timestamp of the first record of at least `timestamp`.
/// `None` when there is none or the batch cannot be read.
pub(crate) fn first_at(batch: &[u8], timestamp: i64) -> Option<(i64, i64)> {
    let records = decompressed(batch::codec(batch), &batch[HEADER_BYTES..])?;
    let mut rest = records.as_ref();
    while !rest.is_empty() {
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        let (record, following) = rest.split_at_checked(length)?;
        rest = following;
        let mut fields = record.get(1..)?;
        let at = batch::base_timestamp(batch).wrapping_add(varint(&mut fields)?);
        let offset = varint(&mut fields)?;
        if at >= timestamp {
            return (0..i64::from(batch::records(batch)))
                .contains(&offset)
                .then_some((offset, at));
        }
    }
    None
}

fn decompressed(codec: i16, bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    Some(Cow::Owned(match codec {
        0 => return Some(Cow::Borrowed(bytes)),
        1 => read_all(flate2::read::MultiGzDecoder::new(bytes))?,
        2 => snappy(bytes)?,
        3 => read_all(lz4_flex::frame::FrameDecoder::new(bytes))?,
        4 => read_all(zstd::stream::read::Decoder::new(bytes).ok()?)?,
        _ => return None,
    }))
}

fn read_all(reader: impl Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_DECOMPRESSED + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    (bytes.len() as u64 <= MAX_DECOMPRESSED).then_some(bytes)
}

/// Either one raw block, or snappy-java's frames: each a length and a block.
fn snappy(bytes: &[u8]) -> Option<Vec<u8>> {
    let Some(frames) = bytes.strip_prefix(SNAPPY_JAVA) else {
        return snappy_block(bytes, 0);
    };
    let mut frames = frames.get(8..)?;
    let mut records = Vec::new();
    while let Some((length, rest)) = frames.split_first_chunk() {
        let (block, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        records.extend(snappy_block(block, records.len() as u64)?);
        frames = rest;
    }
    Some(records)
}

fn snappy_block(block: &[u8], before: u64) -> Option<Vec<u8>> {
    let length = snap::raw::decompress_len(block).ok()?;
    if before + length as u64 > MAX_DECOMPRESSED {
        return None;
    }
    snap::raw::Decoder::new().decompress_vec(block).ok()
}

/// A zigzag number of at most 64 bits.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Three records at 1000, 1010 and 1005 ms.
    fn batch(codec: u8, compress: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let records = [
            [12, 0, 0, 0, 1, 1, 0],
            [12, 0, 20, 2, 1, 1, 0],
            [12, 0, 10, 4, 1, 1, 0],
        ]
        .concat();
        let mut batch = vec![0; HEADER_BYTES];
        batch[22] = codec;
        batch[27..35].copy_from_slice(&1_000_i64.to_be_bytes());
        batch[60] = 3;
        batch.extend(compress(&records));
        batch
    }

    #[test]
    fn every_codec_can_be_looked_into() {
        let gzip = |bytes: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder
                .write_all(bytes)
                .and_then(|()| encoder.finish())
                .expect("memory takes all")
        };
        let raw_snappy = |bytes: &[u8]| {
            snap::raw::Encoder::new()
                .compress_vec(bytes)
                .expect("memory takes all")
        };
        let java_snappy = |bytes: &[u8]| {
            let mut stream = [SNAPPY_JAVA, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
            for half in [&bytes[..9], &bytes[9..]] {
                let block = raw_snappy(half);
                stream.extend(u32::try_from(block.len()).expect("small").to_be_bytes());
                stream.extend(block);
            }
            stream
        };
        let lz4 = |bytes: &[u8]| {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).expect("memory takes all");
            encoder.finish().expect("memory takes all")
        };
        let zstd = |bytes: &[u8]| zstd::stream::encode_all(bytes, 1).expect("memory takes all");
        let batches = [
            batch(0, <[u8]>::to_vec),
            batch(1, gzip),
            batch(2, raw_snappy),
            batch(2, java_snappy),
            batch(3, lz4),
            batch(4, zstd),
        ];
        for batch in batches {
            assert_eq!(first_at(&batch, 0), Some((0, 1_000)));
            assert_eq!(first_at(&batch, 1_001), Some((1, 1_010)));
            assert_eq!(first_at(&batch, 1_011), None);
        }
    }

    #[test]
    fn nonsense_is_no_record() {
        for codec in 0..8 {
            assert_eq!(first_at(&batch(codec, |_| vec![0xff; 40]), 0), None);
        }
        let bomb = |_: &[u8]| {
            zstd::stream::encode_all(&vec![0; 65 << 20][..], 1).expect("memory takes all")
        };
        assert_eq!(first_at(&batch(4, bomb), 0), None);
    }
}
