//! `pg_database` and `information_schema_catalog_name`: the one database.

use super::Rows;
use crate::relations::oid;
use crate::snapshot::CatalogSnapshot;
use crate::value::Value;

/// Sorting and classes of characters follow code points, whatever the language.
const LOCALE: &str = "C.UTF-8";
/// PostgreSQL's number for UTF8.
const UTF8: i64 = 6;
const DEFAULT_TABLESPACE: i64 = 1663;

pub(super) fn rows(snapshot: &CatalogSnapshot) -> Rows {
    let columns = [
        "oid",
        "datname",
        "datdba",
        "encoding",
        "datlocprovider",
        "datallowconn",
        "datconnlimit",
        "dattablespace",
        "datcollate",
        "datctype",
    ];
    let row = [
        oid::DATABASE.into(),
        snapshot.database.as_str().into(),
        oid::OWNER.into(),
        UTF8.into(),
        'c'.into(),
        true.into(),
        Value::Int(-1),
        DEFAULT_TABLESPACE.into(),
        LOCALE.into(),
        LOCALE.into(),
    ];
    Rows::of(columns, [row])
}

pub(super) fn catalog_name(snapshot: &CatalogSnapshot) -> Rows {
    Rows::of(["catalog_name"], [[snapshot.database.as_str().into()]])
}
