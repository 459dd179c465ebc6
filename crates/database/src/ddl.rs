//! CREATE and DROP: checked and planned at once, gathered, and applied together at the end of the batch.

mod drop;
mod sink;

use std::sync::Arc;

use dataflow::options::OptionEntry;
use dataflow::{Error, Micros, Result, SqlState};
use engine::{AsideSpec, Change, SourceSpec, Store, StoreOptions, TableSpec, TimeRules, ViewSpec};
use plan::{Mode, Node};
use sql::ast::{
    AlterView, CreateSource, CreateTable, CreateView, Emission, Emit, Name, ObjectKind, Parsed,
    Statement, ViewAction,
};

use crate::catalog::{Body, Catalog, Materialized, Object, kind_name, missing};
use crate::continuous::{Manner, Planned, check_distinct, named, plan_continuous, reads};
use crate::database::Shared;
use crate::options::{ViewOptions, open_source, view_options};
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
        let oid = self.catalog.new_oid();
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

    pub(crate) fn create_view(&mut self, create: &CreateView, statement: &str) -> Result<()> {
        if self.exists(&create.name, create.if_not_exists)? {
            return Ok(());
        }
        if create.materialized {
            self.create_materialized(create, statement)
        } else {
            self.create_plain(create, statement)
        }
    }

    /// An ordinary view is only a name for a query. It must plan as a query that ends.
    fn create_plain(&mut self, create: &CreateView, statement: &str) -> Result<()> {
        if create.emission != Emission::default() {
            return Err(Error::unsupported("EMIT or ALLOW LATENESS in an ordinary view")
                .at(create.emission.location)
                .hint("it is a name for a query: CREATE MATERIALIZED VIEW, or SUBSCRIBE (SELECT … FROM the view) EMIT …"));
        }
        let state = &self.shared.state;
        let plan = crate::query::plan_bounded(state, self.catalog, &create.query)?;
        let names = sql::names::output_names(&create.query, plan.schema().as_arrow());
        let schema = named(plan.schema().inner(), &self.column_names(create, names)?);
        check_distinct(&schema, create.name.location)?;
        let reads = sql::names::relation_names(&create.query)
            .into_iter()
            .filter(|n| self.catalog.get(n).is_some())
            .collect();
        let body = Body::View {
            query: create.query.clone(),
            text: create.query_text.clone(),
        };
        self.add(&create.name, statement, schema, reads, body);
        Ok(())
    }

    fn create_materialized(&mut self, create: &CreateView, statement: &str) -> Result<()> {
        let options = view_options(create.options.clone())?;
        let manner = Manner {
            emission: create.emission,
            state_ttl: options.state_ttl,
            unbounded_state: options.unbounded_state,
        };
        let Planned { node, schema, .. } = plan_continuous(
            self.shared,
            self.catalog,
            &create.query,
            manner,
            create.name.location,
        )?;
        let names = schema.fields().iter().map(|f| f.name().clone()).collect();
        let schema = named(&schema, &self.column_names(create, names)?);
        check_distinct(&schema, create.name.location)?;
        check_state_options(&create.options, &node, &options)?;
        let time = retention_column(&node);
        if time.is_none() && options.retention_given {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER,
                "retention needs a column that follows the watermark",
            )
            .at(create.name.location)
            .hint("select window_end, or the event-time column, in the view"));
        }
        let store = Arc::new(Store::new(StoreOptions {
            schema: Arc::clone(&schema),
            mode: node.mode,
            retention: time
                .zip(options.retention)
                .map(|((column, _), keep)| (column, keep)),
            max_rows: None,
            log_only: false,
            log_bytes: engine::store::DEFAULT_LOG_BYTES,
            pinned: false,
        })?);
        self.announce(create, &node, &options);
        let reads = reads(&node, self.catalog, &create.query);
        let body = Body::Materialized(Box::new(Materialized {
            text: create.query_text.clone(),
            node: Arc::clone(&node),
            store: Arc::clone(&store),
        }));
        self.add(&create.name, statement, schema, reads, body);
        self.changes.push(Change::CreateView(ViewSpec {
            name: create.name.value.clone(),
            plan: node,
            store,
            time,
            ephemeral: false,
        }));
        Ok(())
    }

    /// Column names of `CREATE VIEW v (a, b)`, else the query's.
    fn column_names(&self, create: &CreateView, names: Vec<String>) -> Result<Vec<String>> {
        if create.columns.is_empty() {
            return Ok(names);
        }
        if create.columns.len() > names.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "CREATE VIEW specifies more column names than columns",
            )
            .at(create.columns[names.len()].location));
        }
        let given = create.columns.iter().map(|c| c.value.clone());
        Ok(given
            .chain(names.into_iter().skip(create.columns.len()))
            .collect())
    }

    /// Tells when rows of a windowed view come out and how long they stay.
    fn announce(&mut self, create: &CreateView, node: &Node, options: &ViewOptions) {
        let name = &create.name.value;
        let closes = node.has_op(&|op| {
            use plan::Op;
            matches!(
                op,
                Op::PaneAgg { .. } | Op::SessionAgg { .. } | Op::TopN { .. }
            )
        });
        let final_rows = node.mode == Mode::Append && !node.window.is_empty() && closes;
        if final_rows && create.emission.emit != Some(Emit::OnWindowClose) {
            let notice = format!(
                "view \"{name}\" gives the rows of a window once, when the watermark passes its end{}",
                first_close(node)
            );
            self.notices.push(
                Notice::plain(notice).with_hint("EMIT ON UPDATE shows rows of open windows too"),
            );
        }
        if let (Some((index, _)), Some(retention), false) = (
            retention_column(node),
            options.retention,
            options.retention_given,
        ) {
            let column = node.schema.field(index).name();
            let notice = format!(
                "view \"{name}\" keeps rows until \"{column}\" is {} behind the watermark",
                plan::display::duration(retention)
            );
            self.notices
                .push(Notice::plain(notice).with_hint("WITH (retention = '…') changes that"));
        }
    }

    /// Whether there is no such object and `IF EXISTS` makes that right.
    pub(crate) fn skips(&mut self, name: &Name, kind: ObjectKind, if_exists: bool) -> bool {
        let skips = if_exists && self.catalog.get(&name.value).is_none();
        if skips {
            let message = format!("{}, skipping", missing(name, kind).message());
            self.notices.push(Notice::plain(message));
        }
        skips
    }

    pub(crate) fn alter_view(&mut self, alter: &AlterView) -> Result<()> {
        let kind = ObjectKind::MaterializedView;
        if self.skips(&alter.name, kind, alter.if_exists) {
            return Ok(());
        }
        let view = self.catalog.expect(&alter.name, kind)?.name.clone();
        self.changes.push(match alter.action {
            ViewAction::Suspend => Change::Suspend(view),
            ViewAction::Resume { skip } => Change::Resume { view, skip },
        });
        Ok(())
    }
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

