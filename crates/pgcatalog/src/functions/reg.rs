//! The aliases of `oid` that read and print names (`regclass`, `regtype`, …). The rewriter turns a cast to one of them into
//! [`RegKind::oid_function`] where a number is compared, and into [`RegKind::text_function`] where it is shown.

use datafusion::error::{DataFusionError, Result};

use super::names::{quote_ident, user_name};
use super::{Function, called_on_null, function};
use crate::error::error;
use crate::relations::{self, INFORMATION_SCHEMA, PG_CATALOG, oid};
use crate::snapshot::{CatalogSnapshot, UserSchema};
use crate::tables;
use crate::types::{self, OID, TEXT};
use crate::value::Value;

/// One alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegKind {
    Class,
    Type,
    Proc,
    Namespace,
    Role,
}

impl RegKind {
    pub(crate) fn named(name: &str) -> Option<RegKind> {
        Some(match name {
            "regclass" => RegKind::Class,
            "regtype" => RegKind::Type,
            "regproc" | "regprocedure" => RegKind::Proc,
            "regnamespace" => RegKind::Namespace,
            "regrole" => RegKind::Role,
            _ => return None,
        })
    }

    pub(crate) fn oid_function(self) -> &'static str {
        match self {
            RegKind::Class => "__regclass_oid",
            RegKind::Type => "__regtype_oid",
            RegKind::Proc => "__regproc_oid",
            RegKind::Namespace => "__regnamespace_oid",
            RegKind::Role => "__regrole_oid",
        }
    }

    pub(crate) fn text_function(self) -> &'static str {
        match self {
            RegKind::Class => "__regclass_text",
            RegKind::Type => "__regtype_text",
            RegKind::Proc => "__regproc_text",
            RegKind::Namespace => "__regnamespace_text",
            RegKind::Role => "__regrole_text",
        }
    }

    fn find(self, snapshot: &CatalogSnapshot, text: &str) -> Option<u32> {
        match self {
            RegKind::Class => class_named(snapshot, text),
            RegKind::Type => types::named(text),
            RegKind::Proc => {
                procs(|_, name| name == text.strip_prefix("pg_catalog.").unwrap_or(text))
                    .map(|found| found.0)
            }
            RegKind::Namespace => {
                let name = unquoted(text);
                namespaces()
                    .iter()
                    .find(|(_, known)| *known == name)
                    .map(|(oid, _)| *oid)
            }
            RegKind::Role => (unquoted(text) == snapshot.user).then_some(oid::OWNER),
        }
    }

    fn show(self, snapshot: &CatalogSnapshot, oid: u32) -> String {
        let name = match self {
            _ if oid == 0 => return "-".to_owned(),
            RegKind::Class => class_name(snapshot, oid),
            RegKind::Type => types::built_in(oid).map(|_| types::format_type(oid, None)),
            RegKind::Proc => procs(|known, _| known == oid).map(|found| found.1.to_owned()),
            RegKind::Namespace => namespaces()
                .iter()
                .find(|(known, _)| *known == oid)
                .map(|(_, name)| quote_ident(name)),
            RegKind::Role => {
                (oid == oid::OWNER).then(|| quote_ident(&user_name(snapshot, Some(oid))))
            }
        };
        name.unwrap_or_else(|| oid.to_string())
    }

    fn missing(self, text: &str) -> DataFusionError {
        let (sqlstate, what) = match self {
            RegKind::Class => ("42P01", "relation"),
            RegKind::Type => ("42704", "type"),
            RegKind::Proc => ("42883", "function"),
            RegKind::Namespace => ("3F000", "schema"),
            RegKind::Role => ("42704", "role"),
        };
        error(
            sqlstate,
            format!("{what} \"{}\" does not exist", unquoted(text)),
        )
    }

    /// Oid of a value that is a number, digits, `-` or a name.
    fn read(self, snapshot: &CatalogSnapshot, value: &Value) -> Result<u32> {
        if let Some(oid) = value.oid() {
            return Ok(oid);
        }
        let text = value.print();
        if text == "-" {
            return Ok(0);
        }
        self.find(snapshot, &text)
            .ok_or_else(|| self.missing(&text))
    }

    fn print(self, snapshot: &CatalogSnapshot, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::Null => Value::Null,
            Value::List(values) => {
                let printed = values
                    .iter()
                    .map(|value| self.print(snapshot, value))
                    .collect::<Result<Vec<_>>>()?;
                Value::List(printed)
            }
            value => self.show(snapshot, self.read(snapshot, value)?).into(),
        })
    }

    fn look_up(self, snapshot: &CatalogSnapshot, args: &[Value]) -> Value {
        self.find(snapshot, &args[0].print())
            .map(|oid| self.show(snapshot, oid))
            .into()
    }
}

