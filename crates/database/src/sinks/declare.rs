//! CREATE SINK: its options and columns checked, and its target made.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use dataflow::connector::Connector;
use dataflow::options::{OptionEntry, Options, bad_value};
use dataflow::schema::Encoding;
use dataflow::sink::{Delivery, SinkDeclaration, SinkFormat, SinkParts};
use dataflow::{Error, Micros, Result, SqlState};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use engine::Store;
use formats::{KeyFormat, SinkEncoder, SinkEncoding};
use plan::{Mode, Node, WindowColumn};
use sql::ast::{CreateSink, CreateSource};

use super::{Sink, Writing};
use crate::catalog::{Body, Catalog};
use crate::database::Shared;
use crate::options::{DeadLetters, find_connector};

/// How long rows are gathered before they are committed unless said otherwise.
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// What may be asked for.
const COMMIT_BOUNDS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(30);

/// What a sink's statement and plan say together.
pub(crate) struct Declaring<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) catalog: &'a Catalog,
    pub(crate) create: &'a CreateSink,
    pub(crate) node: &'a Node,
    pub(crate) schema: &'a SchemaRef,
    /// Its options, without those of its query.
    pub(crate) options: Vec<OptionEntry>,
    /// When the statement was given.
    pub(crate) now: Micros,
}

