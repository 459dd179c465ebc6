//! `pg_settings`: the settings of the session.

use super::Rows;
use crate::snapshot::CatalogSnapshot;

pub(super) fn rows(snapshot: &CatalogSnapshot) -> Rows {
    let columns = [
        "name",
        "setting",
        "unit",
        "category",
        "short_desc",
        "context",
        "vartype",
        "source",
        "boot_val",
        "reset_val",
        "pending_restart",
    ];
    let settings = snapshot.settings.iter().map(|setting| {
        let source = if setting.value == setting.default {
            "default"
        } else {
            "session"
        };
        [
            setting.name.as_str().into(),
            setting.value.as_str().into(),
            setting.unit.as_deref().into(),
            setting.category.as_str().into(),
            setting.description.as_str().into(),
            setting.context.as_str().into(),
            setting.kind.as_str().into(),
            source.into(),
            setting.default.as_str().into(),
            setting.default.as_str().into(),
            false.into(),
        ]
    });
    Rows::of(columns, settings)
}
