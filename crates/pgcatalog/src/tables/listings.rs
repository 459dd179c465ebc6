//! `pg_tables`, `pg_views` and `pg_matviews`: relations by name.

use super::Rows;
use crate::functions::view_definition;
use crate::relations::{self, PG_CATALOG};
use crate::snapshot::{CatalogSnapshot, RelationInfo, RelationKind};

pub(super) fn tables(snapshot: &CatalogSnapshot) -> Rows {
    let columns = [
        "schemaname",
        "tablename",
        "tableowner",
        "hasindexes",
        "hasrules",
        "hastriggers",
        "rowsecurity",
    ];
    let owner = snapshot.user.as_str();
    let no = || false.into();
    let own = of_kind(snapshot, RelationKind::Table).map(|r| (r.schema.name(), r.name.as_str()));
    let system = relations::all()
        .iter()
        .filter(|relation| relation.kind == 'r' && relation.schema == PG_CATALOG);
    let all = own.chain(system.map(|relation| (relation.schema, relation.name)));
    let rows = all.map(|(schema, name)| {
        [
            schema.into(),
            name.into(),
            owner.into(),
            no(),
            no(),
            no(),
            no(),
        ]
    });
    Rows::of(columns, rows)
}

pub(super) fn views(snapshot: &CatalogSnapshot) -> Rows {
    let columns = ["schemaname", "viewname", "viewowner", "definition"];
    let owner = snapshot.user.as_str();
    let row = |view: &RelationInfo| {
        [
            view.schema.name().into(),
            view.name.as_str().into(),
            owner.into(),
            view_definition(view).into(),
        ]
    };
    Rows::of(columns, of_kind(snapshot, RelationKind::View).map(row))
}

pub(super) fn materialized_views(snapshot: &CatalogSnapshot) -> Rows {
    let columns = [
        "schemaname",
        "matviewname",
        "matviewowner",
        "hasindexes",
        "ispopulated",
        "definition",
    ];
    let owner = snapshot.user.as_str();
    let row = |view: &RelationInfo| {
        let definition = view_definition(view).into();
        [
            view.schema.name().into(),
            view.name.as_str().into(),
            owner.into(),
            false.into(),
            true.into(),
            definition,
        ]
    };
    Rows::of(
        columns,
        of_kind(snapshot, RelationKind::MaterializedView).map(row),
    )
}

fn of_kind(snapshot: &CatalogSnapshot, kind: RelationKind) -> impl Iterator<Item = &RelationInfo> {
    snapshot
        .relations
        .iter()
        .filter(move |relation| relation.kind == kind)
}
