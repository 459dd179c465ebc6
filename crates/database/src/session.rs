//! One client's session: parse, prepare, execute; settings, notices and transaction state.

mod savepoint;
mod transaction;
mod writing;

use std::sync::Arc;

use dataflow::{Error, Result, SqlState};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use engine::Change;
use pgcatalog::CatalogSnapshot;
use sql::ast::{AlterView, CopyFormat, CopyTo, ObjectKind, Parsed, Statement, Subscribe};
use sqlparser::ast::Query;

use crate::catalog::{Body, Catalog};
use crate::database::{SessionInit, Shared};
use crate::ddl::{Ddl, skips};
use crate::describe::{parameter_types, relation_info, system_infos};
use crate::outcome::{Notice, Outcome, Prepared, Rows, TransactionStatus};
use crate::settings::Settings;
use crate::{columns, dml, explain, live, query, show};

/// How long DDL waits for that of another session.
const DDL_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Cancels the statement that holds it; cheap to clone, fired once per statement.
pub use tokio_util::sync::CancellationToken as Cancel;

/// One client's session.
pub struct Session {
    shared: Arc<Shared>,
    pid: i32,
    init: SessionInit,
    settings: Settings,
    notices: Vec<Notice>,
    transaction: TransactionStatus,
    gathered: Option<Gathered>,
}

