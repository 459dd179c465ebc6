//! Rows in the forms of COPY: PostgreSQL's text format and CSV.

use bytes::{BufMut, BytesMut};

use dataflow::Result;

use crate::backend::CopyFormat;
use crate::encode::{Cells, Column};

/// Appends one row and its newline.
pub(crate) fn line(
    cells: &[Cells],
    row: usize,
    format: &CopyFormat,
    out: &mut BytesMut,
) -> Result<()> {
    for (index, cell) in cells.iter().enumerate() {
        let value = cell.get(row);
        match format {
            CopyFormat::Text => {
                if index > 0 {
                    out.put_u8(b'\t');
                }
                match value {
                    None => out.put_slice(b"\\N"),
                    Some(value) => text_value(value, out),
                }
            }
            CopyFormat::Csv { .. } => {
                if index > 0 {
                    out.put_u8(b',');
                }
                if let Some(value) = value {
                    csv_value(value, cells.len() == 1, out);
                }
            }
        }
    }
    out.put_u8(b'\n');
    Ok(())
}

/// Appends the line of column names.
pub(crate) fn header(columns: &[Column], out: &mut BytesMut) {
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        csv_value(column.name.as_bytes(), columns.len() == 1, out);
    }
    out.put_u8(b'\n');
}

fn text_value(value: &[u8], out: &mut BytesMut) {
    for &byte in value {
        let escaped = match byte {
            b'\\' => b'\\',
            b'\t' => b't',
            b'\n' => b'n',
            b'\r' => b'r',
            0x08 => b'b',
            0x0b => b'v',
            0x0c => b'f',
            plain => {
                out.put_u8(plain);
                continue;
            }
        };
        out.put_slice(&[b'\\', escaped]);
    }
}

fn csv_value(value: &[u8], alone: bool, out: &mut BytesMut) {
    // An empty unquoted value is NULL, and `\.` alone on a line ends the data.
    let quoted = value.is_empty()
        || (alone && value == b"\\.")
        || value
            .iter()
            .any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'));
    if !quoted {
        return out.put_slice(value);
    }
    out.put_u8(b'"');
    for &byte in value {
        if byte == b'"' {
            out.put_u8(b'"');
        }
        out.put_u8(byte);
    }
    out.put_u8(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &[u8]) -> String {
        let mut out = BytesMut::new();
        text_value(value, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn csv(value: &[u8], alone: bool) -> String {
        let mut out = BytesMut::new();
        csv_value(value, alone, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn text_escapes_what_would_end_a_value() {
        assert_eq!(text(b"a\tb"), "a\\tb");
        assert_eq!(text(b"back\\slash\nnl"), "back\\\\slash\\nnl");
        assert_eq!(text(b"\x08\x0c\r\x0b\x01"), "\\b\\f\\r\\v\x01");
        assert_eq!(text(b"\\."), "\\\\.");
    }

    #[test]
    fn csv_quotes_what_it_must_and_no_more() {
        assert_eq!(csv(b"a\tb", false), "a\tb");
        assert_eq!(csv(b"q\"uote", false), "\"q\"\"uote\"");
        assert_eq!(csv(b"", false), "\"\"");
        assert_eq!(csv(b"a,b", false), "\"a,b\"");
        assert_eq!(csv(b"nl\nx", false), "\"nl\nx\"");
        assert_eq!(csv(b"\\.", false), "\\.");
        assert_eq!(csv(b"\\.", true), "\"\\.\"");
        assert_eq!(csv(b" sp ", false), " sp ");
    }
}
