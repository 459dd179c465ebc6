//! SHOW: what exists, how it was made, what runs, and settings.

use std::sync::Arc;

use dataflow::Result;
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use sql::ast::{ObjectKind, Show};

use crate::catalog::{Body, Catalog};
use crate::database::Shared;
use crate::settings::Settings;

/// The columns of a SHOW.
pub(crate) async fn schema(shared: &Shared, settings: &Settings, show: &Show) -> Result<SchemaRef> {
    Ok(self::show(shared, settings, show).await?.schema())
}

/// The rows of a SHOW.
pub(crate) async fn show(shared: &Shared, settings: &Settings, show: &Show) -> Result<RecordBatch> {
    if let Show::Jobs = show {
        return crate::system::jobs(&shared.status().await?);
    }
    if let Show::Sinks = show {
        return crate::system::sinks(&shared.sinks.status());
    }
    if let Show::Savepoints = show {
        return crate::system::savepoints(&shared.history);
    }
    let catalog = shared.catalog.read().clone();
    match show {
        Show::Sources => objects(&catalog, ObjectKind::Source),
        Show::Tables => objects(&catalog, ObjectKind::Table),
        Show::Views => objects(&catalog, ObjectKind::View),
        Show::MaterializedViews => objects(&catalog, ObjectKind::MaterializedView),
        Show::Create(kind, name) => {
            let statement = catalog.expect(name, *kind)?.statement.clone();
            table(
                &["name", "create_statement"],
                vec![vec![name.value.clone()], vec![statement]],
            )
        }
        Show::Setting(name) => {
            let value = settings.show(&name.value, name.location)?;
            table(&[name.value.as_str()], vec![vec![value]])
        }
        Show::AllSettings | Show::Jobs | Show::Sinks | Show::Savepoints => {
            let all = settings.all();
            let column = |f: fn(&pgcatalog::SettingInfo) -> String| all.iter().map(f).collect();
            table(
                &["name", "setting", "description"],
                vec![
                    column(|s| s.name.clone()),
                    column(|s| s.value.clone()),
                    column(|s| s.description.clone()),
                ],
            )
        }
    }
}

/// Objects of a kind with their columns, and for views their query.
fn objects(catalog: &Catalog, kind: ObjectKind) -> Result<RecordBatch> {
    let found: Vec<_> = catalog.iter().filter(|o| o.kind() == kind).collect();
    let names = found.iter().map(|o| o.name.clone()).collect();
    let columns = found
        .iter()
        .map(|o| {
            o.schema
                .fields()
                .iter()
                .map(|f| f.name().as_str())
                .collect::<Vec<_>>()
                .join(", ")
        })
        .collect();
    match kind {
        ObjectKind::View | ObjectKind::MaterializedView => {
            let text = found
                .iter()
                .map(|o| match &o.body {
                    Body::View { text, .. } => text.clone(),
                    Body::Materialized(view) => view.text.clone(),
                    _ => String::new(),
                })
                .collect();
            table(&["name", "columns", "query"], vec![names, columns, text])
        }
        ObjectKind::Source => {
            let topics = found
                .iter()
                .map(|o| match &o.body {
                    Body::Source(spec) => spec.factory.topic(),
                    _ => String::new(),
                })
                .collect();
            table(&["name", "columns", "topic"], vec![names, columns, topics])
        }
        ObjectKind::Table | ObjectKind::Sink => table(&["name", "columns"], vec![names, columns]),
    }
}

pub(crate) fn table(names: &[&str], columns: Vec<Vec<String>>) -> Result<RecordBatch> {
    let fields: Vec<Field> = names
        .iter()
        .map(|n| Field::new(*n, DataType::Utf8, false))
        .collect();
    let arrays: Vec<ArrayRef> = columns
        .into_iter()
        .map(|c| Arc::new(StringArray::from(c)) as ArrayRef)
        .collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
