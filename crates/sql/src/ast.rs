//! clickmill's statements: what the parser gives and the database carries out.

use dataflow::options::OptionEntry;
use dataflow::schema::{Column, Encoding, SourceSchema, TimestampFormat};
use dataflow::sink::SinkFormat;
use dataflow::{Location, Micros};
use sqlparser::ast::{Expr, Query};

/// One statement of a text, with its own text and the place where it begins.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What to do.
    pub statement: Statement,
    /// The statement as written, without the semicolon.
    pub text: String,
    /// Where it begins in the whole text. Every location inside is relative to the whole text.
    pub location: Location,
}

/// A name as written, folded as Postgres folds identifiers. A schema other than `public` is refused by the parser for
/// names of user objects; in queries schemas stay in the `Query`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The folded identifier.
    pub value: String,
    /// Where it stands.
    pub location: Option<Location>,
}

/// Everything that clickmill carries out.
#[derive(Clone, Debug)]
pub enum Statement {
    /// `CREATE SOURCE`, or Flink's `CREATE TABLE … WITH ('connector' = …)`.
    CreateSource(CreateSource),
    /// `CREATE SOURCE … INFER`: a source whose columns a sample of its records tells.
    InferSource(InferSource),
    /// `CREATE TABLE` without a connector: a small table, in tests with a watermark also a stream.
    CreateTable(CreateTable),
    /// `CREATE [MATERIALIZED] VIEW`.
    CreateView(CreateView),
    /// `CREATE SINK`.
    CreateSink(CreateSink),
    /// `DROP kind [IF EXISTS] name, … [CASCADE | RESTRICT]`.
    Drop(Drop),
    /// `CREATE SAVEPOINT name`: the state as it is, under a name.
    CreateSavepoint(Name),
    /// `DROP SAVEPOINT [IF EXISTS] name`.
    DropSavepoint {
        /// Its name.
        name: Name,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `ALTER MATERIALIZED VIEW name …`, `ALTER SINK name …`.
    AlterView(AlterView),
    /// `ALTER SOURCE name ADD COLUMN …`.
    AlterSource(AlterSource),
    /// `INSERT INTO table [(columns)] query`.
    Insert(Insert),
    /// `ADVANCE WATERMARK FOR table TO time`: moves the event time of a table by hand.
    AdvanceWatermark {
        /// The table.
        name: Name,
        /// A constant timestamp.
        to: Expr,
    },
    /// A query that ends.
    Query(Box<Query>),
    /// `SUBSCRIBE …`, which never ends by itself.
    Subscribe(Subscribe),
    /// `COPY … TO STDOUT`.
    CopyTo(CopyTo),
    /// `EXPLAIN`.
    Explain(Explain),
    /// `SHOW …`.
    Show(Show),
    /// `DESCRIBE name`: the columns of a relation.
    Describe(Name),
    /// `SET [SESSION | LOCAL] name { = | TO } value`; the value as text, `None` for `DEFAULT`.
    Set {
        /// Setting, lower-case.
        name: Name,
        /// New value.
        value: Option<String>,
        /// `SET LOCAL`.
        local: bool,
    },
    /// `RESET name`, or `RESET ALL` (`None`).
    Reset(Option<Name>),
    /// `DISCARD ALL`.
    DiscardAll,
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`.
    Commit,
    /// `ROLLBACK`, `ABORT`.
    Rollback,
}

/// `CREATE SOURCE`.
#[derive(Clone, Debug)]
pub struct CreateSource {
    /// Its name.
    pub name: Name,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Columns, including those of `INCLUDE`, and the watermark.
    pub schema: SourceSchema,
    /// `WITH (…)` as written, except `connector` and what the parser consumed (`timestamp.format`, Flink's `format`).
    pub options: Vec<OptionEntry>,
    /// The connector's name and where it stands.
    pub connector: Name,
}

/// `CREATE SOURCE name … WITH (…) … INFER [(SAMPLE records)]`, without a list of columns.
#[derive(Clone, Debug)]
pub struct InferSource {
    /// Its name.
    pub name: Name,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The columns of `INCLUDE`.
    pub included: Vec<Column>,
    /// How timestamps are written in records.
    pub timestamps: TimestampFormat,
    /// As in [`CreateSource`].
    pub options: Vec<OptionEntry>,
    /// The connector's name and where it stands.
    pub connector: Name,
    /// Most records to look at.
    pub sample: usize,
    /// The clauses other than INFER as written, each one piece.
    pub clauses: Vec<String>,
    /// Whether FORMAT is among the clauses.
    pub format_given: bool,
}

/// `ALTER SOURCE [IF EXISTS] name ADD [COLUMN] [IF NOT EXISTS] column`.
#[derive(Clone, Debug)]
pub struct AlterSource {
    /// Its name.
    pub name: Name,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The new column.
    pub column: Column,
    /// Where its name stands.
    pub column_location: Option<Location>,
}

/// `CREATE TABLE` without a connector.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// Its name.
    pub name: Name,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Columns and, optionally, a watermark: then windows over the table work.
    pub schema: SourceSchema,
}

/// `CREATE [OR REPLACE] [MATERIALIZED] VIEW name [(columns)] [WITH (…)] AS query [EMIT …] [ALLOW LATENESS …]`.
#[derive(Clone, Debug)]
pub struct CreateView {
    /// Its name.
    pub name: Name,
    /// `MATERIALIZED`.
    pub materialized: bool,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Names for the columns, or empty.
    pub columns: Vec<Name>,
    /// `WITH (…)` as written.
    pub options: Vec<OptionEntry>,
    /// The query.
    pub query: Box<Query>,
    /// The query's text as written, without EMIT.
    pub query_text: String,
    /// `EMIT …` and `ALLOW LATENESS …`.
    pub emission: Emission,
}

/// `CREATE SINK name FROM view | AS query [EMIT …] WITH (…) [FORMAT … ENCODE …]`.
#[derive(Clone, Debug)]
pub struct CreateSink {
    /// Its name.
    pub name: Name,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The query whose rows leave; `FROM view` is `SELECT * FROM view`.
    pub query: Box<Query>,
    /// The query's text, without EMIT.
    pub query_text: String,
    /// The view of `FROM view`.
    pub from: Option<Name>,
    /// `EMIT …` and `ALLOW LATENESS …`.
    pub emission: Emission,
    /// The connector's name and where it stands.
    pub connector: Name,
    /// `WITH (…)` as written, except `connector`, `timestamp.format` and the encoding's own.
    pub options: Vec<OptionEntry>,
    /// `FORMAT …`; PLAIN when not given.
    pub format: SinkFormat,
    /// `ENCODE …`; JSON when not given.
    pub encoding: Encoding,
    /// Whether FORMAT is written.
    pub format_given: bool,
    /// How timestamps are written in records.
    pub timestamps: TimestampFormat,
    /// `timestamp.format`, if it is given.
    pub timestamp_option: Option<OptionEntry>,
}

/// What a statement says about when results come out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Emission {
    /// `EMIT …`, if written.
    pub emit: Option<Emit>,
    /// `ALLOW LATENESS interval`: how long behind the close of its window a late row still counts, if written.
    pub lateness: Option<Micros>,
    /// Where the first of these clauses stands.
    pub location: Option<Location>,
}

/// When results of windows come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Emit {
    /// Final rows, once: `EMIT ON WINDOW CLOSE`, `EMIT FINAL`, `EMIT AFTER WINDOW CLOSE`.
    OnWindowClose,
    /// Open windows too, corrected by retraction: `EMIT ON UPDATE`, `EMIT CHANGES`, `EMIT EVERY INTERVAL …`.
    OnUpdate {
        /// How long changes are gathered at most; 1 second unless `EVERY` says otherwise.
        every: Micros,
    },
}

/// Kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// `SOURCE`.
    Source,
    /// `TABLE`.
    Table,
    /// `VIEW`.
    View,
    /// `MATERIALIZED VIEW`.
    MaterializedView,
    /// `SINK`.
    Sink,
}

/// `DROP`.
#[derive(Clone, Debug)]
pub struct Drop {
    /// What kind of object.
    pub kind: ObjectKind,
    /// Which ones.
    pub names: Vec<Name>,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// `CASCADE`: what depends on them goes too.
    pub cascade: bool,
}

/// `ALTER MATERIALIZED VIEW | SINK [IF EXISTS] name action`.
#[derive(Clone, Debug)]
pub struct AlterView {
    /// A materialized view or a sink.
    pub kind: ObjectKind,
    /// Its name.
    pub name: Name,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// What to do.
    pub action: ViewAction,
}

/// What ALTER does to a view or a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewAction {
    /// `SUSPEND`: it reads nothing until it is resumed.
    Suspend,
    /// `RESUME`: it is made again from the history of what it reads.
    Resume {
        /// `SKIP`: without the record that made it fail.
        skip: bool,
    },
}

/// `INSERT INTO table [(columns)] query`.
#[derive(Clone, Debug)]
pub struct Insert {
    /// The table.
    pub table: Name,
    /// Columns, or empty for all in order.
    pub columns: Vec<Name>,
    /// `VALUES …` or `SELECT …`.
    pub query: Box<Query>,
}

/// `SUBSCRIBE [TO] target [WITH (snapshot = …, progress = …)] [EMIT …]`.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// A query; `SUBSCRIBE name` is the query `SELECT * FROM name`.
    pub query: Box<Query>,
    /// The name when the target is a plain name.
    pub name: Option<Name>,
    /// Begin with the rows that are there (default true).
    pub snapshot: bool,
    /// Send progress rows (default false).
    pub progress: bool,
    /// `AS OF version`: go on after it.
    pub as_of: Option<(u64, Option<Location>)>,
    /// `EMIT …` and `ALLOW LATENESS …` of a subscribed query.
    pub emission: Emission,
    /// Where the target begins.
    pub location: Option<Location>,
}

/// `COPY source TO STDOUT [WITH (…)]`.
#[derive(Clone, Debug)]
pub struct CopyTo {
    /// What to send: a `Query` or a `Subscribe` statement (`COPY name TO` is the query `SELECT … FROM name`).
    pub source: Box<Statement>,
    /// How.
    pub format: CopyFormat,
}

/// Format of COPY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// PostgreSQL's text format (tab, `\N`).
    Text,
    /// CSV.
    Csv {
        /// First line names the columns.
        header: bool,
    },
}

/// `EXPLAIN [VERBOSE] statement`. ANALYZE is refused.
#[derive(Clone, Debug)]
pub struct Explain {
    /// `VERBOSE`.
    pub verbose: bool,
    /// A `Query`, `Subscribe` or `CreateView` statement.
    pub statement: Box<Statement>,
}

/// `SHOW …`.
#[derive(Clone, Debug)]
pub enum Show {
    /// `SHOW SOURCES`.
    Sources,
    /// `SHOW TABLES`.
    Tables,
    /// `SHOW VIEWS`.
    Views,
    /// `SHOW MATERIALIZED VIEWS`.
    MaterializedViews,
    /// `SHOW SINKS`.
    Sinks,
    /// `SHOW SAVEPOINTS`.
    Savepoints,
    /// `SHOW JOBS`.
    Jobs,
    /// `SHOW CREATE kind name`.
    Create(ObjectKind, Name),
    /// `SHOW setting` (`TIME ZONE` is `timezone`, `TRANSACTION ISOLATION LEVEL` is `transaction_isolation`).
    Setting(Name),
    /// `SHOW ALL`.
    AllSettings,
}
