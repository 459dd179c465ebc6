//! The sample snapshots: the objects of `tests/data/objects.sql`, those of the recorded clients, and many.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};

use crate::{CatalogSnapshot, ColumnInfo, ForeignInfo, RelationInfo, RelationKind, SettingInfo};

pub(crate) fn column(name: &str, data_type: DataType, nullable: bool) -> ColumnInfo {
    ColumnInfo {
        name: name.to_owned(),
        data_type,
        nullable,
    }
}

fn relation(oid: u32, name: &str, kind: RelationKind, columns: Vec<ColumnInfo>) -> RelationInfo {
    RelationInfo {
        schema: crate::UserSchema::Public,
        oid,
        name: name.to_owned(),
        kind,
        columns,
        definition: None,
        comment: None,
        foreign: None,
    }
}

fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn click_columns() -> Vec<ColumnInfo> {
    let texts = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    vec![
        column("user_id", DataType::Int64, false),
        column("url", DataType::Utf8, true),
        column("event_time", timestamptz(), true),
        column("amount", DataType::Decimal128(10, 2), true),
        column("tags", texts, true),
    ]
}

pub(crate) fn snapshot(relations: Vec<RelationInfo>) -> Arc<CatalogSnapshot> {
    let setting = |name: &str, value: &str| SettingInfo {
        name: name.to_owned(),
        value: value.to_owned(),
        default: value.to_owned(),
        ..SettingInfo::default()
    };
    Arc::new(CatalogSnapshot {
        database: "clickmill".to_owned(),
        user: "clickmill".to_owned(),
        relations,
        settings: vec![
            setting("server_version_num", "150000"),
            setting("max_index_keys", "32"),
        ],
        backend_pid: 4711,
        version: "PostgreSQL 15.0 (clickmill 0.1.0)".to_owned(),
    })
}

/// As `tests/data/objects.sql` makes them.
pub(crate) fn objects() -> Arc<CatalogSnapshot> {
    let mut clicks = relation(16401, "clicks", RelationKind::Source, click_columns());
    let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let options = vec![option("topic", "click-stream"), option("format", "json")];
    clicks.foreign = Some(ForeignInfo {
        server: "kafka".to_owned(),
        options,
    });
    let mut pages = relation(
        16402,
        "pages",
        RelationKind::Table,
        vec![
            column("page", DataType::Utf8, false),
            column("section", DataType::Utf8View, true),
            column("weight", DataType::Float64, true),
            column("visits", DataType::Int32, true),
            column("active", DataType::Boolean, true),
            column("added", DataType::Date32, true),
            column("opens", DataType::Time64(TimeUnit::Microsecond), true),
            column("payload", DataType::Binary, true),
        ],
    );
    pages.comment = Some("what the site has".to_owned());
    let recent_columns = vec![
        column("user_id", DataType::Int64, false),
        column("url", DataType::Utf8, true),
    ];
    let mut recent = relation(16403, "recent", RelationKind::View, recent_columns);
    recent.definition = Some("SELECT clicks.user_id,\n    clicks.url\n   FROM clicks".to_owned());
    let views = vec![
        column("page", DataType::Utf8, true),
        column("views", DataType::Int64, false),
        // PostgreSQL's sums of numeric have no scale of their own; such a column has no Arrow type.
        column("amount", DataType::UInt64, true),
        column("last", timestamptz(), true),
    ];
    let mut page_views = relation(16404, "page_views", RelationKind::MaterializedView, views);
    let query = "SELECT clicks.url AS page,\n    count(*) AS views,\n    sum(clicks.amount) AS amount,\n    \
                 max(clicks.event_time) AS last\n   FROM clicks\n  GROUP BY clicks.url";
    page_views.definition = Some(query.to_owned());
    snapshot(vec![clicks, pages, recent, page_views])
}

/// The objects of the recorded clients, under the oids of the recording.
pub(crate) fn recorded() -> Arc<CatalogSnapshot> {
    let clicks = relation(16388, "clicks", RelationKind::Table, click_columns());
    let counts = vec![
        column("user_id", DataType::Int64, true),
        column("n", DataType::Int64, true),
    ];
    let mut mv = relation(16393, "mv", RelationKind::MaterializedView, counts);
    mv.definition = Some("SELECT user_id, count(*) AS n FROM clicks GROUP BY 1".to_owned());
    let mut v = relation(16397, "v", RelationKind::View, click_columns());
    let query = "SELECT clicks.user_id,\n    clicks.url,\n    clicks.event_time,\n    clicks.amount,\n    \
                 clicks.tags\n   FROM clicks";
    v.definition = Some(query.to_owned());
    snapshot(vec![clicks, mv, v])
}

/// As many sources of ten columns as asked.
pub(crate) fn many(count: u32) -> Arc<CatalogSnapshot> {
    let columns = || {
        (0..10)
            .map(|i| column(&format!("column_{i}"), DataType::Utf8, true))
            .collect()
    };
    let source = |i: u32| {
        let mut source = relation(
            16384 + i,
            &format!("source_{i}"),
            RelationKind::Source,
            columns(),
        );
        source.foreign = Some(ForeignInfo {
            server: "kafka".to_owned(),
            options: Vec::new(),
        });
        source
    };
    snapshot((0..count).map(source).collect())
}
