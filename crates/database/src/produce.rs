//! INSERT INTO a source: rows become records of its topic.

use std::sync::Arc;

use dataflow::connector::SourceWriter;
use dataflow::schema::{ColumnOrigin, Encoding};
use dataflow::{Error, Result, SqlState};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Field, Schema};
use engine::SourceSpec;
use formats::JsonEncoder;
use futures::StreamExt;
use sql::ast::Insert;

use crate::catalog::{Body, Catalog};
use crate::columns::included;
use crate::dml::{cast_value, check_width, targets};
use crate::outcome::BatchStream;

/// Where the rows of an INSERT go.
pub(crate) struct Target {
    spec: Arc<SourceSpec>,
    /// The source's column of each value.
    columns: Vec<usize>,
    named: bool,
}

/// The target of an INSERT into a source, with its columns checked; `None` when it is another kind of relation.
pub(crate) fn target(catalog: &Catalog, insert: &Insert) -> Result<Option<Target>> {
    let Some(Body::Source(spec)) = catalog.get(&insert.table.value).map(|o| &o.body) else {
        return Ok(None);
    };
    if spec.schema.encoding != Encoding::Json {
        let what = format!(
            "INSERT INTO a source with ENCODE {}",
            spec.schema.encoding.name()
        );
        return Err(Error::unsupported(what)
            .hint("records are written in JSON only")
            .at(insert.table.location));
    }
    let columns = &spec.schema.columns;
    let writable = |at: &usize| {
        matches!(
            columns[*at].origin,
            ColumnOrigin::Field(_) | ColumnOrigin::Key
        )
    };
    let mut target = Target {
        spec: Arc::clone(spec),
        columns: targets(insert, &spec.schema)?,
        named: !insert.columns.is_empty(),
    };
    if !target.named {
        target.columns.retain(writable);
    }
    if let Some(at) = target.columns.iter().position(|at| !writable(at)) {
        let column = &columns[target.columns[at]];
        let what = format!("a value for column \"{}\"", column.name);
        let what_it_is = match &column.origin {
            ColumnOrigin::Proctime => "PROCTIME()".to_owned(),
            other => format!("INCLUDE {}", included(other)),
        };
        let detail = format!("it is {what_it_is}, which no record is given");
        return Err(Error::unsupported(what)
            .detail(detail)
            .hint("leave it out: fields of the record and INCLUDE KEY can be given")
            .at(insert.columns[at].location));
    }
    target.check_missing(insert)?;
    Ok(Some(target))
}

impl Target {
    /// The most values of a row.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// A record without a value that must be there would be a bad record.
    fn check_missing(&self, insert: &Insert) -> Result<()> {
        let arrow = self.spec.schema.arrow();
        for (at, column) in self.spec.schema.columns.iter().enumerate() {
            let is_field = matches!(column.origin, ColumnOrigin::Field(_));
            if is_field && !arrow.field(at).is_nullable() && !self.columns.contains(&at) {
                return Err(null_value(&column.name, insert).at(insert.table.location));
            }
        }
        Ok(())
    }

    /// Writes the rows of a query; returns how many when all of them are acknowledged. Rows written before an error stay.
    pub(crate) async fn write(&self, insert: &Insert, mut rows: BatchStream) -> Result<usize> {
        let writer = self.spec.factory.writer()?.ok_or_else(|| {
            Error::unsupported(format!("INSERT INTO source \"{}\"", insert.table.value))
                .detail("its connector only reads")
                .at(insert.table.location)
        })?;
        let mut writer = Some(writer);
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            let records = self.records(insert, &batch?)?;
            count += records.len();
            writer = Some(send(writer.take(), records).await?);
        }
        // Also without rows: a broker that is away is then found.
        let Some(writer) = writer else {
            return Err(Error::internal("the writer is lost"));
        };
        off_thread(move || {
            let mut writer = writer;
            writer.finish()
        })
        .await?;
        Ok(count)
    }

    /// The records of a batch: keys and payloads. All of them are made before one is sent.
    fn records(&self, insert: &Insert, batch: &RecordBatch) -> Result<Vec<Record>> {
        let given = batch.num_columns();
        check_width(insert, given, self.columns.len())?;
        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        let mut key = None;
        let schema = self.spec.schema.arrow();
        for (value, at) in self.columns.iter().enumerate() {
            let column = &self.spec.schema.columns[*at];
            let required = !schema.field(*at).is_nullable();
            if value >= given {
                if required {
                    return Err(null_value(&column.name, insert));
                }
                continue;
            }
            let array = cast_value(batch.column(value), &column.data_type, &column.name)?;
            if required && array.null_count() > 0 {
                return Err(null_value(&column.name, insert));
            }
            if column.origin == ColumnOrigin::Key {
                key = Some(array);
            } else {
                fields.push(*at);
                arrays.push(array);
            }
        }
        let encoder = JsonEncoder::new(&self.spec.schema, &fields)
            .map_err(|error| error.at(insert.table.location))?;
        let rows = batch.num_rows();
        let columns: Vec<Field> = fields.iter().map(|at| schema.field(*at).clone()).collect();
        let batch =
            engine::ops::updating_agg::batch_of(Arc::new(Schema::new(columns)), arrays, rows)?;
        let key = key.as_ref().map(|key| key.as_string::<i32>());
        let record = |row: usize| {
            let mut value = Vec::new();
            encoder.encode(&batch, row, &mut value)?;
            let key = key.filter(|key| key.is_valid(row));
            Ok((key.map(|key| key.value(row).as_bytes().to_vec()), value))
        };
        (0..rows).map(record).collect()
    }
}

/// A key and a payload.
type Record = (Option<Vec<u8>>, Vec<u8>);
type Writer = Box<dyn SourceWriter>;

/// Hands records over on a thread that may wait.
async fn send(writer: Option<Writer>, records: Vec<Record>) -> Result<Writer> {
    let Some(mut writer) = writer else {
        return Err(Error::internal("the writer is lost"));
    };
    off_thread(move || {
        for (key, value) in &records {
            writer.write(key.as_deref(), value)?;
        }
        Ok(writer)
    })
    .await
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal(format!("writing ended: {error}"))),
    }
}

fn null_value(column: &str, insert: &Insert) -> Error {
    let message = format!(
        "null value in column \"{column}\" of relation \"{}\" violates not-null constraint",
        insert.table.value
    );
    Error::new(SqlState::NOT_NULL_VIOLATION, message)
}
