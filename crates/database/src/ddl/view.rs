//! CREATE VIEW, CREATE MATERIALIZED VIEW and ALTER MATERIALIZED VIEW.

use std::sync::Arc;

use dataflow::options::OptionEntry;
use dataflow::{Error, Micros, Result, SqlState};
use engine::{Change, Store, StoreOptions, ViewSpec};
use plan::{Mode, Node};
use sql::ast::{AlterView, CreateView, Emission, Emit, ObjectKind, ViewAction};

use super::Ddl;
use crate::catalog::{Body, Materialized, Object};
use crate::continuous::{Manner, Planned, check_distinct, named, plan_continuous, reads};
use crate::options::{ViewOptions, view_options};
use crate::outcome::Notice;

impl Ddl<'_> {
    pub(crate) fn create_view(&mut self, create: &CreateView, statement: &str) -> Result<()> {
        let replaced = match create.or_replace {
            true => self.replaced(create)?,
            false if self.exists(&create.name, create.if_not_exists)? => return Ok(()),
            false => None,
        };
        if create.materialized {
            self.create_materialized(create, statement, replaced)
        } else {
            self.create_plain(create, statement, replaced)
        }
    }

    /// An ordinary view is only a name for a query. It must plan as a query that ends.
    fn create_plain(
        &mut self,
        create: &CreateView,
        statement: &str,
        replaced: Option<Arc<Object>>,
    ) -> Result<()> {
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
        let reads: Vec<String> = sql::names::relation_names(&create.query)
            .into_iter()
            .filter(|n| self.catalog.get(n).is_some())
            .collect();
        if let Some(replaced) = replaced {
            self.check_replacement(create, &replaced, &schema, &reads)?;
        }
        let body = Body::View {
            query: create.query.clone(),
            text: create.query_text.clone(),
        };
        self.add(&create.name, statement, schema, reads, body);
        Ok(())
    }

    fn create_materialized(
        &mut self,
        create: &CreateView,
        statement: &str,
        replaced: Option<Arc<Object>>,
    ) -> Result<()> {
        let options = view_options(create.options.clone())?;
        let manner = Manner::of(create.emission, &options);
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
        let keeps = match &replaced {
            Some(replaced) => Some(self.keeps_state(create, replaced, &node, &store, &reads)?),
            None => None,
        };
        let body = Body::Materialized(Box::new(Materialized {
            text: create.query_text.clone(),
            node: Arc::clone(&node),
            store: Arc::clone(&store),
        }));
        self.add(&create.name, statement, schema, reads, body);
        let spec = ViewSpec {
            name: create.name.value.clone(),
            plan: node,
            store,
            time,
            ephemeral: false,
        };
        self.changes.push(match keeps {
            Some(true) => Change::ReplaceView(spec),
            Some(false) => Change::RebuildView(spec),
            None => Change::CreateView(spec),
        });
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

    pub(crate) fn alter_view(&mut self, alter: &AlterView) -> Result<()> {
        let kind = ObjectKind::MaterializedView;
        if self.skips(&alter.name, kind, alter.if_exists) {
            return Ok(());
        }
        let view = self.catalog.expect(&alter.name, kind)?.name.clone();
        let mut readers = self.catalog.dependents(&view).into_iter();
        if let Some(sink) = readers.find(|reader| reader.kind() == ObjectKind::Sink) {
            let message = format!("sink \"{}\" reads view \"{view}\"", sink.name);
            return Err(Error::new(SqlState::OBJECT_IN_USE, message)
                .at(alter.name.location)
                .detail("a view that is resumed is made again from its history, and the sink would write all of it again")
                .hint("DROP SINK first, and create it again afterwards"));
        }
        self.changes.push(match alter.action {
            ViewAction::Suspend => Change::Suspend(view),
            ViewAction::Resume { skip } => Change::Resume { view, skip },
        });
        Ok(())
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
