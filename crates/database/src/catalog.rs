//! What exists: sources, tables, views, sinks, with what they depend on.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflow::schema::SourceSchema;
use dataflow::{Error, Result, SqlState};
use datafusion::arrow::datatypes::SchemaRef;
use engine::{SourceSpec, Store};
use plan::Node;
use sql::ast::{Name, ObjectKind};
use sqlparser::ast::Query;

use crate::sinks::Sink;

/// First oid of user objects, as in PostgreSQL.
const FIRST_OID: u32 = 16_384;

/// An object.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) oid: u32,
    pub(crate) name: String,
    /// The statement that made it.
    pub(crate) statement: String,
    pub(crate) schema: SchemaRef,
    /// Relations that it reads.
    pub(crate) reads: Vec<String>,
    pub(crate) body: Body,
}

/// What kind of object, with what belongs to the kind.
#[derive(Clone)]
pub(crate) enum Body {
    Source(Arc<SourceSpec>),
    Table {
        store: Arc<Store>,
        declared: SourceSchema,
    },
    /// What a source sets aside: its bad records or its late rows.
    Aside {
        store: Arc<Store>,
        source: String,
    },
    View {
        query: Box<Query>,
        text: String,
    },
    Materialized(Box<Materialized>),
    Sink(Arc<Sink>),
}

/// A materialized view.
#[derive(Clone)]
pub(crate) struct Materialized {
    /// Its query as written.
    pub(crate) text: String,
    pub(crate) node: Arc<Node>,
    pub(crate) store: Arc<Store>,
}

impl Object {
    pub(crate) fn kind(&self) -> ObjectKind {
        match self.body {
            Body::Source(_) => ObjectKind::Source,
            Body::Table { .. } | Body::Aside { .. } => ObjectKind::Table,
            Body::View { .. } => ObjectKind::View,
            Body::Materialized(_) => ObjectKind::MaterializedView,
            Body::Sink(_) => ObjectKind::Sink,
        }
    }

    /// The source whose part it is.
    pub(crate) fn of_source(&self) -> Option<&str> {
        match &self.body {
            Body::Aside { source, .. } => Some(source),
            Body::Sink(sink) => sink.of_source.as_deref(),
            _ => None,
        }
    }

    /// The rows, where the object keeps any.
    pub(crate) fn store(&self) -> Option<&Arc<Store>> {
        match &self.body {
            Body::Table { store, .. } | Body::Aside { store, .. } => Some(store),
            Body::Materialized(view) => Some(&view.store),
            _ => None,
        }
    }
}

/// What a kind is called.
pub(crate) fn kind_name(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Source => "source",
        ObjectKind::Table => "table",
        ObjectKind::View => "view",
        ObjectKind::MaterializedView => "materialized view",
        ObjectKind::Sink => "sink",
    }
}

/// All objects, by name.
#[derive(Clone)]
pub(crate) struct Catalog {
    objects: BTreeMap<String, Arc<Object>>,
    next_oid: u32,
}

impl Default for Catalog {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            next_oid: FIRST_OID,
        }
    }
}

impl Catalog {
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// An oid that was never given before.
    pub(crate) fn new_oid(&mut self) -> u32 {
        self.next_oid += 1;
        self.next_oid - 1
    }

    pub(crate) fn insert(&mut self, object: Object) {
        self.objects.insert(object.name.clone(), Arc::new(object));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.objects.remove(name);
    }

    /// The object called `name`, which must be of `kind`.
    pub(crate) fn expect(&self, name: &Name, kind: ObjectKind) -> Result<&Arc<Object>> {
        let object = self.get(&name.value).ok_or_else(|| missing(name, kind))?;
        if object.kind() == kind {
            return Ok(object);
        }
        let message = format!("\"{}\" is not a {}", name.value, kind_name(kind));
        let hint = format!("it is a {}", kind_name(object.kind()));
        Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
            .at(name.location)
            .hint(hint))
    }

    /// The tables and the sink of what a source sets aside.
    pub(crate) fn asides(&self, name: &str) -> Vec<Arc<Object>> {
        let of_source = |o: &&Arc<Object>| o.of_source() == Some(name);
        self.iter().filter(of_source).cloned().collect()
    }

    /// Objects that read `name`, directly or through others, nearest first.
    pub(crate) fn dependents(&self, name: &str) -> Vec<Arc<Object>> {
        let mut found: Vec<Arc<Object>> = Vec::new();
        let mut queue = vec![name.to_owned()];
        while let Some(name) = queue.pop() {
            for object in self.iter().filter(|o| o.reads.contains(&name)) {
                if !found.iter().any(|f| f.name == object.name) {
                    queue.push(object.name.clone());
                    found.push(Arc::clone(object));
                }
            }
        }
        found
    }
}

/// The error for a name that nothing has.
pub(crate) fn missing(name: &Name, kind: ObjectKind) -> Error {
    let message = format!("{} \"{}\" does not exist", kind_name(kind), name.value);
    Error::new(SqlState::UNDEFINED_TABLE, message).at(name.location)
}