impl Declaring<'_> {
    /// Checks everything, and gives the sink over a store of its rows.
    pub(crate) fn sink(&self, store: Arc<Store>) -> Result<Sink> {
        let create = self.create;
        let connector = self.connector()?;
        let mut options = Options::new(self.options.clone())?.written_at(self.now);
        let parts = connector.sink_parts();
        let key = self.key(&mut options, parts)?;
        let encoding = self.encoding(&mut options, parts, key)?;
        let delivery = delivery(&mut options)?;
        let commit_every = commit_interval(&mut options)?;
        let writes_columns = parts.columns || create.encoding == Encoding::Parquet;
        if let Some(entry) = create.timestamp_option.as_ref().filter(|_| writes_columns) {
            return Err(no_effect(entry, &create.connector.value));
        }
        let declared = SinkDeclaration {
            schema: Arc::clone(self.schema),
            format: create.format,
            encoding: create.encoding.clone(),
            key: encoding.key.clone(),
            updating: self.node.mode == Mode::Updating,
            delivery: delivery.as_ref().map(|(delivery, _)| *delivery),
        };
        let located = |error: Error| error.at(create.connector.location);
        let factory = connector.sink(&mut options, &declared).map_err(located)?;
        options.finish()?;
        if let Some((Delivery::ExactlyOnce, entry)) = &delivery {
            let connector = &create.connector.value;
            check_exactly_once(self.shared, factory.delivery(), entry, connector)?;
        }
        Ok(Sink {
            store,
            factory,
            encoding: Writing::Rows(encoding),
            of_source: None,
            commit_every,
        })
    }

    fn connector(&self) -> Result<Arc<dyn Connector>> {
        let create = self.create;
        let named = &create.connector;
        let found = find_connector(self.shared, named)?;
        let encodings = found.sink_encodings();
        if encodings.is_empty() {
            let what = format!("a sink with connector \"{}\"", named.value);
            return Err(Error::unsupported(what).at(named.location));
        }
        if !encodings.contains(&create.encoding.name()) {
            let what = format!(
                "ENCODE {} in a sink with connector \"{}\"",
                create.encoding.name(),
                named.value
            );
            let hint = format!("its records are {}", encodings.join(", "));
            return Err(Error::unsupported(what).hint(hint).at(named.location));
        }
        // What people read needs no format.
        if encodings.len() > 1 && !create.format_given && !found.sink_parts().signs {
            let message = "the sink lacks FORMAT PLAIN ENCODE JSON";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(named.location));
        }
        if self.node.mode == Mode::Updating
            && create.format == SinkFormat::Plain
            && !found.sink_parts().signs
        {
            return Err(
                Error::unsupported("FORMAT PLAIN for rows that are taken back")
                    .at(create.name.location)
                    .hint("FORMAT UPSERT gives the newest row of a key; EMIT ON WINDOW CLOSE gives rows of windows once"),
            );
        }
        Ok(Arc::clone(found))
    }

    /// The columns of the key: those that are named, or for UPSERT those that tell rows apart.
    fn key(&self, options: &mut Options, parts: SinkParts) -> Result<Vec<usize>> {
        let entry = options.take_any("key", &["primary_key", "key.fields"])?;
        if let Some(entry) = entry.as_ref().filter(|_| !parts.keys) {
            return Err(no_effect(entry, &self.create.connector.value));
        }
        let named = entry.as_ref().map(|e| self.columns(e)).transpose()?;
        if self.create.format == SinkFormat::Plain {
            return Ok(named.unwrap_or_default());
        }
        let unique = unique_key(self.catalog, self.node);
        let Some(named) = named else {
            return unique.filter(|key| !key.is_empty()).ok_or_else(|| {
                Error::new(SqlState::INVALID_PARAMETER, "FORMAT UPSERT needs a key")
                    .at(self.create.name.location)
                    .hint("add key = 'column, …' to WITH (…)")
            });
        };
        let tells_apart = |unique: &Vec<usize>| unique.iter().all(|column| named.contains(column));
        if self.node.mode == Mode::Updating && !unique.as_ref().is_some_and(tells_apart) {
            let names = |columns: &[usize]| {
                let name = |at: &usize| self.schema.field(*at).name().as_str();
                columns.iter().map(name).collect::<Vec<_>>().join(", ")
            };
            let message = format!("rows with the same {} may differ", names(&named));
            let error = Error::new(SqlState::INVALID_PARAMETER, message)
                .at(entry.and_then(|e| e.location))
                .detail("a row that is taken back would delete another one of its key");
            return Err(match &unique {
                Some(unique) if !unique.is_empty() => {
                    error.hint(format!("the rows are told apart by {}", names(unique)))
                }
                _ => error.hint("group by the columns of the key"),
            });
        }
        Ok(named)
    }

    fn encoding(
        &self,
        options: &mut Options,
        parts: SinkParts,
        key: Vec<usize>,
    ) -> Result<SinkEncoding> {
        let mut given = Vec::new();
        for name in ["key.format", "timestamp", "headers"] {
            given.push(options.take_any(name, &[])?);
        }
        if let Some(entry) = given.iter().flatten().find(|_| !parts.records) {
            return Err(no_effect(entry, &self.create.connector.value));
        }
        let [key_format, time, headers] = [given[0].take(), given[1].take(), given[2].take()];
        let how = SinkEncoding {
            schema: Arc::clone(self.schema),
            format: self.create.format,
            encoding: self.create.encoding.clone(),
            timestamps: self.create.timestamps,
            key_format: self.key_format(key_format.as_ref(), &key)?,
            key,
            time: match &time {
                Some(entry) => Some(self.time(entry)?),
                None => self.event_time(),
            },
            headers: headers.map_or_else(|| Ok(Vec::new()), |entry| self.columns(&entry))?,
        };
        SinkEncoder::new(how.clone()).map_err(|e| e.at(self.create.name.location))?;
        Ok(how)
    }

    fn key_format(&self, entry: Option<&OptionEntry>, key: &[usize]) -> Result<KeyFormat> {
        let Some(entry) = entry else {
            return Ok(KeyFormat::Json);
        };
        if key.is_empty() {
            return Err(bad_value(entry, "has no effect without a key"));
        }
        match entry.value.to_ascii_lowercase().as_str() {
            "json" => Ok(KeyFormat::Json),
            "raw" if key.len() == 1 => Ok(KeyFormat::Raw),
            "raw" => Err(bad_value(entry, "needs a key of one column")),
            _ => Err(bad_value(entry, "is not one of the choices").hint("choices: json, raw")),
        }
    }

    /// The columns that an option names, with commas between.
    fn columns(&self, entry: &OptionEntry) -> Result<Vec<usize>> {
        let mut found = Vec::new();
        // Flink has semicolons.
        for name in entry.value.split([',', ';']).map(str::trim) {
            let fields = self.schema.fields();
            let at = fields
                .iter()
                .position(|f| f.name() == name)
                .ok_or_else(|| {
                    let message = format!(
                        "column \"{name}\" of option \"{}\" does not exist",
                        entry.name
                    );
                    let names = fields.iter().map(|f| f.name().as_str());
                    Error::new(SqlState::UNDEFINED_COLUMN, message)
                        .at(entry.location)
                        .hint(format!("columns: {}", names.collect::<Vec<_>>().join(", ")))
                })?;
            if found.contains(&at) {
                return Err(bad_value(entry, "names a column twice"));
            }
            found.push(at);
        }
        Ok(found)
    }

    fn time(&self, entry: &OptionEntry) -> Result<(usize, Micros)> {
        let column = match self.columns(entry)?.as_slice() {
            [column] => *column,
            _ => return Err(bad_value(entry, "is not one column")),
        };
        match self.schema.field(column).data_type() {
            DataType::Timestamp(..) => Ok((column, 0)),
            _ => Err(bad_value(entry, "is not a column of time")),
        }
    }

    /// The column that is the event time of the rows: the window's last instant, or what follows the watermark.
    fn event_time(&self) -> Option<(usize, Micros)> {
        let window = &self.node.window;
        let of =
            |wanted: WindowColumn| window.iter().find(|(_, c)| *c == wanted).map(|(at, _)| *at);
        let end = of(WindowColumn::End).map(|at| (at, -dataflow::time::MILLI));
        let time = of(WindowColumn::Time).map(|at| (at, 0));
        let other = self.node.times.first().map(|time| (time.index, 0));
        time.or(end).or(other)
    }
}

