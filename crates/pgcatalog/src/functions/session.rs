//! Functions about the session and the server.

use datafusion::error::Result;

use super::{Function, called_on_null, function};
use crate::error::error;
use crate::relations::PG_CATALOG;
use crate::snapshot::CatalogSnapshot;
use crate::types::{BOOL, INT4, NAME, NAME_ARRAY, OID, TEXT};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("version", TEXT, |snapshot, _| {
        Ok(snapshot.version.as_str().into())
    }),
    function("current_database", NAME, |snapshot, _| {
        Ok(snapshot.database.as_str().into())
    }),
    function("current_catalog", NAME, |snapshot, _| {
        Ok(snapshot.database.as_str().into())
    }),
    function("current_schema", NAME, |_, _| Ok("public".into())),
    function("current_schemas", NAME_ARRAY, |_, args| {
        let implicit = args.first() == Some(&Value::Bool(true));
        Ok(if implicit {
            vec![PG_CATALOG, "public"]
        } else {
            vec!["public"]
        }
        .into())
    }),
    function("current_user", NAME, |snapshot, _| {
        Ok(snapshot.user.as_str().into())
    }),
    function("session_user", NAME, |snapshot, _| {
        Ok(snapshot.user.as_str().into())
    }),
    function("current_role", NAME, |snapshot, _| {
        Ok(snapshot.user.as_str().into())
    }),
    function("user", NAME, |snapshot, _| {
        Ok(snapshot.user.as_str().into())
    }),
    function("pg_backend_pid", INT4, |snapshot, _| {
        Ok(snapshot.backend_pid.into())
    }),
    function("pg_is_in_recovery", BOOL, |_, _| Ok(false.into())),
    function("pg_is_other_temp_schema", BOOL, |_, _| Ok(false.into())),
    function("pg_my_temp_schema", OID, |_, _| Ok(0_u32.into())),
    function("pg_client_encoding", NAME, |_, _| Ok("UTF8".into())),
    // There are no advisory locks: none is held.
    function("pg_advisory_unlock_all", VOID, |_, _| Ok("".into())),
    // The address of a connection over a Unix socket, which is what PostgreSQL says when there is nothing to say.
    called_on_null("inet_server_addr", TEXT, |_, _| Ok(Value::Null)),
    called_on_null("inet_client_addr", TEXT, |_, _| Ok(Value::Null)),
    function("current_setting", TEXT, current_setting),
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
