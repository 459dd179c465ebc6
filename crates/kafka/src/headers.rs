//! Record headers as the text of one JSON object.

use std::collections::HashSet;

/// One header: its name and its value, absent when null.
pub(crate) type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// Appends the headers as a JSON object in their order. Of a repeated name the last stays; a null value is `null`; a
/// value (or name) that is not UTF-8 becomes the text `\x` and its bytes in hexadecimal, as PostgreSQL writes `bytea`.
pub(crate) fn write_json(headers: &[Header<'_>], out: &mut Vec<u8>) {
    let mut seen = HashSet::new();
    let mut last: Vec<&Header<'_>> = headers
        .iter()
        .rev()
        .filter(|(name, _)| seen.insert(*name))
        .collect();
    last.reverse();
    out.push(b'{');
    for (i, (name, value)) in last.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        match value {
            Some(value) => write_string(value, out),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
}

fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    if std::str::from_utf8(bytes).is_err() {
        out.extend_from_slice(b"\\\\x");
        for byte in bytes {
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    } else {
        for &byte in bytes {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..0x20 => {
                    out.extend_from_slice(b"\\u00");
                    out.extend_from_slice(&[
                        HEX[usize::from(byte >> 4)],
                        HEX[usize::from(byte & 15)],
                    ]);
                }
                _ => out.push(byte),
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(headers: &[Header<'_>]) -> String {
        let mut out = Vec::new();
        write_json(headers, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_null_bytes_and_repeated_names() {
        assert_eq!(json(&[]), "{}");
        let headers: [Header<'_>; 5] = [
            (b"a", Some(b"first")),
            (b"trace", Some("\u{e9}\"\\\n\u{1}".as_bytes())),
            (b"none", None),
            (b"raw", Some(b"\xde\xff")),
            (b"a", Some(b"last")),
        ];
        assert_eq!(
            json(&headers),
            "{\"trace\":\"\u{e9}\\\"\\\\\\n\\u0001\",\"none\":null,\"raw\":\"\\\\xdeff\",\"a\":\"last\"}"
        );
    }
}
