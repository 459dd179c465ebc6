//! The parenthesis of `CREATE SOURCE` and `CREATE TABLE`: columns and the watermark.

use arrow::datatypes::{DataType, TimeUnit};
use dataflow::schema::{
    Column, ColumnOrigin, SourceSchema, TimestampFormat, WatermarkDecl, timestamptz,
};
use dataflow::{Error, Location, Result, SqlState};
use datafusion::arrow;
use sqlparser::ast::{BinaryOperator, Expr};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::ast::Name;
use crate::interval::interval_micros;
use crate::location::location_of;
use crate::name::fold_parts;
use crate::types::column_type;

/// What was declared so far.
#[derive(Default)]
pub(super) struct Declared {
    columns: Vec<Column>,
    watermark: Option<(Name, Expr)>,
    /// The first thing that only a source can have, and where it stands.
    pub(super) source_only: Option<(String, Option<Location>)>,
}

impl Declared {
    /// Reads `(column, …, WATERMARK FOR …)`.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let mut declared = Self::default();
        cursor.expect_token(&Token::LParen)?;
        loop {
            declared.element(cursor)?;
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
        Ok(declared)
    }

    /// Reads one column, as between the commas of a list.
    pub(super) fn one_column(cursor: &mut Cursor<'_>) -> Result<Column> {
        let mut declared = Self::default();
        declared.column(cursor)?;
        match declared.columns.pop() {
            Some(Column {
                origin: ColumnOrigin::Proctime,
                name,
                ..
            }) => Err(
                Error::unsupported(format!("adding the column {name} AS PROCTIME()"))
                    .hint("declare it in CREATE SOURCE"),
            ),
            Some(column) => Ok(column),
            None => Err(Error::internal("a column was read and not declared")),
        }
    }

    /// The columns so far.
    pub(super) fn into_columns(self) -> Vec<Column> {
        self.columns
    }

    /// Adds a column; a second one of the same name is an error.
    pub(super) fn add(&mut self, column: Column, location: Option<Location>) -> Result<()> {
        if self.columns.iter().any(|other| other.name == column.name) {
            let message = format!("column \"{}\" specified more than once", column.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).at(location));
        }
        self.columns.push(column);
        Ok(())
    }

    /// The schema, with the watermark's column found.
    pub(super) fn schema(self, timestamps: TimestampFormat) -> Result<SourceSchema> {
        let mut schema = SourceSchema {
            columns: self.columns,
            timestamps,
            ..SourceSchema::default()
        };
        if let Some((name, expr)) = self.watermark {
            schema.watermark = Some(watermark(&schema, &name, &expr)?);
        } else {
            // Processing time is the time of a source that declares none.
            let mut columns = schema.columns.iter();
            let processing = columns.position(|c| c.origin == ColumnOrigin::Proctime);
            schema.watermark = processing.map(|column| WatermarkDecl { column, delay: 0 });
        }
        Ok(schema)
    }

    fn element(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let location = cursor.location();
        if cursor.accept(&["WATERMARK", "FOR"]) {
            let (name, _) = cursor.identifier()?;
            if cursor.sees_token(&Token::Period) {
                return Err(cursor.unsupported("a watermark for a field of a column"));
            }
            cursor.expect(&["AS"])?;
            let expr = cursor.expr()?;
            if self.watermark.replace((name, expr)).is_some() {
                return Err(
                    Error::new(SqlState::SYNTAX_ERROR, "more than one WATERMARK").at(location),
                );
            }
            return Ok(());
        }
        refuse_constraint(cursor)?;
        self.column(cursor)
    }

    fn column(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let (name, word) = cursor.identifier()?;
        if cursor.sees(&["AS"]) || cursor.sees(&["GENERATED"]) {
            return self.computed(cursor, name);
        }
        let type_at = cursor.location();
        let data_type = read_type(cursor)?;
        let mut column = Column {
            name: name.value,
            data_type,
            nullable: true,
            origin: ColumnOrigin::Field(vec![word.value.clone()]),
        };
        let mut origin_given = false;
        let mut null_given = false;
        while !(cursor.at_end()
            || cursor.sees_token(&Token::Comma)
            || cursor.sees_token(&Token::RParen))
        {
            let at = cursor.location();
            let origin = if cursor.accept(&["FROM"]) {
                self.note_source_only("FROM 'path'", at);
                Some(path(cursor)?)
            } else if cursor.accept(&["METADATA"]) {
                self.note_source_only("METADATA", at);
                let origin = metadata(cursor, &column.name, at)?;
                check_metadata_type(&origin, &column.data_type)
                    .map_err(|error| error.at(type_at))?;
                cursor.accept(&["VIRTUAL"]);
                Some(origin)
            } else {
                None
            };
            if let Some(origin) = origin {
                if std::mem::replace(&mut origin_given, true) {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        "the column's origin is given twice",
                    )
                    .at(at));
                }
                column.origin = origin;
                continue;
            }
            column.nullable = nullability(cursor)?;
            if std::mem::replace(&mut null_given, true) {
                return Err(
                    Error::new(SqlState::SYNTAX_ERROR, "NULL or NOT NULL is given twice").at(at),
                );
            }
        }
        self.add(column, name.location)
    }

    /// `name AS PROCTIME()`, the one computed column there is.
    fn computed(&mut self, cursor: &mut Cursor<'_>, name: Name) -> Result<()> {
        let refusal = computed(cursor);
        let at = cursor.location();
        if !cursor.accept(&["AS", "PROCTIME"]) {
            return Err(refusal);
        }
        for token in [Token::LParen, Token::RParen] {
            if !cursor.accept_token(&token) {
                return Err(cursor.unexpected());
            }
        }
        self.note_source_only("PROCTIME()", at);
        let column = included(name.value, ColumnOrigin::Proctime);
        self.add(column, name.location)
    }

    fn note_source_only(&mut self, what: &str, at: Option<Location>) {
        self.source_only
            .get_or_insert_with(|| (what.to_owned(), at));
    }
}

