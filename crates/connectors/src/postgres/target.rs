//! The table as the server has it: found, compared with the sink's columns, and the statements for it made.

use dataflow::{Error, Result, SqlState};
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::Plan;
use super::session::Session;
use super::sql::{self, Column, quote};
use super::trouble::Trouble;

const FIND: &str = "SELECT n.nspname::text, c.relname::text
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = pg_catalog.to_regclass($1::text)";

/// The type's length is left out, so that a cast cuts nothing off.
const COLUMNS: &str =
    "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, -1), t.typcategory::text
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = pg_catalog.to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped";

/// A table to write to.
pub(super) struct Target {
    /// The schema that it is in.
    pub(super) schema: String,
    /// Adds or replaces rows.
    pub(super) insert: Statement,
    /// Removes rows by key, where there is a key.
    pub(super) delete: Option<Statement>,
}

impl Target {
    /// Finds the table and tries the statements without rows.
    ///
    /// # Errors
    /// `42P01`, `42703`, `42804` or `42P10` for a table that is not made for the sink.
    pub(super) fn find(session: &Session, plan: &Plan) -> Result<Self> {
        let what = format!("a look at table {}", plan.table);
        let found = session.query(FIND, &[&plan.table.quoted()]);
        let found = found.map_err(|trouble| trouble.about(&what))?;
        let Some(row) = found.first() else {
            let message = format!("table {} does not exist in PostgreSQL", plan.table);
            return Err(Error::new(SqlState::UNDEFINED_TABLE, message)
                .hint(create(plan, &plan.table.quoted())));
        };
        let column = |at: usize| {
            let text = row.try_get::<_, String>(at);
            text.map_err(|error| Error::internal(format!("{what}: {error}")))
        };
        let schema = column(0)?;
        let name = format!("{}.{}", quote(&schema), quote(&column(1)?));
        let columns = columns(session, plan, &name)?;
        let (insert, delete) = statements(session, plan, &name, &columns)?;
        Ok(Self {
            schema,
            insert,
            delete,
        })
    }
}

fn create(plan: &Plan, name: &str) -> String {
    let statement = sql::create_table(name, &plan.schema, plan.key.as_deref());
    format!("a table that would do: {statement}")
}

/// The sink's columns, as the table has them.
fn columns(session: &Session, plan: &Plan, name: &str) -> Result<Vec<Column>> {
    let what = format!("a look at table {}", plan.table);
    let rows = session.query(COLUMNS, &[&name]);
    let rows = rows.map_err(|trouble| trouble.about(&what))?;
    let mut stored = Vec::with_capacity(rows.len());
    for row in &rows {
        let text = |at: usize| row.try_get::<_, String>(at);
        let parts = text(0).and_then(|name| Ok((name, text(1)?, text(2)?)));
        stored.push(parts.map_err(|error| Error::internal(format!("{what}: {error}")))?);
    }
    let fields = plan.schema.fields().iter();
    let columns = fields.map(|field| {
        let Some((_, data_type, category)) = stored.iter().find(|(n, ..)| n == field.name()) else {
            let message = format!("table {} has no column \"{}\"", plan.table, field.name());
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message).hint(create(plan, name)));
        };
        Ok(Column {
            name: field.name().clone(),
            given: given(sql::type_of(field.data_type()), data_type, category).to_owned(),
            stored: data_type.clone(),
        })
    });
    columns.collect()
}

/// The type to read a column's text as. Text is read as what the table's column is where PostgreSQL does not do so by itself
/// and the type's category says that it is made of text: `jsonb`, `uuid`, enums, addresses.
pub(super) fn given<'a>(own: Option<&'a str>, stored: &'a str, category: &str) -> &'a str {
    match own {
        Some("text") if matches!(category, "U" | "E" | "I") => stored,
        own => own.unwrap_or("text"),
    }
}

/// Prepares the statements, and runs them without rows: what they need is found missing now and not at the first row.
fn statements(
    session: &Session,
    plan: &Plan,
    name: &str,
    columns: &[Column],
) -> Result<(Statement, Option<Statement>)> {
    let what = format!("rows of table {}", plan.table);
    let tried = || {
        let key = plan.key.as_deref();
        session.run("BEGIN")?;
        let insert = session.prepare(&sql::insert(name, columns, key))?;
        let nothing: Vec<Option<&str>> = Vec::new();
        let parameters: Vec<_> = columns.iter().map(|_| parameter(&nothing)).collect();
        session.execute(&insert, &parameters)?;
        let mut delete = None;
        if let Some(key) = key {
            let columns: Vec<Column> = key.iter().map(|at| columns[*at].clone()).collect();
            let statement = session.prepare(&sql::delete(name, &columns))?;
            session.execute(&statement, &parameters[..key.len()])?;
            delete = Some(statement);
        }
        session.run("ROLLBACK")?;
        Ok((insert, delete))
    };
    tried().map_err(|trouble: Trouble| {
        let error = trouble.about(&what);
        let unfit = trouble.is("42804") || trouble.is("42P10") || trouble.is("42883");
        if unfit {
            error.hint(create(plan, name))
        } else {
            error
        }
    })
}

/// A column's values as a parameter.
pub(super) fn parameter<'a>(values: &'a Vec<Option<&'a str>>) -> &'a (dyn ToSql + Sync) {
    values
}
