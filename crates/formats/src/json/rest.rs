//! The rest of a record: the fields of its object that no column reads, as the text of an object.

use std::ops::Range;

use super::scan::{Failed, Kind, Scan, unescape};
use crate::columns::Text;

/// Writes rests. Keeps only buffers from record to record.
pub(super) struct Rest {
    /// Fields that columns read, in order of their bytes.
    read: Vec<Box<[u8]>>,
    members: Vec<Member>,
    /// The names of `members` without escapes, one after the other.
    names: Vec<u8>,
    /// Indexes of `members` by name.
    order: Vec<usize>,
}

/// A field that no column reads.
struct Member {
    /// In `names`.
    name: Range<usize>,
    /// The key with its quotes, and the value, in the record.
    key: Range<usize>,
    value: Range<usize>,
    /// Another one of the same name follows.
    repeated: bool,
}

impl Rest {
    /// For a source whose columns read the fields `read`.
    pub(super) fn new<'a>(read: impl Iterator<Item = &'a str>) -> Self {
        let mut read: Vec<Box<[u8]>> = read.map(|name| name.as_bytes().into()).collect();
        read.sort_unstable();
        read.dedup();
        Self {
            read,
            members: Vec::new(),
            names: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Appends the rest of `record`, which is one good JSON object, as a text. It is never longer than the record.
    pub(super) fn push(&mut self, record: &[u8], out: &mut Text) {
        self.members.clear();
        self.names.clear();
        // The depth was bounded when the record was found good.
        let mut scan = Scan::new(record, usize::MAX);
        self.walk(&mut scan)
            .expect("the record was found to be a good object");
        self.mark_repeated();
        let kept = self.members.iter().filter(|member| !member.repeated);
        let written: Result<_, std::convert::Infallible> = out.push_with(|bytes| {
            bytes.push(b'{');
            for (number, member) in kept.enumerate() {
                if number > 0 {
                    bytes.push(b',');
                }
                bytes.extend_from_slice(&record[member.key.clone()]);
                bytes.push(b':');
                bytes.extend_from_slice(&record[member.value.clone()]);
            }
            bytes.push(b'}');
            Ok(())
        });
        let Ok(_) = written;
    }

    fn walk(&mut self, scan: &mut Scan<'_>) -> Result<(), Failed> {
        scan.space();
        scan.open(0)?;
        if scan.pass(b'}') {
            return Ok(());
        }
        loop {
            let start = scan.at;
            let kind = scan.string()?;
            let key = start..scan.at;
            let inside = scan.token(kind, start).of(scan.text);
            let name = self.names.len();
            if kind == Kind::Escaped {
                unescape(inside, &mut self.names).ok_or(Failed)?;
            } else {
                self.names.extend_from_slice(inside);
            }
            scan.colon()?;
            let start = scan.at;
            scan.value(1)?;
            let found = &self.names[name..];
            if self
                .read
                .binary_search_by(|read| (**read).cmp(found))
                .is_ok()
            {
                self.names.truncate(name);
            } else {
                self.members.push(Member {
                    name: name..self.names.len(),
                    key,
                    value: start..scan.at,
                    repeated: false,
                });
            }
            if !scan.more(b'}', "a comma or }")? {
                return Ok(());
            }
        }
    }

    /// Of members of one name the last counts.
    fn mark_repeated(&mut self) {
        let (members, names) = (&mut self.members, &self.names);
        self.order.clear();
        self.order.extend(0..members.len());
        // By sorting, so that a record with many fields costs no more than it has to.
        self.order
            .sort_unstable_by_key(|at| (&names[members[*at].name.clone()], *at));
        for pair in self.order.windows(2) {
            let [earlier, later] = [pair[0], pair[1]];
            let same = names[members[earlier].name.clone()] == names[members[later].name.clone()];
            members[earlier].repeated = same;
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::DataType;

    use super::super::tests::{decode_all, field, meta, schema, slab_of};
    use dataflow::schema::ColumnOrigin;

    /// The rest of records beside columns `user.id` and `a`.
    fn rests(records: &[&str]) -> Vec<String> {
        let columns = vec![
            field("user.id", DataType::Int64),
            meta("extra", ColumnOrigin::Rest, DataType::Utf8),
            field("a", DataType::Utf8),
        ];
        let decoded = decode_all(&schema(columns), &slab_of(records));
        assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
        let texts = decoded.batch.column(1).as_string::<i32>();
        texts.iter().map(|text| text.unwrap().to_owned()).collect()
    }

    #[test]
    fn fields_that_no_column_begins_with() {
        let cases = [
            ("{}", "{}"),
            (r#"{"a":1,"user":{"id":2,"name":"x"}}"#, "{}"),
            (r#"{"user":null,"b":1.50e+0}"#, r#"{"b":1.50e+0}"#),
            (
                r#" { "b" : [1, 2] , "a":"x", "c":{ "d": null } } "#,
                r#"{"b":[1, 2],"c":{ "d": null }}"#,
            ),
            // Escapes stay, and name the same field.
            (r#"{"\u0061":1,"\u0062":"\n"}"#, r#"{"\u0062":"\n"}"#),
            // Of a repeated field the last, in its own place.
            (
                r#"{"b":1,"c":2,"\u0062":3,"A":4}"#,
                r#"{"c":2,"\u0062":3,"A":4}"#,
            ),
            (r#"{"b":1,"b":2,"b":3}"#, r#"{"b":3}"#),
            (
                r#"{"n":123456789012345678901234567890.10}"#,
                r#"{"n":123456789012345678901234567890.10}"#,
            ),
        ];
        let records: Vec<&str> = cases.iter().map(|(record, _)| *record).collect();
        let expected: Vec<&str> = cases.iter().map(|(_, rest)| *rest).collect();
        assert_eq!(rests(&records), expected);
    }

    #[test]
    fn records_of_one_look_take_the_fast_way_and_keep_their_rest() {
        let records: Vec<String> = (0..200)
            .map(|n| format!(r#"{{"a":"x{n}","b":{n},"user":{{"id":{n}}},"c":"y"}}"#))
            .collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let expected: Vec<String> = (0..200)
            .map(|n| format!(r#"{{"b":{n},"c":"y"}}"#))
            .collect();
        assert_eq!(rests(&records), expected);
    }

    #[test]
    fn many_fields_are_told_apart() {
        let fields: Vec<String> = (0..5_000)
            .map(|n| format!("\"k{}\":{n}", n % 2_500))
            .collect();
        let last: Vec<String> = fields[2_500..].to_vec();
        let record = format!("{{{}}}", fields.join(","));
        assert_eq!(rests(&[&record]), [format!("{{{}}}", last.join(","))]);
    }
}
