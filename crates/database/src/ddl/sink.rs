//! CREATE SINK: a continuous query whose rows leave.

use std::sync::Arc;

use dataflow::{Micros, Result};
use datafusion::arrow::datatypes::SchemaRef;
use engine::{Change, Store, StoreOptions, ViewSpec};
use plan::{Mode, Node};
use sql::ast::{CreateSink, CreateSource, Name};

use super::{Ddl, check_state_options};
use crate::catalog::{Body, Catalog};
use crate::continuous::{Manner, check_distinct, plan_continuous, reads};
use crate::database::Shared;
use crate::options::{DeadLetters, sink_options};
use crate::outcome::Notice;
use crate::sinks::{Declaring, Sink};

impl Ddl<'_> {
    pub(super) fn create_sink(&mut self, create: &CreateSink, statement: &str) -> Result<()> {
        if self.exists(&create.name, create.if_not_exists)? {
            return Ok(());
        }
        let (sink, node, schema) = sink_of(self.shared, self.catalog, create, self.now)?;
        let store = Arc::clone(&sink.store);
        self.notices.push(self.promise(&create.name, &sink));
        let reads = reads(&node, self.catalog, &create.query);
        self.add(
            &create.name,
            statement,
            schema,
            reads,
            Body::Sink(Arc::new(sink)),
        );
        self.changes.push(Change::CreateView(ViewSpec {
            name: create.name.value.clone(),
            plan: node,
            store,
            time: None,
            ephemeral: false,
        }));
        Ok(())
    }

    /// The sink of a source's bad records; gives the store from which it reads.
    pub(super) fn dead_letters(
        &mut self,
        create: &CreateSource,
        statement: &str,
        dead: DeadLetters,
    ) -> Result<Arc<Store>> {
        let name = Name {
            value: format!("{}_dead_letters", create.name.value),
            location: create.name.location,
        };
        self.exists(&name, false)?;
        let schema = engine::aside::errors_schema();
        let store = waiting(&schema, Mode::Append)?;
        let sink = crate::sinks::dead_letters(self.shared, create, dead, Arc::clone(&store))?;
        self.notices.push(self.promise(&name, &sink));
        let body = Body::Sink(Arc::new(sink));
        self.add(&name, statement, schema, Vec::new(), body);
        Ok(store)
    }

    /// Tells what is promised of the rows.
    fn promise(&self, name: &Name, sink: &Sink) -> Notice {
        use dataflow::sink::Delivery;
        let name = &name.value;
        match (sink.factory.delivery(), self.shared.is_lasting) {
            (Delivery::ExactlyOnce, true) => {
                Notice::plain(format!("sink \"{name}\" writes every row exactly once"))
            }
            (Delivery::AtLeastOnce, true) => Notice::plain(format!(
                "sink \"{name}\" writes every row at least once: the newest may come again after a crash"
            )),
            (_, false) => Notice::plain(format!(
                "sink \"{name}\" writes everything again when clickmill is started again"
            ))
            .with_hint("with --data-dir it goes on where it was"),
        }
    }
}

/// Checks a sink and everything about it, and makes nothing.
pub(crate) fn check(shared: &Shared, create: &CreateSink) -> Result<()> {
    let catalog = shared.catalog.read().clone();
    sink_of(shared, &catalog, create, shared.clock.now()).map(drop)
}

/// The sink of a statement, with its plan and columns.
fn sink_of(
    shared: &Shared,
    catalog: &Catalog,
    create: &CreateSink,
    now: Micros,
) -> Result<(Sink, Arc<Node>, SchemaRef)> {
    let (view, options) = sink_options(create.options.clone())?;
    let manner = Manner::of(create.emission, &view);
    let location = create.name.location;
    let planned = plan_continuous(shared, catalog, &create.query, manner, location)?;
    check_distinct(&planned.schema, location)?;
    let (node, schema) = (planned.node, planned.schema);
    check_state_options(&create.options, &node, &view)?;
    let store = waiting(&schema, node.mode)?;
    let declaring = Declaring {
        shared,
        catalog,
        create,
        node: &node,
        schema: &schema,
        options,
        now,
    };
    let sink = declaring.sink(store)?;
    Ok((sink, node, schema))
}

/// A store of changes that wait for a target.
fn waiting(schema: &SchemaRef, mode: Mode) -> Result<Arc<Store>> {
    let store = Store::new(StoreOptions {
        schema: Arc::clone(schema),
        mode,
        retention: None,
        max_rows: None,
        log_only: true,
        log_bytes: usize::MAX,
        pinned: true,
    })?;
    Ok(Arc::new(store))
}
