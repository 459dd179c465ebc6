//! `pg_class`: the user's relations and the system's own.

use super::Rows;
use crate::relations::{self, oid};
use crate::snapshot::CatalogSnapshot;
use crate::value::Value;

const COLUMNS: [&str; 15] = [
    "oid",
    "relname",
    "relnamespace",
    "relowner",
    "relam",
    "relfilenode",
    "reltuples",
    "relpersistence",
    "relkind",
    "relnatts",
    "relhasrules",
    "relispopulated",
    "relreplident",
    "relfrozenxid",
    "relminmxid",
];

pub(super) fn rows(snapshot: &CatalogSnapshot) -> Rows {
    let own = snapshot.relations.iter().map(|relation| {
        let kind = relation.kind;
        let identity = if kind.is_stored() { 'd' } else { 'n' };
        let natts = relation.columns.len();
        class(
            (relation.oid, &relation.name, relation.schema.oid()),
            kind.relkind(),
            natts,
            kind.is_view(),
            identity,
        )
    });
    let system = relations::all().iter().map(|relation| {
        let is_view = relation.kind == 'v';
        class(
            (relation.oid, relation.name, relation.namespace()),
            relation.kind,
            relation.columns.len(),
            is_view,
            'n',
        )
    });
    Rows::of(COLUMNS, own.chain(system))
}

fn class(
    (oid, name, namespace): (u32, &str, u32),
    kind: char,
    natts: usize,
    rules: bool,
    identity: char,
) -> [Value; 15] {
    let stored = matches!(kind, 'r' | 'm');
    let if_stored = |value: u32| if stored { value } else { 0 };
    [
        oid.into(),
        name.into(),
        namespace.into(),
        oid::OWNER.into(),
        if_stored(oid::HEAP).into(),
        if_stored(oid).into(),
        Value::Int(-1),
        'p'.into(),
        kind.into(),
        natts.into(),
        rules.into(),
        true.into(),
        identity.into(),
        if_stored(3).into(),
        if_stored(1).into(),
    ]
}
