//! Names this process, so that another one on the same machine can tell whether it still lives.

use std::fs;

/// A process as other processes can find it: the boot of its machine, its namespace of numbers, its number, and when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    machine: String,
    number: u32,
    begun: String,
}

impl Process {
    /// This one; `None` where that cannot be told.
    pub(super) fn this() -> Option<Self> {
        let number = std::process::id();
        Some(Self {
            machine: machine()?,
            number,
            begun: begun(number)?,
        })
    }

    /// Whether it has ended for sure. One of another machine may live.
    pub(super) fn has_ended(&self) -> bool {
        let is_here = machine().is_some_and(|machine| machine == self.machine);
        // Where others' processes are hidden, none seems to be there.
        let sees_all = begun(1).is_some();
        is_here && sees_all && begun(self.number).is_none_or(|begun| begun != self.begun)
    }

    /// As text without spaces.
    pub(super) fn to_text(&self) -> String {
        format!("{},{},{}", self.machine, self.number, self.begun)
    }

    /// Out of the text of [`Process::to_text`].
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split(',');
        let process = Self {
            machine: words.next()?.to_owned(),
            number: words.next()?.parse().ok()?,
            begun: words.next()?.to_owned(),
        };
        words.next().is_none().then_some(process)
    }
}

/// This boot of this machine, as far as numbers of processes are the same in it.
fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), numbers.display()))
}

/// When a process began, in ticks since the boot; `None` when there is none.
fn begun(number: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name, in brackets, may have spaces in it.
    let (_, rest) = status.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    let state = words.next()?;
    // The 22nd word of all. A zombie does nothing any more.
    let begun = words.nth(18)?;
    (state != "Z").then(|| begun.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_process_is_known_until_it_ends() {
        let this = Process::this().unwrap();
        assert!(!this.has_ended());
        assert_eq!(Process::from_text(&this.to_text()).unwrap(), this);
        assert_eq!(Process::from_text("a,b,c"), None);
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let other = Process {
            number: child.id(),
            begun: begun(child.id()).unwrap(),
            ..this.clone()
        };
        assert!(!other.has_ended());
        let elsewhere = Process {
            machine: "another".to_owned(),
            ..other.clone()
        };
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(other.has_ended());
        assert!(!elsewhere.has_ended());
        let later = Process {
            begun: "1".to_owned(),
            ..this
        };
        assert!(later.has_ended(), "another process has got its number");
    }
}
