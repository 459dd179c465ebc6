//! Rows as text: tables as psql draws them, and the lines of COPY.

use std::io::{self, Write};

use crate::output::Output;

/// Rows that are looked at to find the widths of the columns; later ones keep those widths.
const LOOKED_AT: usize = 1_000;

/// A row's values as text; `None` is NULL.
pub(crate) type Row = Vec<Option<String>>;

/// Draws a result set, at most [`LOOKED_AT`] rows of it in memory.
pub(crate) struct Table {
    columns: Vec<String>,
    waiting: Vec<Row>,
    layout: Option<Vec<Layout>>,
    rows: u64,
}

/// How a column is drawn.
#[derive(Clone, Copy, Debug)]
struct Layout {
    width: usize,
    right: bool,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: Vec<String>) -> Self {
        Self {
            columns,
            waiting: Vec::new(),
            layout: None,
            rows: 0,
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: Row, output: &Output) -> io::Result<()> {
        self.rows += 1;
        self.waiting.push(row);
        if self.waiting.len() < LOOKED_AT {
            return Ok(());
        }
        output.data(&self.draw())
    }

    /// Draws what is left and the number of rows.
    pub(crate) fn finish(mut self, output: &Output) -> io::Result<()> {
        let mut bytes = self.draw();
        let plural = if self.rows == 1 { "" } else { "s" };
        writeln!(bytes, "({} row{plural})\n", self.rows)?;
        output.data(&bytes)
    }

    /// The rows that wait, after the head if it was not drawn yet.
    fn draw(&mut self) -> Vec<u8> {
        let mut out = String::new();
        let rows = std::mem::take(&mut self.waiting);
        let rows: Vec<Row> = rows.into_iter().map(one_line).collect();
        if self.layout.is_none() {
            let layout = layout(&self.columns, &rows);
            head(&self.columns, &layout, &mut out);
            self.layout = Some(layout);
        }
        for row in &rows {
            line(row, self.layout.as_deref().unwrap_or_default(), &mut out);
        }
        out.into_bytes()
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Line ends and tabs would break the table; they are shown as they are written in escapes.
fn one_line(row: Row) -> Row {
    let clean = |value: String| match value.contains(char::is_control) {
        true => value
            .escape_debug()
            .to_string()
            .replace("\\\"", "\"")
            .replace("\\'", "'"),
        false => value,
    };
    row.into_iter().map(|value| value.map(clean)).collect()
}

/// Widths of the columns; those of nothing but numbers are aligned to the right.
fn layout(columns: &[String], rows: &[Row]) -> Vec<Layout> {
    let of_column = |(index, name): (usize, &String)| {
        let values = || {
            rows.iter()
                .filter_map(move |row| row.get(index)?.as_deref())
        };
        Layout {
            width: values().map(width).fold(width(name), usize::max),
            right: values().next().is_some() && values().all(|value| value.parse::<f64>().is_ok()),
        }
    };
    columns.iter().enumerate().map(of_column).collect()
}

fn head(columns: &[String], layout: &[Layout], out: &mut String) {
    let names = columns.iter().zip(layout).map(|(name, layout)| {
        let spare = layout.width - width(name);
        let (left, right) = (spare / 2, spare - spare / 2);
        format!(" {}{name}{} ", " ".repeat(left), " ".repeat(right))
    });
    let line: Vec<String> = names.collect();
    out.push_str(line.join("|").trim_end());
    out.push('\n');
    let rules: Vec<String> = layout.iter().map(|l| "-".repeat(l.width + 2)).collect();
    out.push_str(&rules.join("+"));
    out.push('\n');
}

fn line(row: &Row, layout: &[Layout], out: &mut String) {
    let start = out.len();
    for (index, (value, layout)) in row.iter().zip(layout).enumerate() {
        let value = value.as_deref().unwrap_or_default();
        let spare = " ".repeat(layout.width.saturating_sub(width(value)));
        out.push_str(if index > 0 { "| " } else { " " });
        match layout.right {
            true => out.extend([&spare, value]),
            false => out.extend([value, &spare]),
        }
        out.push(' ');
    }
    out.truncate(start + out[start..].trim_end().len());
    out.push('\n');
}

/// Appends a row in COPY's text format: tabs between the values, `\N` for NULL.
pub(crate) fn text_line(row: &Row, out: &mut Vec<u8>) {
    for (index, value) in row.iter().enumerate() {
        if index > 0 {
            out.push(b'\t');
        }
        let Some(value) = value else {
            out.extend_from_slice(b"\\N");
            continue;
        };
        for byte in value.bytes() {
            let escaped = match byte {
                b'\\' => b'\\',
                b'\t' => b't',
                b'\n' => b'n',
                b'\r' => b'r',
                0x08 => b'b',
                0x0b => b'v',
                0x0c => b'f',
                plain => {
                    out.push(plain);
                    continue;
                }
            };
            out.extend_from_slice(&[b'\\', escaped]);
        }
    }
    out.push(b'\n');
}

/// Appends a row as CSV: NULL is empty, an empty text is `""`.
pub(crate) fn csv_line(row: &Row, out: &mut Vec<u8>) {
    for (index, value) in row.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let Some(value) = value else { continue };
        let special = value.contains([',', '"', '\n', '\r']);
        let alone = row.len() == 1 && value == "\\.";
        if special || alone || value.is_empty() {
            out.extend_from_slice(format!("\"{}\"", value.replace('"', "\"\"")).as_bytes());
        } else {
            out.extend_from_slice(value.as_bytes());
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[&str]) -> Row {
        let value = |v: &&str| (*v != "NULL").then(|| (*v).to_owned());
        values.iter().map(value).collect()
    }

    fn drawn(columns: &[&str], rows: &[&[&str]]) -> String {
        let mut table = Table::new(columns.iter().map(|c| (*c).to_owned()).collect());
        table.waiting = rows.iter().map(|values| row(values)).collect();
        String::from_utf8(table.draw()).unwrap()
    }

    #[test]
    fn a_table_looks_as_in_psql() {
        let rows: [&[&str]; 3] = [&["/home", "12"], &["/é", "-3.5"], &["NULL", "NULL"]];
        let expected = "
 page_url | views
----------+-------
 /home    |    12
 /é       |  -3.5
          |
";
        assert_eq!(
            format!("\n{}", drawn(&["page_url", "views"], &rows)),
            expected
        );
    }

    #[test]
    fn control_characters_do_not_break_a_table() {
        let shown = drawn(&["x"], &[&["a\n\"b\"\tc"]]);
        assert_eq!(shown, "     x\n-----------\n a\\n\"b\"\\tc\n");
    }

    #[test]
    fn lines_of_copy_are_escaped() {
        let mut out = Vec::new();
        text_line(&row(&["a\tb\\", "NULL", ""]), &mut out);
        csv_line(&row(&["a,\"b\"", "NULL", "", "x y"]), &mut out);
        csv_line(&row(&["\\."]), &mut out);
        let expected = "a\\tb\\\\\t\\N\t\n\"a,\"\"b\"\"\",,\"\",x y\n\"\\.\"\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
