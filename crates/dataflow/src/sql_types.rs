//! Arrow's names of types in messages of libraries, in the words of SQL.

/// Plain names.
const NAMES: &[(&str, &str)] = &[
    ("Utf8", "text"),
    ("Utf8View", "text"),
    ("LargeUtf8", "text"),
    ("Binary", "bytea"),
    ("BinaryView", "bytea"),
    ("LargeBinary", "bytea"),
    ("Boolean", "boolean"),
    ("Int8", "smallint"),
    ("Int16", "smallint"),
    ("Int32", "integer"),
    ("Int64", "bigint"),
    ("UInt8", "smallint"),
    ("UInt16", "integer"),
    ("UInt32", "bigint"),
    ("UInt64", "bigint"),
    ("Float16", "real"),
    ("Float32", "real"),
    ("Float64", "double precision"),
    ("Date32", "date"),
    ("Date64", "date"),
    ("Null", "unknown"),
];

/// Names with parameters in parentheses, and whether SQL shows the parameters.
const WITH_PARAMETERS: &[(&str, &str, bool)] = &[
    ("Decimal32", "numeric", true),
    ("Decimal64", "numeric", true),
    ("Decimal128", "numeric", true),
    ("Decimal256", "numeric", true),
    ("Time32", "time", false),
    ("Time64", "time", false),
    ("Interval", "interval", false),
    ("Duration", "interval", false),
];

/// The text with Arrow's names of types replaced; what stands in quotes stays.
pub fn with_sql_types(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' | '`' => quoted(rest, first),
            c if c.is_alphanumeric() || c == '_' => {
                let (shown, length) = word(rest);
                out.push_str(&shown);
                rest = &rest[length..];
                continue;
            }
            c => c.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// Length of a quoted piece; of the quote alone when it does not end, as in "can't".
fn quoted(text: &str, quote: char) -> usize {
    let ends = text[1..].find(quote).map(|at| at + 2);
    ends.unwrap_or(1)
}

/// A word as it is shown, and how much of the text it takes.
fn word(text: &str) -> (String, usize) {
    let length = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let name = &text[..length];
    if let Some((_, sql)) = NAMES.iter().find(|(arrow, _)| *arrow == name) {
        return ((*sql).to_owned(), length);
    }
    let Some(parameters) = parameters(&text[length..]) else {
        return (name.to_owned(), length);
    };
    let whole = length + parameters.len();
    if name == "Timestamp" {
        let zoned = parameters.contains('"');
        let sql = if zoned {
            "timestamp with time zone"
        } else {
            "timestamp without time zone"
        };
        return (sql.to_owned(), whole);
    }
    match WITH_PARAMETERS.iter().find(|(arrow, ..)| *arrow == name) {
        Some((_, sql, true)) => (format!("{sql}{}", parameters.replace(' ', "")), whole),
        Some((_, sql, false)) => ((*sql).to_owned(), whole),
        None => (name.to_owned(), length),
    }
}

/// The piece in parentheses at the beginning of `text`.
fn parameters(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(&text[..=at]);
                }
            }
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::with_sql_types;

    #[test]
    fn types_get_their_names_in_sql() {
        let cases = [
            (
                "Cannot coerce arithmetic expression Utf8 + Int64 to valid types",
                "Cannot coerce arithmetic expression text + bigint to valid types",
            ),
            ("a Decimal128(10, 2) and", "a numeric(10,2) and"),
            (
                "Timestamp(Microsecond, Some(\"UTC\")), Timestamp(ns)",
                "timestamp with time zone, timestamp without time zone",
            ),
            (
                "column \"Int64\" isn't Int64",
                "column \"Int64\" isn't bigint",
            ),
            (
                "Interval(MonthDayNano) Intervals (x)",
                "interval Intervals (x)",
            ),
            ("é Null", "é unknown"),
        ];
        for (text, expected) in cases {
            assert_eq!(with_sql_types(text), expected);
        }
    }
}
