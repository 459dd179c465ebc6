//! Shows a version.

use dataflow::failpoint::{self, Failpoint};
use dataflow::{DeltaBatch, Result};

use super::Core;

impl Core {
    /// Makes the version visible in all relations at once.
    pub(super) fn publish(&mut self) -> Result<()> {
        let mut published = self.published.write();
        for table in self.tables.values_mut() {
            let rows = table.fresh.drain(..).map(DeltaBatch::inserts).collect();
            table.spec.store.apply(self.version, rows, None)?;
        }
        failpoint::reached(Failpoint::PublishHalf);
        for (_, view) in &mut self.views {
            let retention = view.retention_watermark();
            if let Err(error) = view
                .spec
                .store
                .apply(self.version, view.fresh.clone(), retention)
            {
                view.fail(error);
            }
        }
        for (source, aside) in &mut self.aside {
            let Some(spec) = self.sources.get(source) else {
                continue;
            };
            let (errors, late) = aside.take();
            let aside = &spec.aside;
            let dead = match aside.dead {
                Some(_) => errors.clone(),
                None => Vec::new(),
            };
            for (store, rows) in [
                (&aside.errors, errors),
                (&aside.late, late),
                (&aside.dead, dead),
            ] {
                if let Some(store) = store {
                    let rows = rows.into_iter().map(DeltaBatch::inserts).collect();
                    store.apply(self.version, rows, None)?;
                }
            }
        }
        *published = self.version;
        Ok(())
    }
}
