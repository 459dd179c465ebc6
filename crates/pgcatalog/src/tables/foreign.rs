//! Sources as foreign tables: `pg_foreign_data_wrapper`, `pg_foreign_server`, `pg_foreign_table` and
//! `information_schema.foreign_tables`. Every connector is a wrapper and a server of the same name.

use super::Rows;
use crate::relations::oid;
use crate::snapshot::CatalogSnapshot;
use crate::value::Value;

pub(super) fn wrappers(snapshot: &CatalogSnapshot) -> Rows {
    let wrapper = |(place, name): (usize, &str)| {
        [
            wrapper_oid(place),
            name.into(),
            oid::OWNER.into(),
            0_u32.into(),
            0_u32.into(),
        ]
    };
    let columns = ["oid", "fdwname", "fdwowner", "fdwhandler", "fdwvalidator"];
    Rows::of(
        columns,
        snapshot.servers().into_iter().enumerate().map(wrapper),
    )
}

pub(super) fn servers(snapshot: &CatalogSnapshot) -> Rows {
    let server = |(place, name): (usize, &str)| {
        [
            server_oid(place),
            name.into(),
            oid::OWNER.into(),
            wrapper_oid(place),
        ]
    };
    let columns = ["oid", "srvname", "srvowner", "srvfdw"];
    Rows::of(
        columns,
        snapshot.servers().into_iter().enumerate().map(server),
    )
}

pub(super) fn tables(snapshot: &CatalogSnapshot) -> Rows {
    let servers = snapshot.servers();
    let tables = snapshot.relations.iter().filter_map(|relation| {
        let foreign = relation.foreign.as_ref()?;
        let place = servers
            .iter()
            .position(|server| *server == foreign.server)?;
        let options: Vec<String> = foreign
            .options
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Some([relation.oid.into(), server_oid(place), options.into()])
    });
    Rows::of(["ftrelid", "ftserver", "ftoptions"], tables)
}

pub(super) fn standard(snapshot: &CatalogSnapshot) -> Rows {
    let columns = [
        "foreign_table_catalog",
        "foreign_table_schema",
        "foreign_table_name",
        "foreign_server_catalog",
        "foreign_server_name",
    ];
    let database = || Value::from(snapshot.database.as_str());
    let tables = snapshot.relations.iter().filter_map(|relation| {
        let foreign = relation.foreign.as_ref()?;
        let name = relation.name.as_str();
        Some([
            database(),
            relation.schema.name().into(),
            name.into(),
            database(),
            foreign.server.as_str().into(),
        ])
    });
    Rows::of(columns, tables)
}

fn wrapper_oid(place: usize) -> Value {
    Value::from(place * 2 + oid::SERVERS as usize)
}

fn server_oid(place: usize) -> Value {
    Value::from(place * 2 + 1 + oid::SERVERS as usize)
}
