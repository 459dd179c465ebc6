//! Functions about the session and the server.

use datafusion::error::Result;

use super::{Function, called_on_null, function};
use crate::error::error;
use crate::relations::PG_CATALOG;
use crate::snapshot::CatalogSnapshot;
use crate::types::{BOOL, INT4, NAME, NAME_ARRAY, OID, TEXT};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("version", 0..=0, TEXT, |snapshot, _| {
        Ok(snapshot.version.as_str().into())
    }),
    function("current_database", 0..=0, NAME, |snapshot, _| {
        Ok(snapshot.database.as_str().into())
    }),
    function("current_catalog", 0..=0, NAME, |snapshot, _| {
        Ok(snapshot.database.as_str().into())
    }),
    function("current_schema", 0..=0, NAME, |_, _| Ok("public".into())),
    function("current_schemas", 1..=1, NAME_ARRAY, |_, args| {
        let implicit = args.first() == Some(&Value::Bool(true));
        Ok(if implicit {
            vec![PG_CATALOG, "public"]
        } else {
            vec!["public"]
        }
        .into())
    }),
    function("current_user", 0..=0, NAME, |snapshot, _| {
        Ok(snapshot.user.as_str().into())
    }),
    function("session_user", 0..=0, NAME, |snapshot, _| {
        Ok(snapshot.user.as_str().into())
    }),
    function("current_role", 0..=0, NAME, |snapshot, _| {
        Ok(snapshot.user.as_str().into())
    }),
    function("user", 0..=0, NAME, |snapshot, _| {
        Ok(snapshot.user.as_str().into())
    }),
    function("pg_backend_pid", 0..=0, INT4, |snapshot, _| {
        Ok(snapshot.backend_pid.into())
    }),
    function("pg_is_in_recovery", 0..=0, BOOL, |_, _| Ok(false.into())),
    function("pg_is_other_temp_schema", 1..=1, BOOL, |_, _| {
        Ok(false.into())
    }),
    function("pg_my_temp_schema", 0..=0, OID, |_, _| Ok(0_u32.into())),
    function("pg_client_encoding", 0..=0, NAME, |_, _| Ok("UTF8".into())),
    // There are no advisory locks: none is held.
    function("pg_advisory_unlock_all", 0..=0, VOID, |_, _| Ok("".into())),
    // The address of a connection over a Unix socket, which is what PostgreSQL says when there is nothing to say.
    called_on_null("inet_server_addr", 0..=0, TEXT, |_, _| Ok(Value::Null)),
    called_on_null("inet_client_addr", 0..=0, TEXT, |_, _| Ok(Value::Null)),
    function("current_setting", 1..=2, TEXT, current_setting),
];

const VOID: u32 = 2278;

fn current_setting(snapshot: &CatalogSnapshot, args: &[Value]) -> Result<Value> {
    let name = args.first().map(Value::print).unwrap_or_default();
    match snapshot.setting(&name) {
        Some(setting) => Ok(setting.value.as_str().into()),
        None if args.get(1) == Some(&Value::Bool(true)) => Ok(Value::Null),
        None => Err(error(
            "42704",
            format!("unrecognized configuration parameter \"{name}\""),
        )),
    }
}
