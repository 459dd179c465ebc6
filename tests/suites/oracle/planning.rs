//! Plans sources and views from SQL text, as the database does, for an engine that the test drives itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflow::{Error, Result};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::execution::SessionState;
use datafusion::logical_expr::TableSource;
use engine::{Change, SourceSpec, Store, StoreOptions, TableSpec, ViewSpec};
use plan::{Mode, Node, Relation, RelationKind, TimeColumn, ViewShape};
use sql::ast::Statement;
use sql::lower::LowerOptions;
use sql::planner::{Relations, StreamSource, plan_query};
use sql::window::RunMode;

use super::sim::Brokers;
use super::stream::Stream;
use super::table::{Table, TableRow};
use super::window::DAY;

/// A table that rows are only added to.
fn aside(schema: SchemaRef) -> Result<Arc<Store>> {
    Ok(Arc::new(Store::new(StoreOptions {
        schema,
        mode: Mode::Append,
        retention: None,
        max_rows: None,
        log_only: false,
        log_bytes: usize::MAX,
        pinned: false,
    })?))
}

/// What exists in one case.
pub(super) struct Objects<'a> {
    pub(super) state: &'a SessionState,
    source: Option<Arc<SourceSpec>>,
    views: BTreeMap<String, View>,
}

struct View {
    schema: SchemaRef,
    node: Arc<Node>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(state: &'a SessionState) -> Self {
        Self {
            state,
            source: None,
            views: BTreeMap::new(),
        }
    }

    /// Carries out `CREATE SOURCE`; readers are the broker's.
    pub(super) fn source(
        &mut self,
        text: &str,
        brokers: &Brokers,
        stream: &Stream,
    ) -> Result<Change> {
        let Statement::CreateSource(create) = one(text)? else {
            return Err(Error::internal("not CREATE SOURCE"));
        };
        let delay = create.schema.watermark.as_ref().map_or(0, |w| w.delay);
        let spec = Arc::new(SourceSpec {
            name: create.name.value,
            schema: create.schema,
            factory: Arc::new(brokers.clone()),
            time: engine::TimeRules {
                delay,
                idle_after: stream.idle_after,
                idle_advance: stream.wall,
                processing: false,
                max_drift: stream.max_drift,
            },
            max_ahead: Some(DAY),
            fail_on_bad: false,
            aside: engine::AsideSpec {
                errors: Some(aside(engine::aside::errors_schema())?),
                late: Some(aside(engine::aside::late_schema())?),
                dead: None,
            },
        });
        self.source = Some(Arc::clone(&spec));
        Ok(Change::CreateSource(spec))
    }

    /// Makes the small table and fills it.
    pub(super) fn table(rows: &[TableRow]) -> Result<Vec<Change>> {
        let spec = TableSpec {
            name: "t".to_owned(),
            store: aside(Table::schema())?,
            watermark: None,
        };
        Ok(vec![Change::CreateTable(spec), Self::insert(rows)?])
    }

    /// Adds rows to the small table.
    pub(super) fn insert(rows: &[TableRow]) -> Result<Change> {
        Ok(Change::Insert {
            table: "t".to_owned(),
            rows: Table::batch(rows).map_err(Error::internal)?,
        })
    }

    /// The source's tables of bad records and late rows.
    pub(super) fn aside(&self) -> Option<(Arc<Store>, Arc<Store>)> {
        let aside = &self.source.as_ref()?.aside;
        aside.errors.clone().zip(aside.late.clone())
    }

    /// Carries out `CREATE MATERIALIZED VIEW`.
    pub(super) fn view(&mut self, text: &str) -> Result<(Change, Arc<Store>)> {
        let Statement::CreateView(create) = one(text)? else {
            return Err(Error::internal("not CREATE VIEW"));
        };
        sql::continuous::check_continuous(&create.query)?;
        let logical = plan_query(self.state, self, RunMode::Continuous, &create.query)?;
        let names = sql::names::output_names(&create.query, logical.schema().as_arrow());
        let logical = sql::optimize::optimize(self.state, logical)?;
        let options = LowerOptions {
            emission: create.emission,
            state_ttl: None,
            unbounded_state: create.options.iter().any(|o| o.name == "unbounded_state"),
        };
        let node = sql::lower::lower(&logical, self, options)?;
        let fields = node.schema.inner().fields().iter().zip(&names);
        let fields: Vec<Field> = fields
            .map(|(field, name)| Field::new(name, field.data_type().clone(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let store = Arc::new(Store::new(StoreOptions {
            schema: Arc::clone(&schema),
            mode: node.mode,
            retention: None,
            max_rows: None,
            log_only: false,
            log_bytes: usize::MAX,
            pinned: false,
        })?);
        let spec = ViewSpec {
            name: create.name.value.clone(),
            plan: Arc::clone(&node),
            store: Arc::clone(&store),
            time: None,
            ephemeral: false,
        };
        self.views.insert(create.name.value, View { schema, node });
        Ok((Change::CreateView(spec), store))
    }
}

/// The statement of a text.
pub(super) fn one(text: &str) -> Result<Statement> {
    let parsed = sql::parse::parse(text)?.pop();
    parsed
        .map(|p| p.statement)
        .ok_or_else(|| Error::internal("no statement"))
}

impl Objects<'_> {
    fn schema(&self, name: &str) -> Option<SchemaRef> {
        if name == "t" {
            return Some(Table::schema());
        }
        let source = self.source.as_ref().filter(|s| s.name == name);
        let view = || self.views.get(name).map(|v| Arc::clone(&v.schema));
        source.map(|s| s.schema.arrow()).or_else(view)
    }
}

impl Relations for Objects<'_> {
    fn get(&self, _schema: Option<&str>, name: &str) -> Option<Arc<dyn TableSource>> {
        Some(Arc::new(StreamSource(self.schema(name)?)))
    }
}

impl sql::lower::Catalog for Objects<'_> {
    fn relation(&self, name: &str) -> Option<Relation> {
        let (kind, shape) = match self.views.get(name) {
            Some(view) => (
                RelationKind::View,
                ViewShape {
                    mode: view.node.mode,
                    times: view.node.times.clone(),
                    window: view.node.window.clone(),
                },
            ),
            None if name == "t" => {
                let shape = ViewShape {
                    mode: Mode::Append,
                    times: Vec::new(),
                    window: Vec::new(),
                };
                (RelationKind::Table, shape)
            }
            None => {
                let watermark = self.source.as_ref()?.schema.watermark.as_ref()?;
                let shape = ViewShape {
                    mode: Mode::Append,
                    times: vec![TimeColumn {
                        index: watermark.column,
                        offset: 0,
                    }],
                    window: Vec::new(),
                };
                (RelationKind::Source, shape)
            }
        };
        Some(Relation {
            name: name.to_owned(),
            kind,
            schema: self.schema(name)?,
            shape,
        })
    }
}
