//! `clickmill state`: looks at a folder of state.

use database::Place;

use crate::args::{StateArgs, StateWhat};
use crate::output::Output;
use crate::report::{Failure, Outcome, Report};

/// Tells what is there.
pub(crate) fn state(args: &StateArgs, output: &Output) -> Outcome {
    let inspection = database::inspect(&Place::parse(&args.folder)?)?;
    let mut lines = Vec::new();
    if args.what != StateWhat::Verify || inspection.faults.is_empty() {
        lines.extend(inspection.found);
    }
    if args.what == StateWhat::Inspect {
        lines.extend(inspection.state);
        lines.extend(inspection.statements.iter().map(|text| format!("{text};")));
    }
    if args.what == StateWhat::Verify && inspection.faults.is_empty() {
        lines.push("sound".to_owned());
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let written = output.data(text.as_bytes());
    written.map_err(|error| Failure::output(&error))?;
    let mut faults = inspection.faults.into_iter().map(Report::from);
    let last = faults.next_back();
    faults.for_each(|fault| output.report(&fault));
    match last {
        Some(fault) => Err(fault.into()),
        None => Ok(()),
    }
}
