//! What the catalog shows, as plain data that the caller gives.

use datafusion::arrow::datatypes::DataType;

use crate::relations::oid;

/// Everything that the system relations and functions of one statement are made of.
#[derive(Clone, Debug, Default)]
pub struct CatalogSnapshot {
    /// Name of the one database.
    pub database: String,
    /// The session's user, who owns everything.
    pub user: String,
    /// The relations of schemas `public` and `clickmill`.
    pub relations: Vec<RelationInfo>,
    /// The session's settings: rows of `pg_settings`, values of `current_setting`.
    pub settings: Vec<SettingInfo>,
    /// What `pg_backend_pid()` gives.
    pub backend_pid: i32,
    /// What `version()` gives, such as `PostgreSQL 15.0 (clickmill 0.1.0) on x86_64…`.
    pub version: String,
}

/// One relation.
#[derive(Clone, Debug)]
pub struct RelationInfo {
    /// Stable for the life of the object, 16384 or more.
    pub oid: u32,
    /// Where it is.
    pub schema: UserSchema,
    /// Folded name.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// In order.
    pub columns: Vec<ColumnInfo>,
    /// The query of a view, without a semicolon.
    pub definition: Option<String>,
    /// What `COMMENT` or the documentation says.
    pub comment: Option<String>,
    /// Where the rows of a source come from.
    pub foreign: Option<ForeignInfo>,
}

/// The schemas that are not PostgreSQL's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserSchema {
    /// What users made.
    Public,
    /// What clickmill tells of itself; not in the search path.
    Clickmill,
}

impl UserSchema {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Clickmill => "clickmill",
        }
    }

    pub(crate) fn oid(self) -> u32 {
        match self {
            Self::Public => oid::PUBLIC,
            Self::Clickmill => oid::CLICKMILL,
        }
    }
}

/// What a relation is to Postgres: relkind `f`, `r`, `v` and `m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// A foreign table.
    Source,
    /// A table.
    Table,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
}

/// One column.
#[derive(Clone, Debug)]
pub struct ColumnInfo {
    /// Folded name.
    pub name: String,
    /// Type of the values.
    pub data_type: DataType,
    /// False for `NOT NULL`.
    pub nullable: bool,
}

/// The outside of a source, shown as a foreign server and the options of a foreign table.
#[derive(Clone, Debug, Default)]
pub struct ForeignInfo {
    /// The connector.
    pub server: String,
    /// Name and value; nothing secret.
    pub options: Vec<(String, String)>,
}

/// One setting.
#[derive(Clone, Debug, Default)]
pub struct SettingInfo {
    /// Lower-case name.
    pub name: String,
    /// The session's value.
    pub value: String,
    /// The value after `RESET`.
    pub default: String,
    /// Unit of a number, such as `ms`.
    pub unit: Option<String>,
    /// Group of settings.
    pub category: String,
    /// One sentence.
    pub description: String,
    /// `bool`, `string`, `integer`, `real` or `enum`.
    pub kind: String,
    /// Who may set it: `user`, `internal`, …
    pub context: String,
}

impl RelationKind {
    pub(crate) fn relkind(self) -> char {
        match self {
            RelationKind::Source => 'f',
            RelationKind::Table => 'r',
            RelationKind::View => 'v',
            RelationKind::MaterializedView => 'm',
        }
    }

    pub(crate) fn is_view(self) -> bool {
        matches!(self, RelationKind::View | RelationKind::MaterializedView)
    }

    /// Whether PostgreSQL would keep its rows on disk.
    pub(crate) fn is_stored(self) -> bool {
        matches!(self, RelationKind::Table | RelationKind::MaterializedView)
    }
}

impl CatalogSnapshot {
    pub(crate) fn relation(&self, oid: u32) -> Option<&RelationInfo> {
        self.relations.iter().find(|relation| relation.oid == oid)
    }

    pub(crate) fn relation_named(&self, schema: UserSchema, name: &str) -> Option<&RelationInfo> {
        self.relations
            .iter()
            .find(|relation| relation.schema == schema && relation.name == name)
    }

    pub(crate) fn setting(&self, name: &str) -> Option<&SettingInfo> {
        self.settings
            .iter()
            .find(|setting| setting.name.eq_ignore_ascii_case(name))
    }

    /// Names of the servers of all sources, each once, in order of first appearance.
    pub(crate) fn servers(&self) -> Vec<&str> {
        let mut servers: Vec<&str> = Vec::new();
        for foreign in self
            .relations
            .iter()
            .filter_map(|relation| relation.foreign.as_ref())
        {
            if !servers.contains(&foreign.server.as_str()) {
                servers.push(&foreign.server);
            }
        }
        servers
    }
}
