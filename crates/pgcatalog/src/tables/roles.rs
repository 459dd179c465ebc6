//! `pg_roles`, `pg_user` and `information_schema.enabled_roles`: the session's user.

use super::Rows;
use crate::relations::oid;
use crate::snapshot::CatalogSnapshot;
use crate::value::Value;

/// What PostgreSQL shows for every password.
const HIDDEN: &str = "********";

pub(super) fn rows(snapshot: &CatalogSnapshot) -> Rows {
    let columns = [
        "oid",
        "rolname",
        "rolsuper",
        "rolinherit",
        "rolcreaterole",
        "rolcreatedb",
        "rolcanlogin",
        "rolreplication",
        "rolconnlimit",
        "rolpassword",
        "rolbypassrls",
    ];
    let yes = || Value::Bool(true);
    let row = [
        oid::OWNER.into(),
        snapshot.user.as_str().into(),
        yes(),
        yes(),
        yes(),
        yes(),
        yes(),
        yes(),
        Value::Int(-1),
        HIDDEN.into(),
        yes(),
    ];
    Rows::of(columns, [row])
}

pub(super) fn users(snapshot: &CatalogSnapshot) -> Rows {
    let columns = [
        "usename",
        "usesysid",
        "usecreatedb",
        "usesuper",
        "userepl",
        "usebypassrls",
        "passwd",
    ];
    let yes = || Value::Bool(true);
    let row = [
        snapshot.user.as_str().into(),
        oid::OWNER.into(),
        yes(),
        yes(),
        yes(),
        yes(),
        HIDDEN.into(),
    ];
    Rows::of(columns, [row])
}

pub(super) fn enabled(snapshot: &CatalogSnapshot) -> Rows {
    Rows::of(["role_name"], [[snapshot.user.as_str().into()]])
}
