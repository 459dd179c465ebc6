//! Errors as the command line shows them: message, place in the file with a caret, detail, hint; and the exit code.

use std::fmt::Write;
use std::io;

use dataflow::Error;

/// What went wrong, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// SQLSTATE, for errors of statements.
    pub(crate) code: Option<String>,
    /// Lower-case and factual.
    pub(crate) message: String,
    /// More facts.
    pub(crate) detail: Option<String>,
    /// What to do next.
    pub(crate) hint: Option<String>,
    /// Where in a file.
    pub(crate) place: Option<Place>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file as the user named it.
    pub(crate) file: String,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// The whole line.
    pub(crate) text: String,
}

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something failed: exit code 1.
    Failed(Box<Report>),
    /// The command line makes no sense: exit code 2.
    Usage(Box<Report>),
    /// Stopped by the user before the work was done: exit code 130.
    Interrupted,
    /// Whoever read standard output has gone: the end, quietly.
    OutputClosed,
}

/// Result of a command, or of a part of one.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Report {
    /// A message alone.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// Adds a hint.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a place.
    #[must_use]
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The text, several lines; with `colour` in the colours of a terminal.
    pub(crate) fn render(&self, colour: bool) -> String {
        let paint = |code: &str, text: &str| match colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        };
        let label = match &self.code {
            Some(code) => format!("error[{code}]"),
            None => "error".to_owned(),
        };
        let mut out = format!("{}: {}\n", paint("1;31", &label), paint("1", &self.message));
        let mut margin = String::new();
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            margin = " ".repeat(number.len());
            let (arrow, bar) = (paint("34", "-->"), paint("34", "|"));
            let (shown, caret) = place.excerpt();
            let lines = format!(
                "{margin}{arrow} {}:{}:{}\n{margin} {bar}\n{} {bar} {shown}\n{margin} {bar} {}\n",
                place.file,
                place.line,
                place.column,
                paint("34", &number),
                paint("1;31", &caret),
            );
            out.push_str(&lines);
        }
        for (label, text) in [("detail", &self.detail), ("hint", &self.hint)] {
            let Some(text) = text else { continue };
            let indented = text.replace('\n', &format!("\n{margin}   "));
            let lead = if margin.is_empty() {
                String::new()
            } else {
                format!("{margin} {} ", paint("34", "="))
            };
            let _ = writeln!(out, "{lead}{}: {indented}", paint("1;36", label));
        }
        out
    }
}

impl From<Error> for Report {
    /// The error without its place, which means nothing without the file.
    fn from(error: Error) -> Self {
        Self {
            code: Some(error.state().0.to_owned()),
            message: error.message().to_owned(),
            detail: error.detail_text().map(str::to_owned),
            hint: error.hint_text().map(str::to_owned),
            place: None,
        }
    }
}

/// Characters of a long line that are shown around the caret.
const EXCERPT: usize = 120;

impl Place {
    /// The line, or the part of it around the place, and the caret under it. Tabs and other control characters become
    /// spaces, so that the caret stands where it should.
    fn excerpt(&self) -> (String, String) {
        let column = self.column.saturating_sub(1);
        let length = self.text.chars().count();
        let start = match length > EXCERPT {
            true => column.saturating_sub(EXCERPT / 2),
            false => 0,
        };
        let part = self.text.chars().skip(start).take(EXCERPT);
        let mut shown: String = part.map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut before = column.min(length) - start;
        if start > 0 {
            shown.insert_str(0, "… ");
            before += 2;
        }
        if length > start + EXCERPT {
            shown.push_str(" …");
        }
        (shown, format!("{}^", " ".repeat(before)))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Report::from(error).into()
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self::Failed(Box::new(report))
    }
}

impl Failure {
    /// A failure with a message alone.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Report::new(message).into()
    }

    /// A command line that makes no sense.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage(Box::new(Report::new(message).hint(hint)))
    }

    /// What failing to write data means.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::new(format!("cannot write to standard output: {error}")),
        }
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
            Self::OutputClosed => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use dataflow::SqlState;

    use super::*;

    fn place(line: usize, column: usize, text: &str) -> Place {
        Place {
            file: "q.sql".to_owned(),
            line,
            column,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_report_shows_the_line_with_a_caret() {
        let error = Error::new(SqlState::UNDEFINED_COLUMN, "column \"pag\" does not exist")
            .detail("one\ntwo")
            .hint("did you mean \"page\"?");
        let report = Report::from(error).at(place(12, 8, "SELECT pag FROM clicks"));
        let expected = "\
error[42703]: column \"pag\" does not exist
  --> q.sql:12:8
   |
12 | SELECT pag FROM clicks
   |        ^
   = detail: one
     two
   = hint: did you mean \"page\"?
";
        assert_eq!(report.render(false), expected);
    }

    #[test]
    fn without_a_place_detail_and_hint_have_lines_of_their_own() {
        let report = Report::new("cannot connect").hint("is it running?");
        assert_eq!(
            report.render(false),
            "error: cannot connect\nhint: is it running?\n"
        );
        assert!(report.render(true).starts_with("\x1b[1;31merror\x1b[0m"));
    }

    #[test]
    fn the_caret_counts_characters_and_stays_under_tabs() {
        let shown = Report::new("x").at(place(1, 4, "é\tü!")).render(false);
        assert!(shown.ends_with("1 | é ü!\n  |    ^\n"), "{shown}");
        let behind_the_end = Report::new("x").at(place(1, 9, "ab")).render(false);
        assert!(
            behind_the_end.ends_with("1 | ab\n  |   ^\n"),
            "{behind_the_end}"
        );
    }

    #[test]
    fn of_a_long_line_the_part_around_the_caret_is_shown() {
        let text = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let shown = Report::new("x").at(place(1, 501, &text)).render(false);
        let mut lines = shown.lines().skip(3);
        let (line, caret) = (lines.next().unwrap(), lines.next().unwrap());
        let at = caret.chars().position(|c| c == '^').unwrap();
        assert_eq!(line.chars().nth(at), Some('X'), "{shown}");
        assert!(line.chars().count() < 140, "{shown}");
    }
}
