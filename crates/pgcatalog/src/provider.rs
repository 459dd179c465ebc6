//! The system relations as DataFusion sees them: a schema provider that knows every name, and tables whose rows are made
//! when they are scanned.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{SchemaProvider, Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use crate::relations::{self, INFORMATION_SCHEMA, PG_CATALOG, SystemRelation};
use crate::snapshot::CatalogSnapshot;
use crate::tables;
use crate::value::{self, Value};

pub(crate) fn register(ctx: &SessionContext, snapshot: &Arc<CatalogSnapshot>) -> Result<()> {
    let options = ctx.copied_config();
    let name = &options.options().catalog.default_catalog;
    let missing = || DataFusionError::Internal(format!("the session has no catalog {name}"));
    let catalog = ctx.catalog(name).ok_or_else(missing)?;
    for schema in [PG_CATALOG, INFORMATION_SCHEMA] {
        catalog.register_schema(
            schema,
            Arc::new(SystemSchema {
                schema,
                snapshot: Arc::clone(snapshot),
            }),
        )?;
    }
    Ok(())
}

struct SystemSchema {
    schema: &'static str,
    snapshot: Arc<CatalogSnapshot>,
}

impl fmt::Debug for SystemSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemSchema")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        let own = relations::all()
            .iter()
            .filter(|relation| relation.schema == self.schema);
        own.map(|relation| relation.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let relation = relations::find(self.schema, name);
        Ok(relation.map(|relation| {
            let table = SystemTable {
                relation,
                snapshot: Arc::clone(&self.snapshot),
            };
            Arc::new(table) as Arc<dyn TableProvider>
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        relations::find(self.schema, name).is_some()
    }
}

/// One system relation over one snapshot.
pub(crate) struct SystemTable {
    relation: &'static SystemRelation,
    snapshot: Arc<CatalogSnapshot>,
}

impl fmt::Debug for SystemTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemTable")
            .field("name", &self.relation.name)
            .finish_non_exhaustive()
    }
}

impl SystemTable {
    /// Whether clickmill has no objects of this sort, so that plans can leave the relation out.
    pub(crate) fn is_always_empty(&self) -> bool {
        tables::find(self.relation.schema, self.relation.name).is_none()
    }

    /// The asked columns of all rows.
    fn batch(&self, projection: Option<&Vec<usize>>) -> Result<RecordBatch> {
        let rows =
            tables::find(self.relation.schema, self.relation.name).map(|rows| rows(&self.snapshot));
        let count = rows.as_ref().map_or(0, |rows| rows.len());
        let chosen: Vec<usize> =
            projection.map_or_else(|| (0..self.relation.columns.len()).collect(), Clone::clone);
        let schema = Arc::new(self.relation.arrow.project(&chosen)?);
        let mut arrays = Vec::with_capacity(chosen.len());
        for index in chosen {
            let column = &self.relation.columns[index];
            let data_type = self.relation.arrow.field(index).data_type();
            let given = rows.as_ref().and_then(|rows| rows.column(column.name));
            arrays.push(match given {
                Some(values) => value::array(values.cloned(), data_type)?,
                None => {
                    let absent = if column.not_null {
                        Value::zero(data_type)
                    } else {
                        Value::Null
                    };
                    absent.scalar(data_type)?.to_array_of_size(count)?
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.relation.arrow)
    }

    fn table_type(&self) -> TableType {
        if self.relation.kind == 'v' {
            TableType::View
        } else {
            TableType::Base
        }
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch = self.batch(projection)?;
        let schema = batch.schema();
        Ok(MemorySourceConfig::try_new_exec(
            &[vec![batch]],
            schema,
            None,
        )?)
    }
}
