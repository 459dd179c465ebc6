//! `pg_namespace` and `information_schema.schemata`: the schemas.

use super::Rows;
use crate::relations::{INFORMATION_SCHEMA, PG_CATALOG, oid};
use crate::snapshot::{CatalogSnapshot, UserSchema};

/// Oid and name of every schema.
pub(crate) const NAMESPACES: [(u32, &str); 5] = [
    (oid::PG_CATALOG, PG_CATALOG),
    (oid::PG_TOAST, "pg_toast"),
    (oid::PUBLIC, "public"),
    (oid::INFORMATION_SCHEMA, INFORMATION_SCHEMA),
    (oid::CLICKMILL, "clickmill"),
];

/// The schemas that are shown: clickmill's own only with something in it.
fn shown(snapshot: &CatalogSnapshot) -> impl Iterator<Item = (u32, &'static str)> {
    let system = snapshot
        .relations
        .iter()
        .any(|relation| relation.schema == UserSchema::Clickmill);
    NAMESPACES
        .into_iter()
        .filter(move |(oid, _)| system || *oid != oid::CLICKMILL)
}

pub(super) fn rows(snapshot: &CatalogSnapshot) -> Rows {
    let namespace = |(oid, name): (u32, &str)| [oid.into(), name.into(), oid::OWNER.into()];
    Rows::of(
        ["oid", "nspname", "nspowner"],
        shown(snapshot).map(namespace),
    )
}

pub(super) fn schemata(snapshot: &CatalogSnapshot) -> Rows {
    let columns = ["catalog_name", "schema_name", "schema_owner"];
    let schema = |(_, name): (u32, &str)| {
        [
            snapshot.database.as_str().into(),
            name.into(),
            snapshot.user.as_str().into(),
        ]
    };
    Rows::of(columns, shown(snapshot).map(schema))
}
