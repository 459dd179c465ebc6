//! A `.sql` file: variables are put in, places in the resulting text are found again in the file.
//!
//! `${NAME}` and `${NAME:default}` are replaced everywhere, also in strings and comments. A default ends at the first
//! `}` and is taken as it is. `\${` stands for `${`. A variable without a value and without a default is an error.

mod split;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use dataflow::Location;

use crate::report::{Place, Report};

/// Largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Values for `${NAME}`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    set: BTreeMap<String, String>,
    environment: bool,
}

impl Variables {
    /// The process's environment.
    pub(crate) fn environment() -> Self {
        Self {
            set: BTreeMap::new(),
            environment: true,
        }
    }

    /// Gives `name` a value that goes before the environment's.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.set.insert(name.to_owned(), value.into());
    }

    /// The value of `name`; `Err` when it is not text.
    fn get(&self, name: &str) -> Result<Option<String>, String> {
        if let Some(value) = self.set.get(name) {
            return Ok(Some(value.clone()));
        }
        if !self.environment {
            return Ok(None);
        }
        match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(format!("the value of variable {name} is not UTF-8"))
            }
        }
    }
}

/// A file with its variables put in.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The file as the user named it.
    name: String,
    original: String,
    text: String,
    pieces: Vec<Piece>,
}

/// Where a part of the text comes from.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// First byte in the text.
    at: usize,
    /// First byte in the file.
    from: usize,
    /// Copied byte by byte; otherwise the value of the variable that is named at `from`.
    copied: bool,
}

/// One statement of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Its bytes in the text, without comments before it and without the semicolon.
    pub(crate) range: Range<usize>,
    /// Its first word in capitals, empty when it begins with something else.
    pub(crate) verb: String,
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, is too large or no text; those of [`Script::new`].
    pub(crate) fn load(path: &Path, variables: &Variables) -> Result<Self, Report> {
        let name = path.display().to_string();
        let failed = |reason: String| Report::new(format!("cannot read {name}: {reason}"));
        let size = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?;
        if size.len() > MAX_FILE_BYTES {
            let limit = MAX_FILE_BYTES >> 20;
            return Err(failed(format!("it is larger than {limit} MiB")));
        }
        let bytes = std::fs::read(path).map_err(|e| failed(e.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".into()))?;
        Self::new(name, text, variables)
    }

    /// Puts the variables in.
    ///
    /// # Errors
    /// A variable has no value, or `${` is not followed by a name and `}`; with the place.
    pub(crate) fn new(
        name: impl Into<String>,
        original: impl Into<String>,
        variables: &Variables,
    ) -> Result<Self, Report> {
        let mut script = Self {
            name: name.into(),
            original: original.into(),
            text: String::new(),
            pieces: Vec::new(),
        };
        let mut at = 0;
        while let Some(found) = script.original[at..].find("${") {
            let dollar = at + found;
            if script.original[at..dollar].ends_with('\\') {
                script.copy(at..dollar - 1);
                script.copy(dollar..dollar + 2);
                at = dollar + 2;
                continue;
            }
            script.copy(at..dollar);
            at = script.put_in(dollar, variables)?;
        }
        script.copy(at..script.original.len());
        Ok(script)
    }

    fn copy(&mut self, range: Range<usize>) {
        self.pieces.push(Piece {
            at: self.text.len(),
            from: range.start,
            copied: true,
        });
        self.text.push_str(&self.original[range]);
    }

    /// Replaces the variable whose `$` is at `dollar`; gives the place behind its `}`.
    fn put_in(&mut self, dollar: usize, variables: &Variables) -> Result<usize, Report> {
        let inside = &self.original[dollar + 2..];
        let length = name_length(inside);
        let name = &inside[..length];
        let (default, end) = match inside[length..].chars().next() {
            Some('}') if length > 0 => (None, length),
            Some(':') if length > 0 => {
                let Some(close) = inside[length..].find('}') else {
                    return Err(self.bad_variable(dollar, "${ has no closing }"));
                };
                (Some(&inside[length + 1..length + close]), length + close)
            }
            None if length > 0 => return Err(self.bad_variable(dollar, "${ has no closing }")),
            _ => return Err(self.bad_variable(dollar, "${ is not followed by a name and }")),
        };
        let given = variables.get(name).map_err(|e| self.report_at(dollar, e))?;
        let Some(value) = given.or(default.map(str::to_owned)) else {
            let message = format!("variable {name} has no value and no default");
            let hint = format!("set it in the environment, or write ${{{name}:default}}");
            return Err(self.report_at(dollar, message).hint(hint));
        };
        self.pieces.push(Piece {
            at: self.text.len(),
            from: dollar,
            copied: false,
        });
        self.text.push_str(&value);
        Ok(dollar + 2 + end + 1)
    }

    fn bad_variable(&self, at: usize, message: &str) -> Report {
        self.report_at(at, message).hint(
            "write ${NAME} or ${NAME:default} for a variable, \\${ for the characters themselves",
        )
    }

    fn report_at(&self, at: usize, message: impl Into<String>) -> Report {
        Report::new(message).at(self.place_in_file(at))
    }

    /// The file as the user named it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The text to run.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The statements in their order, empty ones left out.
    pub(crate) fn statements(&self) -> Vec<Statement> {
        split::split(&self.text)
    }

    /// Where a place in the text is in the file; inside a variable's value it is where the variable is named.
    pub(crate) fn place(&self, location: Location) -> Place {
        let line = usize::try_from(location.line.max(1) - 1).unwrap_or(usize::MAX);
        let column = usize::try_from(location.column.max(1) - 1).unwrap_or(usize::MAX);
        let start: usize = self
            .text
            .split_inclusive('\n')
            .take(line)
            .map(str::len)
            .sum();
        let rest = self.text[start..].split('\n').next().unwrap_or_default();
        let within = rest
            .char_indices()
            .nth(column)
            .map_or(rest.len(), |(at, _)| at);
        self.place_of_byte(start + within)
    }

    /// Like [`Script::place`], for a number of characters (from 1) behind byte `start` of the text.
    pub(crate) fn place_behind(&self, start: usize, characters: usize) -> Place {
        let rest = &self.text[start..];
        let within = rest.char_indices().nth(characters.max(1) - 1);
        self.place_of_byte(start + within.map_or(rest.len(), |(at, _)| at))
    }

    fn place_of_byte(&self, at: usize) -> Place {
        let known = self.pieces.partition_point(|piece| piece.at <= at);
        // Of pieces without bytes, the last one that begins here is the one that holds the place.
        let Some(piece) = known.checked_sub(1).map(|last| self.pieces[last]) else {
            return self.place_in_file(0);
        };
        let beyond = if piece.copied { at - piece.at } else { 0 };
        self.place_in_file(piece.from + beyond)
    }

    /// The place of a byte of the file.
    fn place_in_file(&self, at: usize) -> Place {
        let before = &self.original[..at.min(self.original.len())];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let text = self.original[start..].lines().next().unwrap_or_default();
        Place {
            file: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            text: text.to_owned(),
        }
    }
}

/// Bytes of the name at the beginning of `text`: letters, digits and `_`, no digit first.
fn name_length(text: &str) -> usize {
    let other = |(at, c): (usize, char)| {
        !(c == '_' || c.is_ascii_alphabetic() || at > 0 && c.is_ascii_digit())
    };
    let end = text.char_indices().find(|&found| other(found));
    end.map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests;
