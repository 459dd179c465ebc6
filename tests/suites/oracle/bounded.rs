//! A view's own text over what is finite: the rows that came, read by the planner of queries that end.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::DataType;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::TableSource;
use datafusion::prelude::{DataFrame, SessionContext};
use sql::ast::Statement;
use sql::planner::{Relations, plan_query};
use sql::window::RunMode;

use super::check::World;
use super::compare::{Rows, rows_of};
use super::stream::Row;
use super::table::{Table, TableRow};

struct Finite {
    stream: Arc<dyn TableSource>,
    table: Arc<dyn TableSource>,
}

impl Relations for Finite {
    fn get(&self, _schema: Option<&str>, name: &str) -> Option<Arc<dyn TableSource>> {
        Some(Arc::clone(if name == "t" {
            &self.table
        } else {
            &self.stream
        }))
    }
}

fn relation(rows: RecordBatch) -> Result<Arc<dyn TableSource>, String> {
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(|e| e.to_string())?;
    Ok(provider_as_source(Arc::new(table)))
}

/// The stream's rows under the columns of its source.
fn stream(source: &str, rows: &[&Row]) -> Result<RecordBatch, String> {
    let Statement::CreateSource(create) =
        super::planning::one(source).map_err(|e| format!("{e:?}"))?
    else {
        return Err("not CREATE SOURCE".to_owned());
    };
    let schema = create.schema.arrow();
    let column = |name: &str, data_type: &DataType| -> Result<ArrayRef, String> {
        Ok(match name {
            "k" => Arc::new(rows.iter().map(|r| r.k.as_deref()).collect::<StringArray>()),
            "n" => Arc::new(rows.iter().map(|r| r.n).collect::<Int64Array>()),
            "x" => Arc::new(rows.iter().map(|r| r.x).collect::<Float64Array>()),
            "p" => Arc::new(
                rows.iter()
                    .map(|r| Some(r.partition as i32))
                    .collect::<Int32Array>(),
            ),
            "o" => Arc::new(rows.iter().map(|r| Some(r.offset)).collect::<Int64Array>()),
            "ts" => {
                let zone = match data_type {
                    DataType::Timestamp(_, zone) => zone.clone(),
                    _ => None,
                };
                let times: TimestampMicrosecondArray = rows.iter().map(|r| Some(r.ts)).collect();
                Arc::new(times.with_timezone_opt(zone))
            }
            other => return Err(format!("no column {other}")),
        })
    };
    let columns = schema
        .fields()
        .iter()
        .map(|f| column(f.name(), f.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, columns).map_err(|e| e.to_string())
}

/// The rows of a view's query over finite rows of `source` and of the small table.
pub(super) fn rows(
    world: &World,
    source: &str,
    select: &str,
    rows: &[&Row],
    table: &[TableRow],
) -> Result<Rows, String> {
    let relations = Finite {
        stream: relation(stream(source, rows)?)?,
        table: relation(Table::batch(table)?)?,
    };
    // Only CREATE MATERIALIZED VIEW and its kin give a query's syntax tree.
    let create = format!("CREATE MATERIALIZED VIEW v AS {select}");
    let failed = |e: String| format!("the text over finite rows failed: {e}\n{select}");
    let Statement::CreateView(create) =
        super::planning::one(&create).map_err(|e| failed(format!("{e:?}")))?
    else {
        return Err(failed("not a query".to_owned()));
    };
    let plan = plan_query(&world.state, &relations, RunMode::Bounded, &create.query);
    let plan = plan.map_err(|e| failed(format!("{e:?}")))?;
    let state = SessionContext::new_with_state(world.state.clone()).state();
    let batches = world
        .runtime
        .block_on(DataFrame::new(state, plan).collect())
        .map_err(|e| failed(e.to_string()))?;
    rows_of(&batches)
}
