//! The connector `postgres`: rows of a sink in a table of PostgreSQL, each there once.

mod address;
mod commits;
mod newest;
mod session;
mod sql;
mod target;
mod text;
mod trouble;
mod writer;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use dataflow::connector::Connector;
use dataflow::options::Options;
use dataflow::sink::{
    Delivery, SinkDeclaration, SinkFactory, SinkFormat, SinkParts, SinkRequest, SinkWriter,
};
use dataflow::{Error, Result, with_sql_types};
use tokio_postgres::Config;

use address::TableName;
use writer::PostgresWriter;

/// Writes to a table: `WITH (connector = 'postgres', url = 'postgres://…', table = '…')`.
pub(crate) struct PostgresConnector;

impl Connector for PostgresConnector {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn sink_encodings(&self) -> &'static [&'static str] {
        &["JSON"]
    }

    fn sink_parts(&self) -> SinkParts {
        SinkParts {
            keys: true,
            columns: true,
            ..SinkParts::default()
        }
    }

    fn sink(
        &self,
        options: &mut Options,
        declared: &SinkDeclaration,
    ) -> Result<Arc<dyn SinkFactory>> {
        let config = address::config(options)?;
        let table = address::table(options)?;
        let key = key(declared)?;
        for field in declared.schema.fields() {
            if sql::type_of(field.data_type()).is_none() {
                let shown = with_sql_types(&field.data_type().to_string());
                let what = format!(
                    "column \"{}\" of type {shown} in a sink with connector \"postgres\"",
                    field.name()
                );
                return Err(Error::unsupported(what).hint("cast it, for example to TEXT"));
            }
        }
        let plan = Plan {
            config,
            table,
            schema: Arc::clone(&declared.schema),
            key,
        };
        Ok(Arc::new(PostgresSink(Arc::new(plan))))
    }
}

/// The columns of the key for UPSERT, nothing for PLAIN.
fn key(declared: &SinkDeclaration) -> Result<Option<Vec<usize>>> {
    match declared.format {
        SinkFormat::Plain if declared.updating => Err(Error::unsupported(
            "FORMAT PLAIN for a sink of rows that are taken back",
        )
        .hint("FORMAT UPSERT with key = '…'")),
        SinkFormat::Plain => Ok(None),
        SinkFormat::Upsert if declared.key.is_empty() => {
            Err(Error::unsupported("FORMAT UPSERT for a sink without a key")
                .hint("add key = '…' with the columns of the table's primary key"))
        }
        SinkFormat::Upsert => Ok(Some(declared.key.clone())),
    }
}

/// What a sink is to do, as it was declared.
struct Plan {
    config: Config,
    table: TableName,
    schema: SchemaRef,
    /// The key's columns; without it rows are only added.
    key: Option<Vec<usize>>,
}

struct PostgresSink(Arc<Plan>);

impl std::fmt::Debug for PostgresSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address has a password.
        write!(f, "postgres {}", self.0.table)
    }
}

impl SinkFactory for PostgresSink {
    fn target(&self) -> String {
        self.0.table.to_string()
    }

    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn open(&self, request: SinkRequest) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(PostgresWriter::new(
            Arc::clone(&self.0),
            request.identity,
        )))
    }
}

#[cfg(test)]
mod tests;
