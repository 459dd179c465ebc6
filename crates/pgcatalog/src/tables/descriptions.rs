//! `pg_description`: the comments of the user's relations.

use super::Rows;
use crate::relations::oid;
use crate::snapshot::CatalogSnapshot;
use crate::value::Value;

pub(super) fn rows(snapshot: &CatalogSnapshot) -> Rows {
    let columns = ["objoid", "classoid", "objsubid", "description"];
    let comments = snapshot.relations.iter().filter_map(|relation| {
        let comment = relation.comment.as_deref()?;
        Some([
            relation.oid.into(),
            oid::PG_CLASS.into(),
            Value::Int(0),
            comment.into(),
        ])
    });
    Rows::of(columns, comments)
}