pub(super) const FUNCTIONS: &[Function] = &[
    function("__regclass_oid", 1..=1, OID, |s, args| {
        Ok(RegKind::Class.read(s, &args[0])?.into())
    }),
    function("__regtype_oid", 1..=1, OID, |s, args| {
        Ok(RegKind::Type.read(s, &args[0])?.into())
    }),
    function("__regproc_oid", 1..=1, OID, |s, args| {
        Ok(RegKind::Proc.read(s, &args[0])?.into())
    }),
    function("__regnamespace_oid", 1..=1, OID, |s, args| {
        Ok(RegKind::Namespace.read(s, &args[0])?.into())
    }),
    function("__regrole_oid", 1..=1, OID, |s, args| {
        Ok(RegKind::Role.read(s, &args[0])?.into())
    }),
    function("__regclass_text", 1..=1, TEXT, |s, args| {
        RegKind::Class.print(s, &args[0])
    }),
    function("__regtype_text", 1..=1, TEXT, |s, args| {
        RegKind::Type.print(s, &args[0])
    }),
    called_on_null("__regtype_array", 1..=1, types::TEXT_ARRAY, |s, args| {
        RegKind::Type.print(s, &args[0])
    }),
    function("__regproc_text", 1..=1, TEXT, |s, args| {
        RegKind::Proc.print(s, &args[0])
    }),
    function("__regnamespace_text", 1..=1, TEXT, |s, args| {
        RegKind::Namespace.print(s, &args[0])
    }),
    function("__regrole_text", 1..=1, TEXT, |s, args| {
        RegKind::Role.print(s, &args[0])
    }),
    function("to_regclass", 1..=1, TEXT, |s, args| {
        Ok(RegKind::Class.look_up(s, args))
    }),
    function("to_regtype", 1..=1, TEXT, |s, args| {
        Ok(RegKind::Type.look_up(s, args))
    }),
    function("to_regproc", 1..=1, TEXT, |s, args| {
        Ok(RegKind::Proc.look_up(s, args))
    }),
    function("to_regnamespace", 1..=1, TEXT, |s, args| {
        Ok(RegKind::Namespace.look_up(s, args))
    }),
    function("to_regrole", 1..=1, TEXT, |s, args| {
        Ok(RegKind::Role.look_up(s, args))
    }),
];

fn namespaces() -> [(u32, &'static str); 5] {
    tables::NAMESPACES
}

/// The parts of a name as SQL reads it: folded, or without their quotes.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut inside = false;
    let mut chars = text.trim().chars().peekable();
    while let Some(c) = chars.next() {
        let last = parts
            .last_mut()
            .expect("parts begins with one part and only grows");
        match c {
            '"' if inside && chars.peek() == Some(&'"') => {
                chars.next();
                last.push('"');
            }
            '"' => inside = !inside,
            '.' if !inside => parts.push(String::new()),
            c if inside => last.push(c),
            c => last.extend(c.to_lowercase()),
        }
    }
    parts
}

fn unquoted(text: &str) -> String {
    parts(text).join(".")
}

pub(super) fn class_named(snapshot: &CatalogSnapshot, text: &str) -> Option<u32> {
    let parts = parts(text);
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name.as_str()),
        [schema, name] => (Some(schema.as_str()), name.as_str()),
        [database, schema, name] if *database == snapshot.database => {
            (Some(schema.as_str()), name.as_str())
        }
        _ => return None,
    };
    let system = |schema| relations::find(schema, name).map(|relation| relation.oid);
    let own = |schema| {
        snapshot
            .relation_named(schema, name)
            .map(|relation| relation.oid)
    };
    let public = || own(UserSchema::Public);
    match schema {
        None => system(PG_CATALOG).or_else(public),
        Some("public") => public(),
        Some("clickmill") => own(UserSchema::Clickmill),
        Some(PG_CATALOG) => system(PG_CATALOG),
        Some(INFORMATION_SCHEMA) => system(INFORMATION_SCHEMA),
        Some(_) => None,
    }
}

fn class_name(snapshot: &CatalogSnapshot, oid: u32) -> Option<String> {
    if let Some(relation) = snapshot.relation(oid) {
        let name = quote_ident(&relation.name);
        return Some(match relation.schema {
            UserSchema::Public => name,
            UserSchema::Clickmill => format!("{}.{name}", relation.schema.name()),
        });
    }
    let relation = relations::all()
        .iter()
        .find(|relation| relation.oid == oid)?;
    Some(if relation.schema == PG_CATALOG {
        relation.name.to_owned()
    } else {
        format!("{}.{}", relation.schema, relation.name)
    })
}

/// The first function of `pg_proc` whose oid and name please.
fn procs(pleases: impl Fn(u32, &str) -> bool) -> Option<(u32, &'static str)> {
    let lines = include_str!("../data/pg_proc.tsv").lines().skip(1);
    let procs = lines.filter_map(|line| {
        let mut cells = line.split('\t');
        Some((cells.next()?.parse().ok()?, cells.next()?))
    });
    procs.into_iter().find(|(oid, name)| pleases(*oid, name))
}
