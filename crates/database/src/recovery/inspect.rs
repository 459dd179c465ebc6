//! Looks at a data folder without changing it: what is there, and whether it is sound.

use dataflow::{Error, Result, SqlState};
use durable::{Place, Reading};
use engine::Entry;
use engine::journal::Logged;

use super::checkpoints::{self, Checkpoint};
use super::savepoints::{self, SAVEPOINTS, SavepointStatus};
use super::{CHECKPOINTS, JOURNAL};

/// What was found.
#[derive(Debug, Default)]
pub struct Inspection {
    /// What is there, a line each.
    pub found: Vec<String>,
    /// The statements that made the catalog, oldest first.
    pub statements: Vec<String>,
    /// What the newest checkpoint holds, a line each.
    pub state: Vec<String>,
    /// What is not sound.
    pub faults: Vec<Error>,
}

/// Looks at everything in a folder; another process may own it.
///
/// # Errors
/// `58P01` when there is no state, `58030` when it cannot be read. Damage is no error but a fault.
pub fn inspect(folder: &Place) -> Result<Inspection> {
    let mut inspection = Inspection::default();
    match folder.join("format").read() {
        Ok(None) => {
            // A bucket that is not there has no list of objects.
            folder.list()?;
            let message = format!("{folder} holds no state of clickmill");
            return Err(Error::new(SqlState::UNDEFINED_FILE, message));
        }
        Ok(Some(format)) => {
            let format = String::from_utf8_lossy(&format).into_owned();
            inspection.found.push(format!("format {format}"));
        }
        Err(error) => inspection.faults.push(error),
    }
    let newest = inspection.checkpoints(&folder.join(CHECKPOINTS))?;
    inspection.savepoints(&folder.join(SAVEPOINTS))?;
    inspection.journal(&folder.join(JOURNAL), newest);
    Ok(inspection)
}

impl Inspection {
    /// Looks at the checkpoints; gives the newest that is sound.
    fn checkpoints(&mut self, folder: &Place) -> Result<Option<(u64, Checkpoint)>> {
        let mut newest = None;
        for (id, bytes) in checkpoints::list(folder, checkpoints::SUFFIX)? {
            let (file, number) = (checkpoints::path(folder, id), id.number);
            match checkpoints::read(folder, &file) {
                Ok(Some(checkpoint)) => {
                    self.found.push(format!(
                        "checkpoint {number}: version {}, {bytes} bytes",
                        checkpoint.state.version()
                    ));
                    newest = Some((number, checkpoint));
                }
                // Removed while we looked: a newer one is there.
                Ok(None) => {}
                Err(error) => self.faults.push(error),
            }
        }
        Ok(newest)
    }

    fn savepoints(&mut self, folder: &Place) -> Result<()> {
        for SavepointStatus {
            name, bytes, place, ..
        } in savepoints::list(folder)?
        {
            match checkpoints::read(folder, &place) {
                Ok(Some(checkpoint)) => self.found.push(format!(
                    "savepoint {name}: version {}, {bytes} bytes",
                    checkpoint.state.version()
                )),
                // Dropped while we looked.
                Ok(None) => {}
                Err(error) => self.faults.push(error),
            }
        }
        Ok(())
    }

    /// Looks at the journal, and whether a start can go on from the checkpoint.
    fn journal(&mut self, folder: &Place, newest: Option<(u64, Checkpoint)>) {
        let from = newest.as_ref().map_or(0, |(number, _)| *number);
        if let Some((_, checkpoint)) = newest {
            let texts = checkpoint.statements.into_iter().map(|(text, _)| text);
            self.statements.extend(texts);
            self.state = checkpoint.state.describe();
        }
        let (mut ticks, mut records) = (0_u64, 0);
        let mut first = 0;
        let mut read = || {
            let mut reading = Reading::open(folder)?;
            first = reading.number();
            loop {
                let number = reading.number();
                let Some(bytes) = reading.next()? else {
                    return Ok(());
                };
                let entry = Entry::from_bytes(bytes)?;
                ticks += 1;
                records += entry.records();
                if number < from {
                    continue;
                }
                for change in entry.changes {
                    if let Logged::Statement { text, .. } = change {
                        self.statements.push(text);
                    }
                }
            }
        };
        let read: Result<()> = read();
        self.found.push(format!(
            "journal: {ticks} ticks from {first} on, {records} records"
        ));
        self.faults.extend(read.err());
        if from < first || from > first + ticks {
            let message =
                format!("no sound checkpoint goes with the journal, which begins at {first}");
            self.faults
                .push(Error::new(SqlState::DATA_CORRUPTED, message));
        }
    }
}