/// DDL of a batch: in the catalog already, not yet in the engine.
struct Gathered {
    /// The catalog before.
    before: Catalog,
    changes: Vec<Change>,
    _lock: tokio::sync::OwnedMutexGuard<()>,
    /// The catalog as it will be, when something in it is replaced.
    later: Option<Catalog>,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, pid: i32, init: SessionInit) -> Result<Self> {
        let mut settings = Settings::new();
        if !init.application_name.is_empty() {
            settings.set("application_name", Some(&init.application_name), None)?;
        }
        for (name, value) in &init.settings {
            settings.set(name, Some(value), None)?;
        }
        Ok(Self {
            shared,
            pid,
            init,
            settings,
            notices: Vec::new(),
            transaction: TransactionStatus::Idle,
            gathered: None,
        })
    }

    /// Splits and parses a text of any number of statements. Errors carry a location in `text`.
    pub fn parse(&self, text: &str) -> Result<Vec<Parsed>> {
        sql::parse::parse(text)
    }

    /// Plans a statement without running it (the extended protocol's Parse and Describe). `hints` are the parameter types
    /// that the client named.
    pub async fn prepare(
        &mut self,
        parsed: &Parsed,
        hints: &[Option<DataType>],
    ) -> Result<Prepared> {
        let none = |schema| Prepared {
            schema,
            parameters: Vec::new(),
        };
        Ok(match &parsed.statement {
            Statement::Query(query) => {
                self.apply_gathered().await?;
                let bounded = self.plan(query).await?;
                let parameters = parameter_types(&bounded.plan, hints)?;
                Prepared {
                    schema: Some(bounded.schema),
                    parameters,
                }
            }
            Statement::Insert(insert) => {
                self.apply_gathered().await?;
                let bounded = self.plan(&insert.query).await?;
                Prepared {
                    schema: None,
                    parameters: parameter_types(&bounded.plan, hints)?,
                }
            }
            Statement::CopyTo(CopyTo { source, .. }) => {
                self.apply_gathered().await?;
                let Statement::Query(query) = source.as_ref() else {
                    return Ok(none(None));
                };
                let bounded = self.plan(query).await?;
                Prepared {
                    schema: None,
                    parameters: parameter_types(&bounded.plan, hints)?,
                }
            }
            Statement::Subscribe(subscribe) if !self.wants_copy() => {
                self.apply_gathered().await?;
                none(Some(live::describe(&self.shared, subscribe)?))
            }
            Statement::Describe(name) => {
                self.apply_gathered().await?;
                let catalog = self.shared.catalog.read().clone();
                none(Some(columns::describe(&catalog, name)?.schema()))
            }
            Statement::Explain(_) => none(Some(explain::explain_schema())),
            Statement::Show(what) => none(Some(
                show::schema(&self.shared, &self.settings, what).await?,
            )),
            _ => none(None),
        })
    }

    /// Runs one statement. An error inside a transaction block fails the block. `cancel` ends it with `57014` at any
    /// point, also while its rows stream.
    pub async fn execute(
        &mut self,
        parsed: &Parsed,
        params: &[ScalarValue],
        cancel: &Cancel,
    ) -> Result<Outcome> {
        let result = self.run(parsed, params, cancel).await;
        if result.is_err() {
            self.fail();
        }
        result
    }

    async fn run(
        &mut self,
        parsed: &Parsed,
        params: &[ScalarValue],
        cancel: &Cancel,
    ) -> Result<Outcome> {
        self.check_transaction(parsed)?;
        if !changes_catalog(&parsed.statement) {
            self.apply_gathered().await?;
        }
        let done = |tag: &str| Ok(Outcome::Done(tag.to_owned()));
        match &parsed.statement {
            Statement::AlterView(alter) if alter.kind == ObjectKind::Sink => {
                self.resume_sink(alter)
            }
            Statement::CreateSource(_)
            | Statement::CreateTable(_)
            | Statement::CreateView(_)
            | Statement::CreateSink(_)
            | Statement::AlterSource(_)
            | Statement::AlterView(_)
            | Statement::Drop(_) => self.ddl(parsed).await,
            Statement::CreateSavepoint(name) => self.create_savepoint(name, cancel).await,
            Statement::DropSavepoint { name, if_exists } => {
                self.drop_savepoint(name, *if_exists).await
            }
            Statement::InferSource(infer) => self.infer_source(infer, parsed, cancel).await,
            Statement::Insert(insert) => self.insert(insert, params, cancel).await,
            Statement::AdvanceWatermark { name, to } => {
                let change = dml::advance(&self.shared, name, to).await?;
                self.shared.apply(vec![change]).await?;
                done("ADVANCE WATERMARK")
            }
            Statement::Query(query) => Ok(Outcome::Rows(self.select(query, params, cancel).await?)),
            Statement::Subscribe(subscribe) => {
                let rows = self.live(subscribe, cancel).await?;
                Ok(if self.wants_copy() {
                    Outcome::Copy(rows, CopyFormat::Text)
                } else {
                    Outcome::Rows(rows)
                })
            }
            Statement::CopyTo(copy) => self.copy_to(copy, params, cancel).await,
            Statement::Explain(what) => {
                let batch = explain::explain(&self.shared, what, Some(parsed.location))?;
                Ok(one_batch(batch, "EXPLAIN"))
            }
            Statement::Describe(name) => {
                let catalog = self.shared.catalog.read().clone();
                Ok(one_batch(columns::describe(&catalog, name)?, "DESCRIBE"))
            }
            Statement::Show(what) => {
                let batch = show::show(&self.shared, &self.settings, what).await?;
                Ok(one_batch(batch, "SHOW"))
            }
            Statement::Set { name, value, local } => self.set(name, value.as_deref(), *local),
            Statement::Reset(Some(name)) => {
                self.settings.set(&name.value, None, name.location)?;
                done("RESET")
            }
            Statement::Reset(None) => {
                self.settings.reset_all();
                done("RESET")
            }
            Statement::DiscardAll => {
                self.settings.reset_all();
                done("DISCARD ALL")
            }
            Statement::Begin | Statement::Commit | Statement::Rollback => {
                done(self.transact(&parsed.statement))
            }
        }
    }

    /// A sink that failed tries again; that outlives no restart, after which all of them do.
    fn resume_sink(&mut self, alter: &AlterView) -> Result<Outcome> {
        let catalog = self.shared.catalog.read().clone();
        let kind = ObjectKind::Sink;
        if !skips(
            &catalog,
            &mut self.notices,
            &alter.name,
            kind,
            alter.if_exists,
        ) {
            catalog.expect(&alter.name, kind)?;
            self.shared.sinks.resume(&alter.name)?;
        }
        Ok(Outcome::Done("ALTER SINK".to_owned()))
    }

    fn set(&mut self, name: &sql::ast::Name, value: Option<&str>, local: bool) -> Result<Outcome> {
        if local && self.transaction == TransactionStatus::Idle {
            let message = "SET LOCAL can only be used in transaction blocks";
            self.notices.push(Notice::warning("25P01", message));
            return Ok(Outcome::Done("SET".to_owned()));
        }
        if local {
            return Err(Error::unsupported("SET LOCAL")
                .at(name.location)
                .hint("use SET"));
        }
        self.settings.set(&name.value, value, name.location)?;
        Ok(Outcome::Done("SET".to_owned()))
    }

    async fn ddl(&mut self, parsed: &Parsed) -> Result<Outcome> {
        if self.gathered.is_none() {
            let lock = Arc::clone(&self.shared.ddl).lock_owned();
            let lock = tokio::time::timeout(DDL_WAIT, lock).await.map_err(|_| {
                Error::new(SqlState("55P03"), "another session's DDL has not ended")
                    .hint("try again; DDL of a session takes effect when its message or Sync ends")
            })?;
            let before = self.shared.catalog.read().clone();
            self.gathered = Some(Gathered {
                before,
                later: None,
                changes: Vec::new(),
                _lock: lock,
            });
        }
        let Some(gathered) = &mut self.gathered else {
            return Err(Error::internal("DDL without a batch"));
        };
        let mut catalog = match &gathered.later {
            Some(later) => later.clone(),
            None => self.shared.catalog.read().clone(),
        };
        let mut ddl = Ddl {
            shared: &self.shared,
            catalog: &mut catalog,
            changes: &mut gathered.changes,
            notices: &mut self.notices,
            now: self.shared.clock.now(),
        };
        let tag = ddl.carry_out(parsed)?;
        if gathered.changes.iter().any(Change::replaces) {
            // Until the engine has done it others read what is there.
            gathered.later = Some(catalog);
        } else {
            *self.shared.catalog.write() = catalog;
        }
        Ok(Outcome::Done(tag.to_owned()))
    }

    /// Hands gathered DDL to the engine; what it refuses is taken back.
    async fn apply_gathered(&mut self) -> Result<()> {
        let Some(gathered) = self.gathered.take() else {
            return Ok(());
        };
        if gathered.changes.is_empty() {
            return Ok(());
        }
        match self.shared.apply(gathered.changes).await {
            Ok(_) => {
                if let Some(later) = gathered.later {
                    *self.shared.catalog.write() = later;
                }
                self.shared.follow_sinks()
            }
            Err(error) => {
                *self.shared.catalog.write() = gathered.before;
                Err(error)
            }
        }
    }

    async fn plan(&self, query: &Query) -> Result<query::Bounded> {
        query::plan(&self.shared, query, || self.catalog_snapshot()).await
    }

    async fn select(
        &mut self,
        query: &Query,
        params: &[ScalarValue],
        cancel: &Cancel,
    ) -> Result<Rows> {
        let bounded = self.plan(query).await?;
        self.warn_of_views(query);
        let schema = Arc::clone(&bounded.schema);
        let stream = bounded
            .run(params, cancel, self.shared.query_threads())
            .await?;
        Ok(Rows {
            schema,
            stream,
            tag: "SELECT",
        })
    }

    /// A NOTICE for views that are still reading history, a WARNING for those that have failed.
    fn warn_of_views(&mut self, query: &Query) {
        let catalog = self.shared.catalog.read().clone();
        for name in sql::names::relation_names(query) {
            let Some(Body::Materialized(view)) = catalog.get(&name).map(|o| &o.body) else {
                continue;
            };
            if let Some(error) = view.store.ended() {
                let message = match error.state() {
                    SqlState::OBJECT_NOT_READY => {
                        format!("view \"{name}\" is suspended and not kept up to date")
                    }
                    _ => format!(
                        "view \"{name}\" has failed and is not kept up to date: {}",
                        error.message()
                    ),
                };
                self.notices
                    .push(Notice::warning("01000", message).with_hint("SHOW JOBS says more"));
            } else if view.store.is_catching_up() {
                let message =
                    format!("view \"{name}\" is catching up and has not read all of its history");
                self.notices
                    .push(Notice::plain(message).with_hint("SHOW JOBS says how far it is"));
            }
        }
    }

    async fn live(&mut self, subscribe: &Subscribe, cancel: &Cancel) -> Result<Rows> {
        live::subscribe(&self.shared, subscribe, cancel).await
    }

    async fn copy_to(
        &mut self,
        copy: &CopyTo,
        params: &[ScalarValue],
        cancel: &Cancel,
    ) -> Result<Outcome> {
        let rows = match copy.source.as_ref() {
            Statement::Query(query) => self.select(query, params, cancel).await?,
            Statement::Subscribe(subscribe) => self.live(subscribe, cancel).await?,
            _ => return Err(Error::unsupported("COPY of this statement")),
        };
        Ok(Outcome::Copy(rows, copy.format.clone()))
    }

    /// Whether a bare SUBSCRIBE is answered in COPY form: psql shows nothing of an endless result set otherwise.
    fn wants_copy(&self) -> bool {
        match self.settings.get("subscribe_format").as_deref() {
            Some("copy") => true,
            Some("rows") => false,
            _ => self
                .settings
                .get("application_name")
                .is_some_and(|name| name == "psql"),
        }
    }

    /// Called once after the last statement of a simple-query message (or at Sync): DDL that was gathered takes effect
    /// together.
    pub async fn finish_batch(&mut self) -> Result<()> {
        self.apply_gathered().await
    }

    /// Marks the transaction block as failed, and takes gathered DDL back.
    pub fn fail(&mut self) {
        if let Some(gathered) = self.gathered.take() {
            *self.shared.catalog.write() = gathered.before;
        }
        if self.transaction == TransactionStatus::InBlock {
            self.transaction = TransactionStatus::Failed;
        }
    }

    /// Notices gathered since the last call, oldest first.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Settings that the client must be told of (ParameterStatus) changed since the last call. The first call gives all.
    pub fn take_parameters(&mut self) -> Vec<(&'static str, String)> {
        self.settings.take_changed()
    }

    /// The transaction state for ReadyForQuery.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.transaction
    }

    /// A setting's value, such as `statement_timeout` or `extra_float_digits`.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name)
    }

    fn catalog_snapshot(&self) -> Result<CatalogSnapshot> {
        let mut relations = system_infos()?;
        let catalog = self.shared.catalog.read().clone();
        relations.extend(catalog.iter().filter_map(|o| relation_info(o)));
        Ok(CatalogSnapshot {
            database: self.init.database.clone(),
            user: self.init.user.clone(),
            relations,
            settings: self.settings.all(),
            backend_pid: self.pid,
            version: format!(
                "PostgreSQL 15.0 (clickmill {}) on {}-{}",
                self.shared.version,
                std::env::consts::ARCH,
                std::env::consts::OS
            ),
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.fail();
    }
}

fn changes_catalog(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateSource(_)
            | Statement::CreateTable(_)
            | Statement::CreateView(_)
            | Statement::CreateSink(_)
            | Statement::InferSource(_)
            | Statement::AlterSource(_)
            | Statement::Drop(_)
    ) || matches!(statement, Statement::AlterView(alter) if alter.kind != ObjectKind::Sink)
}

fn one_batch(batch: RecordBatch, tag: &'static str) -> Outcome {
    let schema = batch.schema();
    Outcome::Rows(Rows {
        schema,
        stream: Box::pin(futures::stream::iter([Ok(batch)])),
        tag,
    })
}
