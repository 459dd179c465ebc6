//! What the server needs of a database: sessions that parse, prepare and execute.

use async_trait::async_trait;
use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;

use dataflow::Result;

pub use temp::*;

mod temp {
    use super::*;
    pub use tokio_util::sync::CancellationToken as Cancel;
    pub type BatchStream =
        std::pin::Pin<Box<dyn futures::Stream<Item = Result<datafusion::arrow::array::RecordBatch>> + Send>>;
    pub struct Rows {
        pub schema: datafusion::arrow::datatypes::SchemaRef,
        pub stream: BatchStream,
        pub tag: &'static str,
    }
    pub enum Outcome {
        Rows(Rows),
        Copy(Rows, CopyFormat),
        Done(String),
    }
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum CopyFormat {
        Text,
        Csv { header: bool },
    }
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Notice {
        pub severity: &'static str,
        pub state: &'static str,
        pub message: String,
        pub hint: Option<String>,
    }
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum TransactionStatus {
        Idle,
        InBlock,
        Failed,
    }
    pub struct Prepared {
        pub schema: Option<datafusion::arrow::datatypes::SchemaRef>,
        pub parameters: Vec<DataType>,
    }
    #[derive(Clone, Debug)]
    pub struct Parsed {
        pub text: String,
        pub location: dataflow::Location,
    }
    pub(crate) fn is_live(_p: &Parsed) -> bool {
        false
    }
}

/// What a client said of itself when it connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartupInfo {
    /// `user`.
    pub user: String,
    /// `database`, the user's name unless given.
    pub database: String,
    /// `application_name`, or empty.
    pub application_name: String,
    /// All other settings in the order given: startup parameters such as `TimeZone`, then those of `options`
    /// (`-c name=value`). `client_encoding` is not among them: it is always UTF8.
    pub settings: Vec<(String, String)>,
}

/// Makes sessions.
pub trait Backend: Send + Sync + 'static {
    /// A session for a client. An error ends the connection and is shown to the client.
    fn session(&self, startup: &StartupInfo) -> Result<Box<dyn PgSession>>;
}

/// One client's session, as the wire server uses it.
#[async_trait]
pub trait PgSession: Send {
    /// Splits and parses a text of any number of statements. Errors carry a location in `text`.
    fn parse(&self, text: &str) -> Result<Vec<Parsed>>;

    /// Plans a statement without running it. `hints` are the parameter types that the client named.
    async fn prepare(&mut self, parsed: &Parsed, hints: &[Option<DataType>]) -> Result<Prepared>;

    /// Runs one statement; `cancel` ends it, also while its rows stream.
    async fn execute(&mut self, parsed: &Parsed, params: &[ScalarValue], cancel: &Cancel) -> Result<Outcome>;

    /// Called once at the end of a simple-query message and at Sync, also after an error.
    async fn finish_batch(&mut self) -> Result<()>;

    /// An error was found outside `execute` (parse error, cancelled rows): a transaction block is failed.
    fn fail(&mut self);

    /// Notices since the last call, oldest first.
    fn take_notices(&mut self) -> Vec<Notice>;

    /// Settings to report that changed since the last call. The first call gives all.
    fn take_parameters(&mut self) -> Vec<(&'static str, String)>;

    /// The transaction state for ReadyForQuery.
    fn transaction_status(&self) -> TransactionStatus;

    /// A setting's value.
    fn setting(&self, name: &str) -> Option<String>;
}
