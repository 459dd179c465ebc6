//! Queries that end: planned by DataFusion over one version of everything.

use std::sync::Arc;

use dataflow::{Error, Result, SqlState};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use pgcatalog::CatalogSnapshot;
use sql::errors::from_datafusion;
use sql::planner::plan_query;
use sql::window::RunMode;
use sqlparser::ast::{Query, Statement};
use tokio::runtime::Handle;

use crate::catalog::{Body, Catalog};
use crate::continuous::named;
use crate::database::Shared;
use crate::outcome::BatchStream;
use crate::relations::{Snapshots, snapshot_table};
use crate::session::Cancel;
use crate::system;

/// A planned query that ends.
pub(crate) struct Bounded {
    pub(crate) plan: LogicalPlan,
    pub(crate) schema: SchemaRef,
    state: SessionState,
}

/// Plans a query over the catalog alone, to check it and to know its columns.
pub(crate) fn plan_bounded(
    state: &SessionState,
    catalog: &Catalog,
    query: &Query,
) -> Result<LogicalPlan> {
    plan_query(
        state,
        &Snapshots::new(state, catalog),
        RunMode::Bounded,
        query,
    )
}

/// Plans a query over the rows of one version.
pub(crate) async fn plan(
    shared: &Shared,
    query: &Query,
    catalog_view: impl FnOnce() -> Result<CatalogSnapshot>,
) -> Result<Bounded> {
    if pgcatalog::is_catalog_query(query) {
        return plan_system(shared, query, catalog_view()?).await;
    }
    let status = match sql::names::mentions_schema(query, "clickmill") {
        true => Some(shared.status().await?),
        false => None,
    };
    let state = state_at(shared);
    let catalog = shared.catalog.read().clone();
    let plan = {
        let _version = shared.engine.published().read();
        let mut relations = Snapshots::new(&state, &catalog);
        if let Some(status) = status {
            relations.system = system::tables(&status, &shared.history, &shared.sinks.status())?;
        }
        let planned = plan_query(&state, &relations, RunMode::Bounded, query);
        analysed(
            &state,
            planned.map_err(|e| about_sinks(&catalog, query, e))?,
        )?
    };
    let names = sql::names::output_names(query, plan.schema().as_arrow());
    Ok(Bounded {
        schema: named(plan.schema().inner(), &names),
        plan,
        state,
    })
}

/// Says of a relation that is not there that there is a sink of its name.
pub(crate) fn about_sinks(catalog: &Catalog, query: &Query, error: Error) -> Error {
    let is_sink = |name: &String| {
        let object = catalog.get(name);
        object.is_some_and(|object| matches!(object.body, Body::Sink(_)))
    };
    if error.state() == SqlState::UNDEFINED_TABLE
        && sql::names::relation_names(query).iter().any(is_sink)
    {
        return error.hint("there is a sink of this name, whose rows have left");
    }
    error
}

/// The plan with its types settled: they are what the client is told, and coercion changes them (`1 UNION ALL 1.5`).
fn analysed(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    let options = state.config_options();
    let analysed = state
        .analyzer()
        .execute_and_check(plan.clone(), options, |_, _| {});
    match analysed {
        Ok(analysed) => Ok(analysed),
        // Types that depend on parameters are settled when their values are known.
        Err(_)
            if plan
                .get_parameter_names()
                .is_ok_and(|names| !names.is_empty()) =>
        {
            Ok(plan)
        }
        Err(error) => Err(from_datafusion(error)),
    }
}

/// The shared state at the clock's time: `now()` is the same for a whole statement.
fn state_at(shared: &Shared) -> SessionState {
    let mut state = shared.state.clone();
    state.execution_props_mut().query_execution_start_time =
        chrono::DateTime::from_timestamp_micros(shared.clock.now());
    state
}