/// The sink of a source's bad records, by the source's own connector.
pub(crate) fn dead_letters(
    shared: &Shared,
    create: &CreateSource,
    dead: DeadLetters,
    store: Arc<Store>,
) -> Result<Sink> {
    let named = &create.connector;
    let connector = shared.connectors.get(&named.value);
    let connector = connector.filter(|connector| connector.sink_parts().records);
    let connector = connector.ok_or_else(|| {
        let what = format!(
            "bad_data = 'dead_letter' with connector \"{}\"",
            named.value
        );
        Error::unsupported(what)
            .at(named.location)
            .hint("bad_data = 'store' keeps them in a table")
    })?;
    let delivery = dead.delivery.as_ref().map(delivery_of).transpose()?;
    let mut options = Options::new(dead.options)?;
    let factory = connector.sink(
        &mut options,
        &SinkDeclaration {
            schema: engine::aside::errors_schema(),
            format: SinkFormat::Plain,
            encoding: Encoding::Json,
            key: Vec::new(),
            updating: false,
            delivery,
        },
    )?;
    options.finish()?;
    if let (Some(Delivery::ExactlyOnce), Some(entry)) = (delivery, &dead.delivery) {
        check_exactly_once(shared, factory.delivery(), entry, &named.value)?;
    }
    Ok(Sink {
        store,
        factory,
        encoding: Writing::DeadLetters,
        commit_every: COMMIT_EVERY,
        of_source: Some(create.name.value.clone()),
    })
}

/// Exactly once needs a connector that can, and state that lasts.
fn check_exactly_once(
    shared: &Shared,
    has: Delivery,
    entry: &OptionEntry,
    connector: &str,
) -> Result<()> {
    if has != Delivery::ExactlyOnce {
        let what = format!("delivery = 'exactly_once' with connector \"{connector}\"");
        return Err(Error::unsupported(what).at(entry.location));
    }
    if !shared.is_lasting {
        let message = "delivery = 'exactly_once' needs state that lasts";
        return Err(Error::new(SqlState::OBJECT_NOT_READY, message)
            .at(entry.location)
            .hint("start clickmill with --data-dir"));
    }
    Ok(())
}

/// The columns that tell a plan's rows apart, also through the views that it reads.
fn unique_key(catalog: &Catalog, node: &Node) -> Option<Vec<usize>> {
    let of_view = |name: &str| match catalog.get(name).map(|o| &o.body) {
        Some(Body::Materialized(view)) => unique_key(catalog, &view.node),
        _ => None,
    };
    plan::keys::unique_key(node, &of_view)
}

fn no_effect(entry: &OptionEntry, connector: &str) -> Error {
    let message = format!(
        "option \"{}\" has no effect on a sink with connector \"{connector}\"",
        entry.name
    );
    Error::new(SqlState::INVALID_PARAMETER, message).at(entry.location)
}

/// Takes `commit_interval`. A transaction must be committed before its brokers give it up.
fn commit_interval(options: &mut Options) -> Result<Duration> {
    let flink = "sink.buffer-flush.interval";
    let entry = options
        .entries()
        .find(|entry| entry.name == "commit_interval" || entry.name == flink)
        .cloned();
    let given = options.take_duration("commit_interval", &[flink])?;
    match (given, entry) {
        (Some(given), Some(entry)) if !COMMIT_BOUNDS.contains(&given) => {
            Err(bad_value(&entry, "is not between 10 ms and 30 s"))
        }
        (given, _) => Ok(given.unwrap_or(COMMIT_EVERY)),
    }
}

/// Takes `delivery`, also in Flink's words.
fn delivery(options: &mut Options) -> Result<Option<(Delivery, OptionEntry)>> {
    let Some(entry) = options.take_any("delivery", &["sink.delivery-guarantee"])? else {
        return Ok(None);
    };
    Ok(Some((delivery_of(&entry)?, entry)))
}

fn delivery_of(entry: &OptionEntry) -> Result<Delivery> {
    match entry.value.to_ascii_lowercase().replace('-', "_").as_str() {
        "exactly_once" => Ok(Delivery::ExactlyOnce),
        "at_least_once" => Ok(Delivery::AtLeastOnce),
        _ => Err(bad_value(entry, "is not one of the choices")
            .hint("choices: at_least_once, exactly_once")),
    }
}
