//! A disk of a few megabytes for one test: memory that is mounted for the programs of the test alone.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::serve::{StateAt, program};

/// A disk that can be filled.
pub struct SmallDisk {
    folder: TempDir,
    /// Has the disk mounted as long as it runs.
    holder: Child,
}

impl SmallDisk {
    /// Mounts one of so many MiB.
    pub fn mount(mib: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().display();
        let mount = format!(
            "mount -t tmpfs -o size={mib}m tmpfs '{path}' && echo mounted && exec sleep 3600"
        );
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &mount])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut out = BufReader::new(holder.stdout.take().unwrap());
        out.read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n", "a namespace of its own cannot be had");
        Self { folder, holder }
    }

    /// What is on it, as it is seen from here.
    fn here(&self) -> PathBuf {
        let seen = format!(
            "/proc/{}/root{}",
            self.holder.id(),
            self.folder.path().display()
        );
        PathBuf::from(seen)
    }

    /// Leaves no room, also of what has become free since.
    pub fn fill(&self) {
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).append(true);
        let mut file = file.open(self.here().join("filler")).unwrap();
        for bytes in [1 << 16, 1 << 10, 1] {
            while file.write_all(&vec![0; bytes]).is_ok() {}
        }
    }

    /// Leaves room again.
    pub fn empty(&self) {
        fs::remove_file(self.here().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl StateAt for SmallDisk {
    fn argument(&self) -> OsString {
        self.folder.path().join("state").into()
    }

    fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        let holder = self.holder.id().to_string();
        command.args(["--preserve-credentials", "--user", "--mount", "--target"]);
        command.arg(holder).arg(program());
        command
    }
}
