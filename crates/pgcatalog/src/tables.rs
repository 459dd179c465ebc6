//! The rows of the system relations: one file for each relation that has any, and one line in [`TABLES`].

mod attributes;
mod classes;
mod columns;
mod databases;
mod descriptions;
mod foreign;
mod listings;
mod namespaces;
mod roles;
mod rules;
mod schema_tables;
mod settings;

use crate::relations::{INFORMATION_SCHEMA, PG_CATALOG};
use crate::snapshot::CatalogSnapshot;
use crate::value::Value;

pub(crate) use namespaces::NAMESPACES;

/// Makes the rows of one relation.
pub(crate) type MakeRows = fn(&CatalogSnapshot) -> Rows;

/// Every relation that has rows; the others of `relations.txt` are empty.
const TABLES: &[(&str, &str, MakeRows)] = &[
    (PG_CATALOG, "pg_am", |_| {
        Rows::read(include_str!("data/pg_am.tsv"))
    }),
    (PG_CATALOG, "pg_attribute", attributes::rows),
    (PG_CATALOG, "pg_class", classes::rows),
    (PG_CATALOG, "pg_collation", |_| {
        Rows::read(include_str!("data/pg_collation.tsv"))
    }),
    (PG_CATALOG, "pg_database", databases::rows),
    (PG_CATALOG, "pg_description", descriptions::rows),
    (PG_CATALOG, "pg_foreign_data_wrapper", foreign::wrappers),
    (PG_CATALOG, "pg_foreign_server", foreign::servers),
    (PG_CATALOG, "pg_foreign_table", foreign::tables),
    (PG_CATALOG, "pg_language", |_| {
        Rows::read(include_str!("data/pg_language.tsv"))
    }),
    (PG_CATALOG, "pg_matviews", listings::materialized_views),
    (PG_CATALOG, "pg_namespace", namespaces::rows),
    (PG_CATALOG, "pg_proc", |_| {
        Rows::read(include_str!("data/pg_proc.tsv"))
    }),
    (PG_CATALOG, "pg_range", |_| {
        Rows::read(include_str!("data/pg_range.tsv"))
    }),
    (PG_CATALOG, "pg_rewrite", rules::rows),
    (PG_CATALOG, "pg_roles", roles::rows),
    (PG_CATALOG, "pg_settings", settings::rows),
    (PG_CATALOG, "pg_tables", listings::tables),
    (PG_CATALOG, "pg_tablespace", |_| {
        Rows::read(include_str!("data/pg_tablespace.tsv"))
    }),
    (PG_CATALOG, "pg_type", |_| {
        Rows::read(include_str!("data/pg_type.tsv"))
    }),
    (PG_CATALOG, "pg_user", roles::users),
    (PG_CATALOG, "pg_views", listings::views),
    (INFORMATION_SCHEMA, "columns", columns::rows),
    (INFORMATION_SCHEMA, "enabled_roles", roles::enabled),
    (INFORMATION_SCHEMA, "foreign_tables", foreign::standard),
    (
        INFORMATION_SCHEMA,
        "information_schema_catalog_name",
        databases::catalog_name,
    ),
    (INFORMATION_SCHEMA, "schemata", namespaces::schemata),
    (INFORMATION_SCHEMA, "tables", schema_tables::tables),
    (INFORMATION_SCHEMA, "views", schema_tables::views),
];

pub(crate) fn find(schema: &str, name: &str) -> Option<MakeRows> {
    TABLES
        .iter()
        .find(|table| table.0 == schema && table.1 == name)
        .map(|table| table.2)
}

/// Rows over the columns that have something to say. A column that is not among them is zero where it is `NOT NULL`, and
/// NULL elsewhere.
pub(crate) struct Rows {
    columns: Vec<&'static str>,
    cells: Vec<Value>,
}

impl Rows {
    pub(crate) fn of<const N: usize>(
        columns: [&'static str; N],
        rows: impl IntoIterator<Item = [Value; N]>,
    ) -> Rows {
        Rows {
            columns: columns.to_vec(),
            cells: rows.into_iter().flatten().collect(),
        }
    }

    /// Rows of a text of tabs and lines, with a line of names, `\N` for NULL and booleans as `t` and `f`.
    pub(crate) fn read(text: &'static str) -> Rows {
        let mut lines = text.lines();
        let columns = lines
            .next()
            .map(|header| header.split('\t').collect())
            .unwrap_or_default();
        let cell = |cell: &str| {
            if cell == "\\N" {
                Value::Null
            } else {
                Value::from(cell)
            }
        };
        Rows {
            columns,
            cells: lines.flat_map(|line| line.split('\t').map(cell)).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.cells.len() / self.columns.len().max(1)
    }

    /// The values of a column, top to bottom.
    pub(crate) fn column(&self, name: &str) -> Option<impl Iterator<Item = &Value>> {
        let place = self.columns.iter().position(|column| *column == name)?;
        Some(
            self.cells[place.min(self.cells.len())..]
                .iter()
                .step_by(self.columns.len()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::TABLES;
    use crate::relations;
    use crate::snapshot::CatalogSnapshot;

    #[test]
    fn every_column_with_values_is_one_of_postgres() {
        for (schema, name, rows) in TABLES {
            let relation =
                relations::find(schema, name).expect("a relation with rows is in relations.txt");
            let rows = rows(&CatalogSnapshot::default());
            assert_eq!(rows.cells.len() % rows.columns.len(), 0, "{name}");
            for column in &rows.columns {
                assert!(
                    relation.columns.iter().any(|own| own.name == *column),
                    "{name}.{column}"
                );
            }
        }
    }
}
