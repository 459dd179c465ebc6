//! A claim on an address of an object store: an object that only its owner renews.
//!
//! The object holds the owner's generation and a count that grows with each renewal, which is conditional on the object's
//! version. Who wants to claim looks for ten seconds whether the count grows, and then writes the next generation, on the same condition: of two,
//! one gets it. The owner before finds out with its next renewal; what it writes to the journal meanwhile is refused by the journal.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dataflow::{Error, Result};
use object_store::UpdateVersion;
use parking_lot::Mutex;

use super::process::Process;
use super::{STALE, in_use, lost};
use crate::damaged;
use crate::place::{Place, StorePlace};

/// Time between two renewals.
const EVERY: Duration = Duration::from_secs(3);
/// Who has renewed since so long ago need not look.
const FRESH: Duration = Duration::from_secs(5);
/// Time between two looks whether another owner lives.
const LOOK: Duration = Duration::from_millis(500);
/// How often to try to take over.
const TRIES: usize = 10;
/// The object, in the folder.
pub(super) const OWNER: &str = "owner";

/// What the object says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    generation: u64,
    /// Renewals.
    count: u64,
    /// It has ended as it should.
    is_free: bool,
    process: Option<Process>,
}

impl Owner {
    fn to_bytes(&self) -> Bytes {
        let process = self
            .process
            .as_ref()
            .map_or("-".to_owned(), Process::to_text);
        let state = if self.is_free { "free" } else { "owned" };
        let text = format!("{} {} {state} {process}\n", self.generation, self.count);
        Bytes::from(text)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut words = text.split_whitespace();
        Some(Self {
            generation: words.next()?.parse().ok()?,
            count: words.next()?.parse().ok()?,
            is_free: match words.next()? {
                "free" => true,
                "owned" => false,
                _ => return None,
            },
            process: Process::from_text(words.next()?),
        })
    }

    /// What follows it if nobody else comes.
    fn renewed(&self) -> Self {
        Self {
            count: self.count + 1,
            ..self.clone()
        }
    }
}

/// A claim that is renewed.
#[derive(Debug)]
pub(super) struct Lease {
    folder: StorePlace,
    state: Mutex<State>,
    /// Held while it is renewed.
    renewing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    owner: Owner,
    version: UpdateVersion,
    /// When it was known last that the folder is still owned.
    known: Instant,
    is_lost: bool,
}

impl Lease {
    /// Claims a folder, after a look at who owns it.
    pub(super) fn claim(folder: &StorePlace, take_over: bool) -> Result<Self> {
        // One that is taken over may renew just now, or end.
        for _ in 0..TRIES {
            let before = read(folder)?;
            if let Some((owner, _)) = &before
                && !take_over
            {
                wait_for_end(folder, owner)?;
            }
            let owner = Owner {
                generation: before.as_ref().map_or(1, |(owner, _)| owner.generation + 1),
                count: 0,
                is_free: false,
                process: Process::this(),
            };
            let known = Instant::now();
            let before = before.map(|(_, version)| version);
            let version = match write(folder, &owner, before)? {
                Some(version) => version,
                // An answer may have been lost.
                None => match read(folder)? {
                    Some((now, version)) if now == owner && now.process.is_some() => version,
                    _ => continue,
                },
            };
            let state = State {
                owner,
                version,
                known,
                is_lost: false,
            };
            return Ok(Self {
                folder: folder.clone(),
                state: Mutex::new(state),
                renewing: Mutex::new(()),
            });
        }
        Err(in_use(&Place::Store(folder.clone())))
    }

    pub(super) fn generation(&self) -> u64 {
        self.state.lock().owner.generation
    }

    /// Whether the folder is still owned; asks the store if that is not known of the last seconds.
    pub(super) fn check(&self) -> Result<()> {
        match self.known() {
            Some(known) if known.elapsed() < FRESH => Ok(()),
            Some(_) => self.ask(),
            None => Err(self.lost()),
        }
    }

    /// As [`Lease::check`], and asks in any case.
    pub(super) fn ask(&self) -> Result<()> {
        let asked = Instant::now();
        let found = read(&self.folder)?;
        match self.note(found, asked) {
            true => Ok(()),
            false => Err(self.lost()),
        }
    }

    /// Whether the store has answered lately.
    fn is_fresh(&self) -> bool {
        self.known().is_some_and(|known| known.elapsed() < FRESH)
    }

    /// When it was known last that the folder is owned; `None` when it is lost.
    fn known(&self) -> Option<Instant> {
        let state = self.state.lock();
        (!state.is_lost).then_some(state.known)
    }

