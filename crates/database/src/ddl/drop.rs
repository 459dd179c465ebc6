//! DROP: an object, and with CASCADE what depends on it.

use dataflow::{Error, Result, SqlState};
use engine::Change;
use sql::ast::{Drop, Name};

use super::Ddl;
use crate::catalog::kind_name;
use crate::outcome::Notice;

impl Ddl<'_> {
    pub(crate) fn drop(&mut self, drop: &Drop) -> Result<()> {
        for name in &drop.names {
            if self.skips(name, drop.kind, drop.if_exists) {
                continue;
            }
            self.catalog.expect(name, drop.kind)?;
            self.drop_one(name, drop)?;
        }
        Ok(())
    }

    fn drop_one(&mut self, name: &Name, drop: &Drop) -> Result<()> {
        let asides = self.catalog.asides(&name.value);
        let object = self.catalog.get(&name.value).cloned();
        if let Some(source) = object.as_ref().and_then(|object| object.of_source()) {
            let message = format!(
                "cannot drop {} \"{}\" without its source",
                kind_name(drop.kind),
                name.value
            );
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS, message)
                .at(name.location)
                .hint(format!("it goes with DROP SOURCE {source}")));
        }
        let mut dependents = self.catalog.dependents(&name.value);
        for aside in &asides {
            dependents.extend(self.catalog.dependents(&aside.name));
        }
        let outside: Vec<String> = dependents
            .iter()
            .filter(|d| !drop.names.iter().any(|n| n.value == d.name))
            .map(|d| format!("{} \"{}\"", kind_name(d.kind()), d.name))
            .collect();
        if !outside.is_empty() && !drop.cascade {
            let message = format!(
                "cannot drop {} \"{}\" because other objects depend on it",
                kind_name(drop.kind),
                name.value
            );
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS, message)
                .at(name.location)
                .detail(format!("{} depends on it", outside.join(", ")))
                .hint("use DROP … CASCADE to drop the dependent objects too"));
        }
        if !outside.is_empty() {
            self.notices.push(Notice::plain(format!(
                "drop cascades to {}",
                outside.join(", ")
            )));
        }
        for dependent in dependents.iter().rev() {
            self.forget(&dependent.name);
        }
        for aside in asides {
            self.catalog.remove(&aside.name);
        }
        self.forget(&name.value);
        Ok(())
    }

    fn forget(&mut self, name: &str) {
        self.catalog.remove(name);
        self.changes.push(Change::Drop(name.to_owned()));
    }
}
