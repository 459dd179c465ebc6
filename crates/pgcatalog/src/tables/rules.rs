//! `pg_rewrite`: every view has the rule `_RETURN`, as PostgreSQL keeps view queries.

use super::Rows;
use crate::snapshot::CatalogSnapshot;
use crate::value::Value;

pub(super) fn rows(snapshot: &CatalogSnapshot) -> Rows {
    let columns = [
        "oid",
        "rulename",
        "ev_class",
        "ev_type",
        "ev_enabled",
        "is_instead",
    ];
    let views = snapshot
        .relations
        .iter()
        .filter(|relation| relation.kind.is_view());
    let rule = |oid: u32| {
        [
            oid.into(),
            Value::from("_RETURN"),
            oid.into(),
            '1'.into(),
            'O'.into(),
            true.into(),
        ]
    };
    Rows::of(columns, views.map(|view| rule(view.oid)))
}
