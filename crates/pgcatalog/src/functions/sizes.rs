//! Functions about sizes. Nothing of clickmill's is kept in files of relations, so all sizes are zero.

use super::{Function, function};
use crate::types::{INT8, TEXT};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("pg_size_pretty", 1..=1, TEXT, |_, args| {
        Ok(pretty(args[0].int().unwrap_or_default()).into())
    }),
    function("pg_table_size", 1..=1, INT8, |_, _| Ok(Value::Int(0))),
    function("pg_relation_size", 1..=2, INT8, |_, _| Ok(Value::Int(0))),
    function("pg_total_relation_size", 1..=1, INT8, |_, _| {
        Ok(Value::Int(0))
    }),
    function("pg_indexes_size", 1..=1, INT8, |_, _| Ok(Value::Int(0))),
    function("pg_database_size", 1..=1, INT8, |_, _| Ok(Value::Int(0))),
    function("pg_tablespace_size", 1..=1, INT8, |_, _| Ok(Value::Int(0))),
];

/// As PostgreSQL shows a number of bytes: in the largest unit that leaves at most 10239, rounded.
fn pretty(bytes: i64) -> String {
    const LIMIT: u64 = 10 * 1024;
    if bytes.unsigned_abs() < LIMIT {
        return format!("{bytes} bytes");
    }
    // One bit is kept for rounding.
    let mut size = bytes >> 9;
    for unit in ["kB", "MB", "GB", "TB"] {
        if size.unsigned_abs() < LIMIT * 2 - 1 {
            return format!("{} {unit}", half_rounded(size));
        }
        size >>= 10;
    }
    format!("{} PB", half_rounded(size))
}

fn half_rounded(size: i64) -> i64 {
    (size + size.signum()) / 2
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn sizes_are_rounded_as_postgres_does() {
        for (bytes, shown) in [
            (10, "10 bytes"),
            (10239, "10239 bytes"),
            (10240, "10 kB"),
            (123_456_789, "118 MB"),
            (-20480, "-20 kB"),
        ] {
            assert_eq!(pretty(bytes), shown);
        }
    }
}
