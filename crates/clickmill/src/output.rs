//! The only place that prints: data goes to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

use crate::report::Report;

/// Bars and spinners are redrawn this often.
const REDRAW: Duration = Duration::from_millis(200);

/// Where a command's words go. Cheap to clone; clones share one screen.
#[derive(Clone)]
pub(crate) struct Output {
    progress: MultiProgress,
    live: bool,
    colour: bool,
}

impl Output {
    /// The process's streams. Colour only on a terminal, and not when `NO_COLOR` is set.
    pub(crate) fn new() -> Self {
        let live = io::stderr().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            progress: MultiProgress::new(),
            live,
            colour: live && !plain,
        }
    }

    /// Whether standard error is a terminal, where lines can be redrawn.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Whether standard error takes colour.
    pub(crate) fn has_colour(&self) -> bool {
        self.colour
    }

    /// Writes data and hands it on at once.
    ///
    /// # Errors
    /// Those of standard output; a reader that went away is `BrokenPipe`.
    pub(crate) fn data(&self, bytes: &[u8]) -> io::Result<()> {
        self.progress.suspend(|| {
            let mut out = io::stdout().lock();
            out.write_all(bytes)?;
            out.flush()
        })
    }

    /// A line to standard error. That nobody reads it is no error.
    pub(crate) fn line(&self, text: impl Display) {
        self.progress.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }

    /// `warning: …`.
    pub(crate) fn warning(&self, text: impl Display) {
        self.labelled("33", "warning", text);
    }

    /// `note: …`.
    pub(crate) fn note(&self, text: impl Display) {
        self.labelled("36", "note", text);
    }

    /// `hint: …`.
    pub(crate) fn hint(&self, text: impl Display) {
        self.labelled("36", "hint", text);
    }

    /// An error with its place.
    pub(crate) fn report(&self, report: &Report) {
        self.line(report.render(self.colour).trim_end());
    }

    fn labelled(&self, colour: &str, label: &str, text: impl Display) {
        if self.colour {
            self.line(format_args!("\x1b[1;{colour}m{label}\x1b[0m: {text}"));
        } else {
            self.line(format_args!("{label}: {text}"));
        }
    }

    /// A bar of `length` steps, drawn on a terminal only. Its message stands behind the bar.
    pub(crate) fn bar(&self, length: u64) -> ProgressBar {
        let bar = self.progress.add(ProgressBar::new(length));
        bar.set_style(style(
            "{bar:30.cyan} {percent:>3}%  {msg}  {eta_precise} left",
        ));
        bar.enable_steady_tick(REDRAW);
        bar
    }

    /// A line that changes, drawn on a terminal only.
    pub(crate) fn spinner(&self) -> ProgressBar {
        let spinner = self.progress.add(ProgressBar::new_spinner());
        spinner.set_style(style("{spinner:.cyan} {wide_msg}"));
        spinner.enable_steady_tick(REDRAW);
        spinner
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates here are valid")
}

/// Log lines step aside for what is drawn, as all others do.
impl<'a> MakeWriter<'a> for Output {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> LogLine<'a> {
        LogLine(self)
    }
}

/// One event of the log on its way to standard error.
pub(crate) struct LogLine<'a>(&'a Output);

impl Write for LogLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .progress
            .suspend(|| io::stderr().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
