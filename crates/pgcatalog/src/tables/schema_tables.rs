//! `information_schema.tables` and `information_schema.views`. Materialized views are not in the standard: PostgreSQL leaves
//! them out, and so does clickmill.

use super::Rows;
use crate::functions::view_definition;
use crate::relations;
use crate::snapshot::{CatalogSnapshot, RelationKind};
use crate::value::Value;

pub(super) fn tables(snapshot: &CatalogSnapshot) -> Rows {
    let columns = [
        "table_catalog",
        "table_schema",
        "table_name",
        "table_type",
        "is_insertable_into",
        "is_typed",
    ];
    let own = snapshot.relations.iter().filter_map(|relation| {
        let (kind, insertable) = match relation.kind {
            RelationKind::Source => ("FOREIGN", false),
            RelationKind::Table => ("BASE TABLE", true),
            RelationKind::View => ("VIEW", false),
            RelationKind::MaterializedView => return None,
        };
        Some((
            relation.schema.name(),
            relation.name.as_str(),
            kind,
            insertable,
        ))
    });
    let system = relations::all().iter().map(|relation| {
        let kind = if relation.kind == 'v' {
            "VIEW"
        } else {
            "BASE TABLE"
        };
        (relation.schema, relation.name, kind, false)
    });
    let database = snapshot.database.as_str();
    let rows = own.chain(system).map(|(schema, name, kind, insertable)| {
        [
            database.into(),
            schema.into(),
            name.into(),
            kind.into(),
            yes_or_no(insertable),
            yes_or_no(false),
        ]
    });
    Rows::of(columns, rows)
}

pub(super) fn views(snapshot: &CatalogSnapshot) -> Rows {
    let columns = [
        "table_catalog",
        "table_schema",
        "table_name",
        "view_definition",
        "check_option",
        "is_updatable",
        "is_insertable_into",
        "is_trigger_updatable",
        "is_trigger_deletable",
        "is_trigger_insertable_into",
    ];
    let no = || yes_or_no(false);
    let views = snapshot
        .relations
        .iter()
        .filter(|relation| relation.kind == RelationKind::View);
    let rows = views.map(|view| {
        [
            snapshot.database.as_str().into(),
            view.schema.name().into(),
            view.name.as_str().into(),
            view_definition(view).into(),
            "NONE".into(),
            no(),
            no(),
            no(),
            no(),
            no(),
        ]
    });
    Rows::of(columns, rows)
}

pub(super) fn yes_or_no(value: bool) -> Value {
    if value { "YES" } else { "NO" }.into()
}