/// Reads `NULL` or `NOT NULL`; refuses the other things that SQL has behind a column's type.
fn nullability(cursor: &mut Cursor<'_>) -> Result<bool> {
    if cursor.accept(&["NOT", "NULL"]) {
        return Ok(false);
    }
    if cursor.accept(&["NULL"]) {
        return Ok(true);
    }
    if cursor.sees(&["GENERATED"]) || cursor.sees(&["AS"]) {
        return Err(computed(cursor));
    }
    refuse_constraint(cursor)?;
    for clause in [
        "DEFAULT",
        "REFERENCES",
        "COLLATE",
        "COMMENT",
        "STORAGE",
        "COMPRESSION",
        "AUTO_INCREMENT",
        "FIRST",
        "AFTER",
    ] {
        cursor.refuse(&[clause])?;
    }
    Err(cursor.unexpected())
}

fn computed(cursor: &Cursor<'_>) -> Error {
    cursor
        .unsupported("a computed column")
        .hint("compute it in a view over the source; name AS PROCTIME() is the one there is")
}

fn refuse_constraint(cursor: &Cursor<'_>) -> Result<()> {
    for words in [
        ["PRIMARY", "KEY"].as_slice(),
        &["FOREIGN", "KEY"],
        &["CONSTRAINT"],
    ] {
        cursor.refuse(words)?;
    }
    for word in ["UNIQUE", "CHECK", "EXCLUDE", "LIKE"] {
        // These can also be names of columns; then a type follows.
        if cursor.sees(&[word])
            && (word == "LIKE" || !matches!(cursor.peek(1), Some(Token::Word(_))))
        {
            return Err(cursor.unsupported(word));
        }
    }
    Ok(())
}

/// Reads a column's type, with Flink's `TIMESTAMP(p) WITH LOCAL TIME ZONE`.
fn read_type(cursor: &mut Cursor<'_>) -> Result<DataType> {
    let at = cursor.location();
    for name in ["ROW", "STRUCT", "MAP", "MULTISET", "ARRAY"] {
        if cursor.sees(&[name]) && matches!(cursor.peek(1), Some(Token::Lt | Token::LParen)) {
            let hint =
                "declare the fields that you need as columns: name TYPE FROM 'path.to.field'";
            return Err(cursor.unsupported(format!("type {name}")).hint(hint));
        }
    }
    if let Some(data_type) = local_timestamp(cursor) {
        return Ok(data_type);
    }
    let sql = cursor.data_type()?;
    column_type(&sql, at)
}

fn local_timestamp(cursor: &mut Cursor<'_>) -> Option<DataType> {
    let mut ahead = cursor.clone();
    if !ahead.accept(&["TIMESTAMP"]) {
        return None;
    }
    if ahead.accept_token(&Token::LParen) {
        let Some(Token::Number(digits, false)) = ahead.peek(0) else {
            return None;
        };
        if digits.parse::<u8>().map_or(true, |digits| digits > 6) {
            return None;
        }
        ahead.skip();
        if !ahead.accept_token(&Token::RParen) {
            return None;
        }
    }
    if !ahead.accept(&["WITH", "LOCAL", "TIME", "ZONE"]) {
        return None;
    }
    *cursor = ahead;
    Some(timestamptz())
}

/// Reads the string behind FROM: field names with dots between.
fn path(cursor: &mut Cursor<'_>) -> Result<ColumnOrigin> {
    let at = cursor.location();
    let text = cursor.string()?;
    let path: Vec<String> = text.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        let message = format!("path '{text}' has an empty field name");
        return Err(Error::new(SqlState::INVALID_PARAMETER, message).at(at));
    }
    Ok(ColumnOrigin::Field(path))
}

