//! CREATE and DROP: checked and planned at once, gathered, and applied together at the end of the batch.

mod drop;
mod replace;
mod sink;
mod view;

pub(crate) use sink::check as check_sink;
pub(crate) use view::check_state_options;

use std::sync::Arc;

use dataflow::{Error, Micros, Result, SqlState};
use engine::{AsideSpec, Change, SourceSpec, Store, StoreOptions, TableSpec, TimeRules};
use plan::Mode;
use sql::ast::{CreateSource, CreateTable, Name, ObjectKind, Parsed, Statement};

use crate::catalog::{Body, Catalog, Object, kind_name, missing};
use crate::database::Shared;
use crate::options::open_source;
use crate::outcome::Notice;

/// Rows that a table of bad records or late rows keeps.
const ASIDE_ROWS: usize = 100_000;

/// What a DDL statement does: to the catalog at once, to the engine later.
pub(crate) struct Ddl<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) catalog: &'a mut Catalog,
    pub(crate) changes: &'a mut Vec<Change>,
    pub(crate) notices: &'a mut Vec<Notice>,
    /// When the statement was given.
    pub(crate) now: Micros,
}

impl Ddl<'_> {
    /// Carries a statement out; gives the tag of its answer.
    pub(crate) fn carry_out(&mut self, parsed: &Parsed) -> Result<&'static str> {
        let before = self.changes.len();
        self.changes.push(Change::Statement {
            text: parsed.text.clone(),
            at: self.now,
        });
        let done = self.dispatch(parsed);
        if done.is_err() {
            self.changes.truncate(before);
        }
        done
    }

    fn dispatch(&mut self, parsed: &Parsed) -> Result<&'static str> {
        Ok(match &parsed.statement {
            Statement::CreateSource(create) => {
                self.create_source(create, &parsed.text)?;
                create_tag(ObjectKind::Source)
            }
            Statement::CreateTable(create) => {
                self.create_table(create, &parsed.text)?;
                create_tag(ObjectKind::Table)
            }
            Statement::CreateView(create) => {
                self.create_view(create, &parsed.text)?;
                create_tag(if create.materialized {
                    ObjectKind::MaterializedView
                } else {
                    ObjectKind::View
                })
            }
            Statement::CreateSink(create) => {
                self.create_sink(create, &parsed.text)?;
                create_tag(ObjectKind::Sink)
            }
            Statement::AlterSource(alter) => {
                self.alter_source(alter, &parsed.text)?;
                "ALTER SOURCE"
            }
            Statement::AlterView(alter) => {
                self.alter_view(alter)?;
                "ALTER MATERIALIZED VIEW"
            }
            Statement::Drop(drop) => {
                self.drop(drop)?;
                drop_tag(drop.kind)
            }
            _ => return Err(Error::internal("not DDL")),
        })
    }

    /// As [`exists`].
    fn exists(&mut self, name: &Name, if_not_exists: bool) -> Result<bool> {
        exists(self.catalog, self.notices, name, if_not_exists)
    }

    pub(crate) fn create_source(&mut self, create: &CreateSource, statement: &str) -> Result<()> {
        if self.exists(&create.name, create.if_not_exists)? {
            return Ok(());
        }
        let (own, factory) = open_source(
            self.shared,
            &create.connector,
            create.options.clone(),
            &create.schema.encoding,
            self.now,
        )?;
        check_time_options(create)?;
        let delay = create.schema.watermark.as_ref().map_or(0, |w| w.delay);
        let aside = AsideSpec {
            errors: self.aside(create, statement, "errors", own.store_bad)?,
            late: self.aside(create, statement, "late", own.store_late)?,
            dead: match own.dead {
                Some(dead) => Some(self.dead_letters(create, statement, dead)?),
                None => None,
            },
        };
        let spec = Arc::new(SourceSpec {
            name: create.name.value.clone(),
            schema: create.schema.clone(),
            factory,
            time: TimeRules {
                delay,
                processing: create.schema.is_processing_time(),
                ..own.time
            },
            max_ahead: Some(own.max_ahead),
            fail_on_bad: own.fail_on_bad,
            aside,
        });
        let schema = create.schema.arrow();
        self.add(
            &create.name,
            statement,
            schema,
            Vec::new(),
            Body::Source(Arc::clone(&spec)),
        );
        self.changes.push(Change::CreateSource(spec));
        Ok(())
    }

    /// The table `source_what` of what a source sets aside, when that is kept.
    fn aside(
        &mut self,
        create: &CreateSource,
        statement: &str,
        what: &str,
        kept: bool,
    ) -> Result<Option<Arc<Store>>> {
        if !kept {
            return Ok(None);
        }
        let name = Name {
            value: format!("{}_{what}", create.name.value),
            location: create.name.location,
        };
        self.exists(&name, false)?;
        let schema = match what {
            "late" => engine::aside::late_schema(),
            _ => engine::aside::errors_schema(),
        };
        let store = Arc::new(Store::new(StoreOptions {
            schema: Arc::clone(&schema),
            mode: Mode::Append,
            retention: None,
            max_rows: Some(ASIDE_ROWS),
            log_only: false,
            log_bytes: engine::store::DEFAULT_LOG_BYTES,
            pinned: false,
        })?);
        let body = Body::Aside {
            store: Arc::clone(&store),
            source: create.name.value.clone(),
        };
        self.notices.push(Notice::plain(format!(
            "table \"{}\" keeps the newest {ASIDE_ROWS} of them",
            name.value
        )));
        self.add(&name, statement, schema, Vec::new(), body);
        Ok(Some(store))
    }

    pub(crate) fn create_table(&mut self, create: &CreateTable, statement: &str) -> Result<()> {
        if self.exists(&create.name, create.if_not_exists)? {
            return Ok(());
        }
        let schema = create.schema.arrow();
        let store = Arc::new(Store::new(StoreOptions {
            schema: Arc::clone(&schema),
            mode: Mode::Append,
            retention: None,
            max_rows: None,
            log_only: false,
            log_bytes: engine::store::DEFAULT_LOG_BYTES,
            pinned: false,
        })?);
        let watermark = create
            .schema
            .watermark
            .as_ref()
            .map(|w| (w.column, w.delay));
        let body = Body::Table {
            store: Arc::clone(&store),
            declared: create.schema.clone(),
        };
        self.add(&create.name, statement, schema, Vec::new(), body);
        self.changes.push(Change::CreateTable(TableSpec {
            name: create.name.value.clone(),
            store,
            watermark,
        }));
        Ok(())
    }

    fn add(
        &mut self,
        name: &Name,
        statement: &str,
        schema: datafusion::arrow::datatypes::SchemaRef,
        reads: Vec<String>,
        body: Body,
    ) {
        // One that is replaced is the same object.
        let replaced = self.catalog.get(&name.value).map(|object| object.oid);
        let oid = replaced.unwrap_or_else(|| self.catalog.new_oid());
        let (name, statement) = (name.value.clone(), statement.to_owned());
        self.catalog.insert(Object {
            oid,
            name,
            statement,
            schema,
            reads,
            body,
        });
    }

    /// As [`skips`].
    pub(crate) fn skips(&mut self, name: &Name, kind: ObjectKind, if_exists: bool) -> bool {
        skips(self.catalog, self.notices, name, kind, if_exists)
    }
}

