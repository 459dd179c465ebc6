//! `EMIT …` and `ALLOW LATENESS …`: when the results of windows come out, and until when they are corrected.

use dataflow::time::SECOND;
use dataflow::{Micros, Result};

use super::cursor::Cursor;
use crate::ast::{Emission, Emit};
use crate::interval::positive_interval_micros;

/// Changes are gathered this long unless `EVERY` says otherwise.
const DEFAULT_EVERY: Micros = SECOND;

const LATENESS: [&str; 2] = ["ALLOW", "LATENESS"];

/// Whether one of the clauses is next.
pub(super) fn begins_emission(cursor: &Cursor<'_>) -> bool {
    cursor.sees(&["EMIT"]) || cursor.sees(&LATENESS)
}

/// Reads the clauses that are there, in either order.
pub(super) fn emission(cursor: &mut Cursor<'_>) -> Result<Emission> {
    let mut found = Emission::default();
    if begins_emission(cursor) {
        found.location = cursor.location();
    }
    loop {
        if found.emit.is_none() && cursor.accept(&["EMIT"]) {
            found.emit = Some(emit(cursor)?);
        } else if found.lateness.is_none() && cursor.accept(&LATENESS) {
            let interval = cursor.expr()?;
            let what = "the interval of ALLOW LATENESS";
            found.lateness = Some(positive_interval_micros(&interval, what)?);
        } else {
            return Ok(found);
        }
    }
}

/// Reads what follows EMIT.
fn emit(cursor: &mut Cursor<'_>) -> Result<Emit> {
    let closed = cursor.accept(&["ON", "WINDOW", "CLOSE"])
        || cursor.accept(&["AFTER", "WINDOW", "CLOSE"])
        || cursor.accept(&["FINAL"]);
    if closed {
        if cursor.sees(&["EVERY"]) {
            return Err(cursor
                .unsupported("EVERY with final results")
                .hint("EMIT ON UPDATE EVERY INTERVAL '…'"));
        }
        return Ok(Emit::OnWindowClose);
    }
    if cursor.accept(&["ON", "UPDATE"]) || cursor.accept(&["CHANGES"]) {
        let every = every(cursor)?.unwrap_or(DEFAULT_EVERY);
        return Ok(Emit::OnUpdate { every });
    }
    let every = every(cursor)?.ok_or_else(|| {
        let forms = "ON WINDOW CLOSE, ON UPDATE or EVERY INTERVAL '…'";
        cursor.unexpected().detail(format!("expected {forms}"))
    })?;
    Ok(Emit::OnUpdate { every })
}

fn every(cursor: &mut Cursor<'_>) -> Result<Option<Micros>> {
    if !cursor.accept(&["EVERY"]) {
        return Ok(None);
    }
    positive_interval_micros(&cursor.expr()?, "the interval of EMIT EVERY").map(Some)
}
