//! `EMIT …`: when the results of windows come out.

use dataflow::time::SECOND;
use dataflow::{Location, Result};

use super::cursor::Cursor;
use crate::ast::Emit;
use crate::interval::positive_interval_micros;

/// Changes are gathered this long unless `EVERY` says otherwise.
const DEFAULT_EVERY: dataflow::Micros = SECOND;

/// An EMIT clause and where it stands.
pub(super) type EmitClause = Option<(Emit, Option<Location>)>;

/// Reads `EMIT …` if it is next.
pub(super) fn emit(cursor: &mut Cursor<'_>) -> Result<EmitClause> {
    refuse_lateness(cursor)?;
    let location = cursor.location();
    if !cursor.accept(&["EMIT"]) {
        return Ok(None);
    }
    let closed = cursor.accept(&["ON", "WINDOW", "CLOSE"])
        || cursor.accept(&["AFTER", "WINDOW", "CLOSE"])
        || cursor.accept(&["FINAL"]);
    let emit = if closed {
        if cursor.sees(&["EVERY"]) {
            return Err(cursor
                .unsupported("EVERY with final results")
                .hint("EMIT ON UPDATE EVERY INTERVAL '…'"));
        }
        Emit::OnWindowClose
    } else if cursor.accept(&["ON", "UPDATE"]) || cursor.accept(&["CHANGES"]) {
        Emit::OnUpdate {
            every: every(cursor)?.unwrap_or(DEFAULT_EVERY),
        }
    } else {
        let every = every(cursor)?.ok_or_else(|| {
            let forms = "ON WINDOW CLOSE, ON UPDATE or EVERY INTERVAL '…'";
            cursor.unexpected().detail(format!("expected {forms}"))
        })?;
        Emit::OnUpdate { every }
    };
    refuse_lateness(cursor)?;
    Ok(Some((emit, location)))
}

/// Refuses `ALLOW LATENESS` here.
pub(super) fn refuse_lateness(cursor: &Cursor<'_>) -> Result<()> {
    cursor.refuse(&["ALLOW", "LATENESS"])
}

fn every(cursor: &mut Cursor<'_>) -> Result<Option<dataflow::Micros>> {
    if !cursor.accept(&["EVERY"]) {
        return Ok(None);
    }
    positive_interval_micros(&cursor.expr()?, "the interval of EMIT EVERY").map(Some)
}
