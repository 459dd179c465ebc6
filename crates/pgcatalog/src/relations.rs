//! The system relations that are served: names, oids and columns as in PostgreSQL 15.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};

use crate::types::{self, PG_TYPE_KEY};

pub(crate) const PG_CATALOG: &str = "pg_catalog";
pub(crate) const INFORMATION_SCHEMA: &str = "information_schema";

/// Oids of what every database has.
pub(crate) mod oid {
    pub(crate) const PG_CATALOG: u32 = 11;
    pub(crate) const PG_TOAST: u32 = 99;
    pub(crate) const PUBLIC: u32 = 2200;
    pub(crate) const INFORMATION_SCHEMA: u32 = 13207;
    pub(crate) const CLICKMILL: u32 = 13999;
    pub(crate) const OWNER: u32 = 10;
    pub(crate) const DATABASE: u32 = 5;
    pub(crate) const HEAP: u32 = 2;
    pub(crate) const PG_CLASS: u32 = 1259;
    /// The first of the foreign data wrappers and servers of sources, one pair for each.
    pub(crate) const SERVERS: u32 = 14000;
}

/// A relation of `pg_catalog` or `information_schema`.
#[derive(Debug)]
pub(crate) struct SystemRelation {
    pub(crate) schema: &'static str,
    pub(crate) name: &'static str,
    pub(crate) oid: u32,
    pub(crate) kind: char,
    pub(crate) columns: Vec<SystemColumn>,
    pub(crate) arrow: SchemaRef,
}

#[derive(Debug)]
pub(crate) struct SystemColumn {
    pub(crate) name: &'static str,
    pub(crate) type_oid: u32,
    pub(crate) not_null: bool,
}

impl SystemRelation {
    pub(crate) fn namespace(&self) -> u32 {
        if self.schema == PG_CATALOG {
            oid::PG_CATALOG
        } else {
            oid::INFORMATION_SCHEMA
        }
    }
}

/// All of them, `pg_catalog` first, by name.
pub(crate) fn all() -> &'static [SystemRelation] {
    &RELATIONS.0
}

pub(crate) fn find(schema: &str, name: &str) -> Option<&'static SystemRelation> {
    let index = *RELATIONS.1.get(&(schema, name))?;
    Some(&RELATIONS.0[index])
}

type Index = HashMap<(&'static str, &'static str), usize>;

static RELATIONS: LazyLock<(Vec<SystemRelation>, Index)> = LazyLock::new(|| {
    let relations = parse(include_str!("data/relations.txt"));
    let index = relations
        .iter()
        .enumerate()
        .map(|(i, relation)| ((relation.schema, relation.name), i))
        .collect();
    (relations, index)
});

fn parse(text: &'static str) -> Vec<SystemRelation> {
    let mut relations: Vec<SystemRelation> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        match (words.as_slice(), relations.last_mut()) {
            ([schema, name, oid, kind], _) => relations.push(SystemRelation {
                schema,
                name,
                oid: number(oid),
                kind: kind.chars().next().expect("a word is not empty"),
                columns: Vec::new(),
                arrow: Arc::new(Schema::empty()),
            }),
            ([name, type_oid, not_null], Some(relation)) => {
                relation.columns.push(SystemColumn {
                    name,
                    type_oid: number(type_oid),
                    not_null: *not_null == "1",
                });
            }
            // A test holds the file to lines of three or four words.
            _ => {}
        }
    }
    for relation in &mut relations {
        let fields = relation
            .columns
            .iter()
            .map(|column| field(column.name, column.type_oid))
            .collect::<Vec<_>>();
        relation.arrow = Arc::new(Schema::new(fields));
    }
    relations
}

fn number(word: &str) -> u32 {
    word.parse()
        .expect("relations.txt has oids in its places for numbers")
}

/// An Arrow field that remembers its Postgres type.
pub(crate) fn field(name: &str, type_oid: u32) -> Field {
    let metadata = HashMap::from([(PG_TYPE_KEY.to_owned(), type_oid.to_string())]);
    Field::new(name, types::arrow_of(type_oid), true).with_metadata(metadata)
}

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn every_line_is_a_relation_or_a_column() {
        let columns: usize = all().iter().map(|relation| relation.columns.len()).sum();
        let lines = include_str!("data/relations.txt").lines().count();
        assert_eq!(all().len() + columns + 1, lines);
    }
}
