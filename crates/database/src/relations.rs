//! Relations for the planner: as streams for continuous queries, as snapshots of one version for queries that end.

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::{Micros, Result};
use datafusion::catalog::view::ViewTable;
use datafusion::common::Column;
use datafusion::datasource::{MemTable, TableProvider, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableSource};
use parking_lot::Mutex;
use plan::{Mode, Relation, RelationKind, TimeColumn, ViewShape};
use sql::planner::{Relations, StreamSource, plan_query};
use sql::window::RunMode;

use crate::catalog::{Body, Catalog, Object};
use crate::scan::SourceScan;

/// Relations as streams.
pub(crate) struct Streams<'a> {
    pub(crate) state: &'a SessionState,
    pub(crate) catalog: &'a Catalog,
}

impl Relations for Streams<'_> {
    fn get(&self, schema: Option<&str>, name: &str) -> Option<Arc<dyn TableSource>> {
        if schema.is_some_and(|s| s != "public") {
            return None;
        }
        let object = self.catalog.get(name)?;
        match &object.body {
            Body::View { .. } => inline(self.state, self, RunMode::Continuous, object),
            Body::Sink(_) => None,
            _ => Some(Arc::new(StreamSource(Arc::clone(&object.schema)))),
        }
    }
}

/// The plan of an ordinary view in place of its name.
fn inline(
    state: &SessionState,
    relations: &dyn Relations,
    mode: RunMode,
    object: &Object,
) -> Option<Arc<dyn TableSource>> {
    let Body::View { query, text } = &object.body else {
        return None;
    };
    let plan = plan_query(state, relations, mode, query).ok()?;
    let plan = sql::location::without_places(renamed(plan, object).ok()?).ok()?;
    Some(provider_as_source(Arc::new(ViewTable::new(
        plan,
        Some(text.clone()),
    ))))
}

/// The plan with the object's column names.
fn renamed(plan: LogicalPlan, object: &Object) -> datafusion::error::Result<LogicalPlan> {
    let exprs: Vec<Expr> = (0..plan.schema().fields().len())
        .map(|i| {
            let column = Column::from(plan.schema().qualified_field(i));
            Expr::Column(column).alias(object.schema.field(i).name())
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(exprs)?.build()
}

impl sql::lower::Catalog for Catalog {
    fn relation(&self, name: &str) -> Option<Relation> {
        let object = self.get(name)?;
        let declared = |watermark: &Option<dataflow::schema::WatermarkDecl>| ViewShape {
            mode: Mode::Append,
            times: watermark
                .iter()
                .map(|w| TimeColumn {
                    index: w.column,
                    offset: 0,
                })
                .collect(),
            window: Vec::new(),
        };
        let (kind, shape) = match &object.body {
            Body::Source(spec) => (RelationKind::Source, declared(&spec.schema.watermark)),
            Body::Table {
                declared: schema, ..
            } => (RelationKind::Table, declared(&schema.watermark)),
            Body::Materialized(view) => (
                RelationKind::View,
                ViewShape {
                    mode: view.node.mode,
                    times: view.node.times.clone(),
                    window: view.node.window.clone(),
                },
            ),
            Body::View { .. } | Body::Aside { .. } | Body::Sink(_) => return None,
        };
        Some(Relation {
            name: name.to_owned(),
            kind,
            schema: Arc::clone(&object.schema),
            shape,
        })
    }
}

/// Relations as they are at one version; the caller holds the publication lock while it plans.
pub(crate) struct Snapshots<'a> {
    pub(crate) state: &'a SessionState,
    pub(crate) catalog: &'a Catalog,
    /// System relations by name, in schema `clickmill`.
    pub(crate) system: HashMap<String, Arc<dyn TableProvider>>,
    taken: Mutex<HashMap<String, Arc<dyn TableSource>>>,
}

impl<'a> Snapshots<'a> {
    pub(crate) fn new(state: &'a SessionState, catalog: &'a Catalog) -> Self {
        Self {
            state,
            catalog,
            system: HashMap::new(),
            taken: Mutex::default(),
        }
    }

    fn provider(&self, object: &Object) -> Result<Arc<dyn TableProvider>> {
        match &object.body {
            Body::Source(spec) => {
                let now = self.state.execution_props().query_execution_start_time;
                let now = now.map_or(Micros::MAX, |now| now.timestamp_micros());
                Ok(Arc::new(SourceScan::new(Arc::clone(spec), now)))
            }
            _ => {
                let store = object
                    .store()
                    .ok_or_else(|| dataflow::Error::internal("an object without rows"))?;
                snapshot_table(store)
            }
        }
    }
}

/// A store's rows as a table.
pub(crate) fn snapshot_table(store: &engine::Store) -> Result<Arc<dyn TableProvider>> {
    let rows = store.snapshot()?;
    let table = MemTable::try_new(Arc::clone(store.schema()), vec![rows]);
    Ok(Arc::new(table.map_err(sql::errors::from_datafusion)?))
}

impl Relations for Snapshots<'_> {
    fn get(&self, schema: Option<&str>, name: &str) -> Option<Arc<dyn TableSource>> {
        if schema == Some("clickmill") {
            return self
                .system
                .get(name)
                .map(|t| provider_as_source(Arc::clone(t)));
        }
        if schema.is_some_and(|s| s != "public") {
            return None;
        }
        let object = self.catalog.get(name)?;
        if matches!(object.body, Body::View { .. }) {
            return inline(self.state, self, RunMode::Bounded, object);
        }
        if let Some(taken) = self.taken.lock().get(name) {
            return Some(Arc::clone(taken));
        }
        let source = provider_as_source(self.provider(object).ok()?);
        self.taken
            .lock()
            .insert(name.to_owned(), Arc::clone(&source));
        Some(source)
    }
}