/// Whether there is no such object and `IF EXISTS` makes that right.
pub(crate) fn skips(
    catalog: &Catalog,
    notices: &mut Vec<Notice>,
    name: &Name,
    kind: ObjectKind,
    if_exists: bool,
) -> bool {
    let skips = if_exists && catalog.get(&name.value).is_none();
    if skips {
        let message = format!("{}, skipping", missing(name, kind).message());
        notices.push(Notice::plain(message));
    }
    skips
}

/// Whether the object exists already and `IF NOT EXISTS` makes that right.
pub(crate) fn exists(
    catalog: &Catalog,
    notices: &mut Vec<Notice>,
    name: &Name,
    if_not_exists: bool,
) -> Result<bool> {
    let Some(object) = catalog.get(&name.value) else {
        return Ok(false);
    };
    let message = format!("relation \"{}\" already exists", name.value);
    if !if_not_exists {
        return Err(Error::new(SqlState::DUPLICATE_TABLE, message)
            .at(name.location)
            .hint(format!("it is a {}", kind_name(object.kind()))));
    }
    notices.push(Notice::plain(format!("{message}, skipping")));
    Ok(true)
}

/// Refuses options about event time on a source that has none.
fn check_time_options(create: &CreateSource) -> Result<()> {
    let about_time = |name: &str| name.contains("watermark.") || name == "late";
    match create.options.iter().find(|o| about_time(&o.name)) {
        Some(option) if create.schema.watermark.is_none() || create.schema.is_processing_time() => {
            let message = format!(
                "option \"{}\" has no effect on a source without WATERMARK",
                option.name
            );
            Err(Error::new(SqlState::INVALID_PARAMETER, message)
                .at(option.location)
                .hint("declare WATERMARK FOR column AS column - INTERVAL '5 seconds'"))
        }
        _ => Ok(()),
    }
}

/// What CREATE answers.
pub(crate) fn create_tag(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Source => "CREATE SOURCE",
        ObjectKind::Table => "CREATE TABLE",
        ObjectKind::View => "CREATE VIEW",
        ObjectKind::MaterializedView => "CREATE MATERIALIZED VIEW",
        ObjectKind::Sink => "CREATE SINK",
    }
}

/// What DROP answers.
pub(crate) fn drop_tag(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Source => "DROP SOURCE",
        ObjectKind::Table => "DROP TABLE",
        ObjectKind::View => "DROP VIEW",
        ObjectKind::MaterializedView => "DROP MATERIALIZED VIEW",
        ObjectKind::Sink => "DROP SINK",
    }
}
