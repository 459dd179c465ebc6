//! ALTER SOURCE … ADD COLUMN: another definition of a source, of which the columns so far are the beginning.

use std::sync::Arc;

use dataflow::schema::Encoding;
use dataflow::{Error, Result, SqlState};
use engine::{Change, SourceSpec};
use sql::ast::{AlterSource, ObjectKind};

use crate::catalog::{Body, Object};
use crate::ddl::Ddl;
use crate::outcome::Notice;
use crate::query::plan_bounded;

impl Ddl<'_> {
    /// Adds a column at the end. Views that exist go on as they were.
    pub(crate) fn alter_source(&mut self, alter: &AlterSource, statement: &str) -> Result<()> {
        let kind = ObjectKind::Source;
        if self.skips(&alter.name, kind, alter.if_exists) {
            return Ok(());
        }
        let object = Arc::clone(self.catalog.expect(&alter.name, kind)?);
        let Body::Source(spec) = &object.body else {
            return Err(Error::internal("a source without a definition"));
        };
        if let Encoding::Csv(_) = spec.schema.encoding {
            let what = format!(
                "ADD COLUMN to a source with ENCODE {}",
                spec.schema.encoding.name()
            );
            return Err(Error::unsupported(what)
                .hint("DROP and CREATE it")
                .at(alter.name.location));
        }
        let column = &alter.column;
        if spec.schema.index_of(&column.name).is_some() {
            let message = format!(
                "column \"{}\" of relation \"{}\" already exists",
                column.name, alter.name.value
            );
            if !alter.if_not_exists {
                return Err(
                    Error::new(SqlState::DUPLICATE_COLUMN, message).at(alter.column_location)
                );
            }
            self.notices
                .push(Notice::plain(format!("{message}, skipping")));
            return Ok(());
        }
        let mut spec = SourceSpec::clone(spec);
        spec.schema.columns.push(column.clone());
        let spec = Arc::new(spec);
        let before = self.catalog.clone();
        self.catalog.insert(Object {
            oid: object.oid,
            name: object.name.clone(),
            statement: format!("{};\n{statement}", object.statement),
            schema: spec.schema.arrow(),
            reads: object.reads.clone(),
            body: Body::Source(Arc::clone(&spec)),
        });
        if let Some(view) = self.changed_view(&alter.name.value) {
            *self.catalog = before;
            let message = format!(
                "cannot add a column to source \"{}\" because view \"{view}\" takes all its columns",
                alter.name.value
            );
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS, message)
                .hint(format!("DROP VIEW {view}, and create it again afterwards"))
                .at(alter.name.location));
        }
        self.changes.push(Change::AlterSource(spec));
        Ok(())
    }

    /// The first ordinary view over the relation whose query gives other columns than when it was made.
    fn changed_view(&self, name: &str) -> Option<String> {
        let views = self.catalog.dependents(name);
        let changed = |view: &&Arc<Object>| self.gives_other_columns(view);
        views.iter().find(changed).map(|view| view.name.clone())
    }

    fn gives_other_columns(&self, view: &Object) -> bool {
        let Body::View { query, .. } = &view.body else {
            return false;
        };
        let Ok(plan) = plan_bounded(&self.shared.state, self.catalog, query) else {
            return true;
        };
        let types = |schema: &datafusion::arrow::datatypes::Schema| -> Vec<_> {
            let fields = schema.fields().iter();
            fields.map(|field| field.data_type().clone()).collect()
        };
        let now = crate::continuous::named(
            plan.schema().inner(),
            &vec![String::new(); plan.schema().fields().len()],
        );
        types(&now) != types(&view.schema)
    }
}