/// Refuses options about state that no operator of the view obeys.
pub(crate) fn check_state_options(
    entries: &[OptionEntry],
    node: &Node,
    options: &ViewOptions,
) -> Result<()> {
    let unused = |name: &str| {
        let entry = entries.iter().find(|o| o.name == name);
        let message = format!("option \"{name}\" has no effect on this view");
        Err(Error::new(SqlState::INVALID_PARAMETER, message)
            .at(entry.and_then(|e| e.location))
            .hint("it is for GROUP BY with keys and without a window: EXPLAIN shows what bounds the state"))
    };
    if options.state_ttl.is_some() && !node.has_state(&|s| matches!(s, plan::StateRule::Ttl(_))) {
        return unused("state_ttl");
    }
    if options.unbounded_state && !node.has_state(&|s| matches!(s, plan::StateRule::Unbounded)) {
        return unused("unbounded_state");
    }
    Ok(())
}

/// The event-time column that retention goes by, and its offset: the window's end where there is one.
fn retention_column(node: &Node) -> Option<(usize, Micros)> {
    let is_end = |index: usize| node.window.contains(&(index, plan::WindowColumn::End));
    let time = node
        .times
        .iter()
        .find(|t| is_end(t.index))
        .or(node.times.first())?;
    Some((time.index, time.offset))
}

/// `: for the first time …` when the plan's window and delay are plain.
fn first_close(node: &Node) -> String {
    fn window_of(node: &Node) -> Option<plan::Window> {
        match &node.op {
            plan::Op::PaneAgg { window, .. } => Some(*window),
            _ => node.inputs.iter().find_map(|n| window_of(n)),
        }
    }
    match window_of(node).and_then(|w| w.period()) {
        Some(period) => format!(", every {} of event time", plan::display::duration(period)),
        None => String::new(),
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
