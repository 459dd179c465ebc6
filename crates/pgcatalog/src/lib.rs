//! What Postgres clients ask about the database itself: `pg_catalog` and `information_schema` as DataFusion relations, the
//! functions that go with them, and the rewriting of the SQL that clients send into SQL that DataFusion plans.
//!
//! A statement takes this way: [`is_catalog_query`] says that it is one of ours, [`rewrite()`] changes its syntax tree,
//! [`register`] puts relations and functions of one [`CatalogSnapshot`] into a session, and DataFusion does the rest.

mod error;
mod functions;
mod provider;
mod relations;
mod rewrite;
mod snapshot;
mod subquery;
mod tables;
mod types;
mod value;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::prelude::SessionContext;

pub use error::CatalogError;
pub use rewrite::names::{column_name, shown_name};
pub use rewrite::{is_catalog_query, rewrite};
pub use snapshot::{
    CatalogSnapshot, ColumnInfo, ForeignInfo, RelationInfo, RelationKind, SettingInfo, UserSchema,
};
pub use types::{PG_TYPE_KEY, PgType, field_type, format_type, pg_type_of};

/// Puts the schemas `pg_catalog` and `information_schema` into the default catalog of a session, and the system functions
/// beside its own (where a name is in both, such as `version`, the Postgres one wins).
///
/// Nothing is computed before a relation is read, so this may be called for every statement. Plan with
/// `target_partitions = 1`: the relations are small.
///
/// # Errors
/// When the session has no default catalog, or the catalog takes no schemas.
pub fn register(ctx: &SessionContext, snapshot: &Arc<CatalogSnapshot>) -> Result<()> {
    functions::register(ctx, snapshot);
    provider::register(ctx, snapshot)?;
    subquery::register(ctx);
    Ok(())
}

#[cfg(test)]
mod tests;
