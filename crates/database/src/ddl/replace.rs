//! CREATE OR REPLACE of a view that exists: what has to be the same, and what becomes of its state.

use std::sync::Arc;

use dataflow::{Error, Result, SqlState};
use datafusion::arrow::datatypes::SchemaRef;
use engine::Store;
use plan::Node;
use plan::replace::{Rebuilt, kept};
use sql::ast::{CreateView, ObjectKind};

use super::Ddl;
use crate::catalog::{Body, Object, kind_name};
use crate::outcome::Notice;

impl Ddl<'_> {
    /// The view that is replaced; `None` when there is none.
    pub(super) fn replaced(&self, create: &CreateView) -> Result<Option<Arc<Object>>> {
        let kind = match create.materialized {
            true => ObjectKind::MaterializedView,
            false => ObjectKind::View,
        };
        match self.catalog.get(&create.name.value) {
            Some(_) => Ok(Some(Arc::clone(self.catalog.expect(&create.name, kind)?))),
            None => Ok(None),
        }
    }

    /// Whether what reads a view can go on with the new one: ordinary views do, when the columns that they know stay where they are.
    pub(super) fn check_replacement(
        &self,
        create: &CreateView,
        old: &Object,
        schema: &SchemaRef,
        reads: &[String],
    ) -> Result<()> {
        let name = &create.name.value;
        let dependents = self.catalog.dependents(name);
        let itself = |read: &String| read == name || dependents.iter().any(|d| d.name == *read);
        if reads.iter().any(itself) {
            let message = format!("view \"{name}\" cannot read itself");
            return Err(Error::new(SqlState("42P17"), message).at(create.name.location));
        }
        let mut firm = dependents.iter().filter(|d| d.kind() != ObjectKind::View);
        if let Some(dependent) = firm.next() {
            let (kind, other) = (kind_name(dependent.kind()), &dependent.name);
            let message =
                format!("cannot replace view \"{name}\" because other objects depend on it");
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS, message)
                .at(create.name.location)
                .detail(format!("{kind} \"{other}\" has read rows of the old query"))
                .hint("drop it first, and create it again afterwards"));
        }
        if !dependents.is_empty() {
            check_columns(create, old, schema)?;
        }
        Ok(())
    }

    /// Says whether a materialized view keeps its state; else it is made again.
    pub(super) fn keeps_state(
        &mut self,
        create: &CreateView,
        old: &Object,
        node: &Node,
        store: &Store,
        reads: &[String],
    ) -> Result<bool> {
        self.check_replacement(create, old, store.schema(), reads)?;
        let Body::Materialized(view) = &old.body else {
            return Err(Error::internal("a view without a plan"));
        };
        let name = &old.name;
        let why = match kept(&view.node, node) {
            _ if view.store.ended().is_some() => "it is not running",
            Ok(_) if view.store.keeps_less_than(store) => {
                "rows that were dropped are kept longer now"
            }
            Ok(_) => {
                let notice = format!(
                    "view \"{name}\" keeps its state: only its last projection or filter is another one"
                );
                self.notices.push(Notice::plain(notice));
                return Ok(true);
            }
            Err(why) => said(why),
        };
        let notice = format!("view \"{name}\" is made again from what it reads: {why}");
        let hint = "what a topic does not keep any more is not in it";
        self.notices.push(Notice::plain(notice).with_hint(hint));
        Ok(false)
    }
}

fn said(why: Rebuilt) -> &'static str {
    match why {
        Rebuilt::State => {
            "its keys or their order, its aggregates, its windows or what is filtered before them are others"
        }
        Rebuilt::Rows => {
            "the old query left out rows or columns of its result, and the new one may need them"
        }
    }
}

/// As PostgreSQL has it: columns may be added at the end.
fn check_columns(create: &CreateView, old: &Object, schema: &SchemaRef) -> Result<()> {
    for (at, field) in old.schema.fields().iter().enumerate() {
        let refused = match schema.fields().get(at) {
            None => "cannot drop columns from view".to_owned(),
            Some(new) if new.name() != field.name() => format!(
                "cannot change name of view column \"{}\" to \"{}\"",
                field.name(),
                new.name()
            ),
            Some(new) if new.data_type() != field.data_type() => {
                format!(
                    "cannot change data type of view column \"{}\"",
                    field.name()
                )
            }
            Some(_) => continue,
        };
        return Err(Error::new(SqlState("42P16"), refused)
            .at(create.name.location)
            .hint("other views read it: DROP VIEW … CASCADE drops them too"));
    }
    Ok(())
}