/// A query over `pg_catalog` and `information_schema`, and perhaps user relations beside them.
async fn plan_system(shared: &Shared, query: &Query, snapshot: CatalogSnapshot) -> Result<Bounded> {
    let config = shared.state.config().clone().with_target_partitions(1);
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::clone(shared.state.runtime_env()))
        .with_default_features()
        .build();
    let context = SessionContext::new_with_state(state);
    pgcatalog::register(&context, &Arc::new(snapshot)).map_err(from_datafusion)?;
    for object in shared.catalog.read().iter() {
        if let Some(store) = object.store() {
            context
                .register_table(object.name.as_str(), snapshot_table(store)?)
                .map_err(from_datafusion)?;
        }
    }
    let mut query = query.clone();
    pgcatalog::rewrite(&mut query);
    let state = context.state();
    let statement =
        datafusion::sql::parser::Statement::Statement(Box::new(Statement::Query(Box::new(query))));
    let plan = state
        .statement_to_plan(statement)
        .await
        .map_err(system_error)?;
    let names: Vec<String> = plan
        .schema()
        .fields()
        .iter()
        .map(|f| pgcatalog::shown_name(f.name()).to_owned())
        .collect();
    Ok(Bounded {
        schema: named(plan.schema().inner(), &names),
        plan,
        state,
    })
}

/// Errors of system functions carry their own SQLSTATE.
fn system_error(error: datafusion::error::DataFusionError) -> Error {
    if let datafusion::error::DataFusionError::External(inner) = error.find_root()
        && let Some(own) = inner.downcast_ref::<pgcatalog::CatalogError>()
    {
        return Error::new(SqlState(own.sqlstate), own.message.clone());
    }
    from_datafusion(error)
}

impl Bounded {
    /// Runs the query with values for its parameters, on the threads of queries.
    pub(crate) async fn run(
        self,
        params: &[ScalarValue],
        cancel: &Cancel,
        threads: &Handle,
    ) -> Result<BatchStream> {
        let plan = match params {
            [] => self.plan,
            params => self
                .plan
                .with_param_values(params.to_vec())
                .map_err(from_datafusion)?,
        };
        let state = self.state;
        let physical = async {
            state
                .create_physical_plan(&plan)
                .await
                .map_err(from_datafusion)
        };
        let physical = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(canceled()),
            physical = physical => physical?,
        };
        let schema = self.schema;
        let batches = on_threads(threads, async move {
            let stream = datafusion::physical_plan::execute_stream(physical, state.task_ctx())
                .map_err(from_datafusion)?;
            let batches = stream.map(move |batch| rename(batch.map_err(system_error)?, &schema));
            Ok(Box::pin(batches) as BatchStream)
        });
        Ok(until_canceled(batches, cancel.clone()))
    }
}

/// Batches that wait between a query and its client.
const QUEUE: usize = 2;

/// A stream that is driven elsewhere: a query may compute for long without a pause, and connections, cancels and signals
/// must not wait for it. The work ends with the stream.
fn on_threads(
    threads: &Handle,
    begin: impl Future<Output = Result<BatchStream>> + Send + 'static,
) -> BatchStream {
    let (send, receive) = tokio::sync::mpsc::channel(QUEUE);
    let work = threads.spawn(async move {
        match begin.await {
            Ok(mut stream) => {
                while let Some(item) = stream.next().await {
                    if send.send(item).await.is_err() {
                        break;
                    }
                }
            }
            // Nobody listens any more when the client is gone.
            Err(error) => drop(send.send(Err(error)).await),
        }
    });
    let state = (receive, AbortOnDrop(work.abort_handle()));
    Box::pin(futures::stream::unfold(
        state,
        |(mut receive, work)| async move {
            let item = receive.recv().await?;
            Some((item, (receive, work)))
        },
    ))
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The batch under the names and types that were announced.
fn rename(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    engine::ops::updating_agg::batch_of(nullable(schema), batch.columns().to_vec(), rows)
}

/// Execution may give NULLs where planning saw none.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|f| f.as_ref().clone().with_nullable(true))
        .collect();
    Arc::new(datafusion::arrow::datatypes::Schema::new(fields))
}

/// Ends the stream with `57014` when `cancel` fires.
pub(crate) fn until_canceled(stream: BatchStream, cancel: Cancel) -> BatchStream {
    let state = Some((stream, cancel));
    Box::pin(futures::stream::unfold(state, |state| async move {
        let (mut stream, cancel) = state?;
        tokio::select! {
            biased;
            () = cancel.cancelled() => Some((Err(canceled()), None)),
            next = stream.next() => next.map(|item| (item, Some((stream, cancel)))),
        }
    }))
}

pub(crate) fn canceled() -> Error {
    Error::new(
        SqlState::QUERY_CANCELED,
        "canceling statement due to user request",
    )
}

/// All batches of a query.
pub(crate) async fn collect(mut stream: BatchStream) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch?);
    }
    Ok(batches)
}