    /// Notes who owns it by an answer; says whether it is this one.
    fn note(&self, found: Option<(Owner, UpdateVersion)>, asked: Instant) -> bool {
        let mut state = self.state.lock();
        match found {
            Some((owner, version)) if state.is_own(&owner) && !state.is_lost => {
                // Of two answers at a time the later one counts.
                if owner.count >= state.owner.count {
                    (state.owner, state.version) = (owner, version);
                }
                state.known = state.known.max(asked);
            }
            _ => state.is_lost = true,
        }
        !state.is_lost
    }

    fn lost(&self) -> Error {
        lost(&Place::Store(self.folder.clone()))
    }

    /// Says that it is still owned, or free; `false` when it is another's.
    fn renew(&self, is_free: bool) -> Result<bool> {
        // Nobody else waits for this one's answers.
        let _one = self.renewing.lock();
        self.say(is_free, TRIES)
    }

    fn say(&self, is_free: bool, tries: usize) -> Result<bool> {
        let (owner, version) = {
            let state = self.state.lock();
            if state.owner.is_free {
                // It has been said that this is the end.
                return Ok(true);
            }
            let owner = Owner {
                is_free,
                ..state.owner.renewed()
            };
            (owner, state.version.clone())
        };
        let asked = Instant::now();
        let found = match write(&self.folder, &owner, Some(version))? {
            Some(version) => Some((owner, version)),
            // An answer was lost, or it is another's.
            None => read(&self.folder)?,
        };
        let is_said = found
            .as_ref()
            .is_some_and(|(owner, _)| owner.is_free == is_free);
        match self.note(found, asked) {
            // It is its own of before: once more.
            true if !is_said && tries > 0 => self.say(is_free, tries - 1),
            owned => Ok(owned),
        }
    }
}

impl State {
    fn is_own(&self, owner: &Owner) -> bool {
        owner.generation == self.owner.generation && owner.process == self.owner.process
    }
}

/// Who owns a folder, and the version of the object that says so.
fn read(folder: &StorePlace) -> Result<Option<(Owner, UpdateVersion)>> {
    let object = folder.join(OWNER);
    let Some((bytes, version)) = object.bucket.get_soon(&object.key)? else {
        return Ok(None);
    };
    match Owner::from_bytes(&bytes) {
        Some(owner) => Ok(Some((owner, version))),
        None => Err(damaged(object.url(), "it names no owner")),
    }
}

/// Says who owns a folder; `None` when somebody else has changed that.
fn write(
    folder: &StorePlace,
    owner: &Owner,
    before: Option<UpdateVersion>,
) -> Result<Option<UpdateVersion>> {
    let StorePlace { bucket, key } = folder.join(OWNER);
    bucket.update(&key, owner.to_bytes(), before)
}

/// Waits until an owner is known to be gone.
fn wait_for_end(folder: &StorePlace, owner: &Owner) -> Result<()> {
    let begun = Instant::now();
    while !owner.is_free
        && !owner.process.as_ref().is_some_and(Process::has_ended)
        && begun.elapsed() < STALE
    {
        std::thread::sleep(LOOK);
        match read(folder)? {
            Some((now, _)) if now == *owner => {}
            Some((now, _)) if now.is_free => return Ok(()),
            _ => return Err(in_use(&Place::Store(folder.clone()))),
        }
    }
    Ok(())
}

/// Renews a claim until it is dropped.
#[derive(Debug)]
pub(super) struct Renewing {
    lease: Arc<Lease>,
    end: Option<Sender<()>>,
}

impl Renewing {
    /// `on_lost` is called once when another process has claimed the folder.
    pub(super) fn start(
        lease: Arc<Lease>,
        on_lost: impl FnOnce(Error) + Send + 'static,
    ) -> Result<Self> {
        let (end, ended) = channel();
        let renewed = Arc::clone(&lease);
        let renew = move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(EVERY) {
                // A store that does not answer shows elsewhere, too.
                if let Ok(false) = renewed.renew(false) {
                    on_lost(renewed.lost());
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("renewal".to_owned())
            .spawn(renew)
            .map_err(|e| Error::internal(format!("the renewal did not start: {e}")))?;
        Ok(Self {
            lease,
            end: Some(end),
        })
    }
}

impl Drop for Renewing {
    fn drop(&mut self) {
        drop(self.end.take());
        // Who comes next need not wait; if this cannot be said, they do. The thread ends by itself.
        if self.lease.is_fresh() {
            let _ = self.lease.renew(true);
        }
    }
}

#[cfg(test)]
mod tests;