/// Reads `[FROM 'key']` behind METADATA; without it the column's name is the key.
fn metadata(cursor: &mut Cursor<'_>, column: &str, at: Option<Location>) -> Result<ColumnOrigin> {
    let (key, at) = if cursor.accept(&["FROM"]) {
        let at = cursor.location();
        (cursor.string()?, at)
    } else {
        (column, at)
    };
    let hint = "metadata: 'key', 'topic', 'partition', 'offset', 'timestamp', 'headers'";
    metadata_origin(key).ok_or_else(|| {
        Error::unsupported(format!("METADATA FROM '{key}'"))
            .hint(hint)
            .at(at)
    })
}

/// What a record has besides its fields, by its name in METADATA and INCLUDE.
pub(super) fn metadata_origin(key: &str) -> Option<ColumnOrigin> {
    Some(match key {
        "key" => ColumnOrigin::Key,
        "topic" => ColumnOrigin::Topic,
        "partition" => ColumnOrigin::Partition,
        "offset" => ColumnOrigin::Offset,
        "timestamp" => ColumnOrigin::Timestamp,
        "headers" => ColumnOrigin::Headers,
        _ => return None,
    })
}

/// The column that `INCLUDE … AS name` adds.
pub(super) fn included(name: String, origin: ColumnOrigin) -> Column {
    let (data_type, nullable) = match origin {
        ColumnOrigin::Topic => (DataType::Utf8, false),
        ColumnOrigin::Partition => (DataType::Int32, false),
        ColumnOrigin::Offset => (DataType::Int64, false),
        ColumnOrigin::Timestamp | ColumnOrigin::Proctime => (timestamptz(), false),
        ColumnOrigin::Rest => (DataType::Utf8, false),
        ColumnOrigin::Key | ColumnOrigin::Headers | ColumnOrigin::Field(_) => {
            (DataType::Utf8, true)
        }
    };
    Column {
        name,
        data_type,
        nullable,
        origin,
    }
}

fn check_metadata_type(origin: &ColumnOrigin, data_type: &DataType) -> Result<()> {
    let (fits, wanted) = match origin {
        ColumnOrigin::Partition => (*data_type == DataType::Int32, "INT"),
        ColumnOrigin::Offset => (*data_type == DataType::Int64, "BIGINT"),
        ColumnOrigin::Timestamp | ColumnOrigin::Proctime => {
            (is_timestamp(data_type), "TIMESTAMPTZ or TIMESTAMP")
        }
        ColumnOrigin::Key
        | ColumnOrigin::Headers
        | ColumnOrigin::Topic
        | ColumnOrigin::Rest
        | ColumnOrigin::Field(_) => (*data_type == DataType::Utf8, "TEXT"),
    };
    if fits {
        return Ok(());
    }
    Err(Error::new(
        SqlState::DATATYPE_MISMATCH,
        format!("this metadata column must be {wanted}"),
    ))
}

fn is_timestamp(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, _))
}

/// `WATERMARK FOR name AS name [- INTERVAL '…']`.
fn watermark(schema: &SourceSchema, name: &Name, expr: &Expr) -> Result<WatermarkDecl> {
    let column = schema.index_of(&name.value).ok_or_else(|| {
        let message = format!("column \"{}\" of the watermark does not exist", name.value);
        Error::new(SqlState::UNDEFINED_COLUMN, message).at(name.location)
    })?;
    if !is_timestamp(&schema.columns[column].data_type) {
        let message = format!(
            "column \"{}\" of the watermark must be TIMESTAMP or TIMESTAMPTZ",
            name.value
        );
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
            .hint("declare it so; the option timestamp.format says how times are written in the records")
            .at(name.location));
    }
    if schema.columns[column].origin == ColumnOrigin::Proctime {
        let message = format!("a watermark for \"{}\", which is PROCTIME()", name.value);
        return Err(Error::unsupported(message)
            .hint("leave it out: the clock moves processing time")
            .at(name.location));
    }
    let delay = delay(&name.value, expr)?;
    if delay < 0 {
        let message = "the delay of a watermark must not be negative";
        return Err(Error::new(SqlState::INVALID_PARAMETER, message).at(location_of(expr)));
    }
    Ok(WatermarkDecl { column, delay })
}

/// How far `expr` is behind `column`, in microseconds.
fn delay(column: &str, expr: &Expr) -> Result<dataflow::Micros> {
    let is_column = |expr: &Expr| matches!(expr, Expr::Identifier(name) if fold_parts(&name.value, name.quote_style) == column);
    match expr {
        Expr::Nested(inner) => delay(column, inner),
        expr if is_column(expr) => Ok(0),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Minus,
            right,
        } if is_column(left) => interval_micros(right),
        _ => Err(
            Error::unsupported("a watermark other than its column minus an interval")
                .hint(format!(
                    "write WATERMARK FOR {column} AS {column} - INTERVAL '5 seconds'"
                ))
                .at(location_of(expr)),
        ),
    }
}
