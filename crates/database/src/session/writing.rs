//! Statements that take a while beside the engine: INSERT, and CREATE SOURCE … INFER.

use dataflow::schema::Encoding;
use dataflow::{Error, Result};
use datafusion::arrow::array::RecordBatch;
use datafusion::scalar::ScalarValue;
use sql::ast::{InferSource, Insert, ObjectKind, Parsed};

use super::{Cancel, Session};
use crate::ddl::create_tag;
use crate::options::open_source;
use crate::outcome::Outcome;
use crate::{dml, produce, query};

impl Session {
    /// Reads a sample, shows the statement that declares what is in it, and carries that out.
    pub(super) async fn infer_source(
        &mut self,
        infer: &InferSource,
        parsed: &Parsed,
        cancel: &Cancel,
    ) -> Result<Outcome> {
        if self.shared.catalog.read().get(&infer.name.value).is_some() {
            // As without INFER: an error, or nothing.
            let notices = &mut self.notices;
            crate::ddl::exists(
                &self.shared.catalog.read(),
                notices,
                &infer.name,
                infer.if_not_exists,
            )?;
            return Ok(Outcome::Done(create_tag(ObjectKind::Source).to_owned()));
        }
        let (_, factory) = open_source(
            &self.shared,
            &infer.connector,
            infer.options.clone(),
            &Encoding::Json,
            self.shared.clock.now(),
        )?;
        let (create, now) = (infer.clone(), self.shared.clock.now());
        let work = tokio::task::spawn_blocking(move || crate::infer::write(&create, &factory, now));
        let written = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(query::canceled()),
            written = work => {
                written.map_err(|e| Error::internal(format!("reading a sample ended: {e}")))??
            }
        };
        let create = self.parse(&written.statement)?.pop();
        let create = create.ok_or_else(|| Error::internal("INFER wrote no statement"))?;
        let outcome = self
            .ddl(&create)
            .await
            .map_err(|error| error.at(Some(parsed.location)))?;
        self.notices.extend(written.notices);
        Ok(outcome)
    }

    /// INSERT into a table or a source.
    pub(super) async fn insert(
        &mut self,
        insert: &Insert,
        params: &[ScalarValue],
        cancel: &Cancel,
    ) -> Result<Outcome> {
        let target = produce::target(&self.shared.catalog.read(), insert)?;
        if let Some(target) = target {
            let bounded = self.plan(&insert.query).await?;
            dml::check_width(insert, bounded.schema.fields().len(), target.width())?;
            let rows = bounded
                .run(params, cancel, self.shared.query_threads())
                .await?;
            let count = target.write(insert, rows).await?;
            return Ok(Outcome::Done(format!("INSERT 0 {count}")));
        }
        // The table and its columns are checked before the query runs.
        dml::rows_for(&self.shared, insert, &[])?;
        let bounded = self.plan(&insert.query).await?;
        let batches = query::collect(
            bounded
                .run(params, cancel, self.shared.query_threads())
                .await?,
        )
        .await?;
        let rows = dml::rows_for(&self.shared, insert, &batches)?;
        let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
        let changes = rows
            .into_iter()
            .map(|r| dml::insert_change(&insert.table, r))
            .collect();
        self.shared.apply(changes).await?;
        Ok(Outcome::Done(format!("INSERT 0 {count}")))
    }
}
