//! What the server needs of a database: sessions that parse, prepare and execute.

use async_trait::async_trait;
use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;

use dataflow::Result;

pub use database::{BatchStream, Cancel, Notice, Outcome, Prepared, Rows, TransactionStatus};
pub use sql::ast::{CopyFormat, Parsed};

use sql::ast::Statement;

/// Whether a statement never ends by itself: `statement_timeout` does not count for it.
pub(crate) fn is_live(parsed: &Parsed) -> bool {
    match &parsed.statement {
        Statement::Subscribe(_) => true,
        Statement::CopyTo(copy) => matches!(*copy.source, Statement::Subscribe(_)),
        _ => false,
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
    async fn execute(
        &mut self,
        parsed: &Parsed,
        params: &[ScalarValue],
        cancel: &Cancel,
    ) -> Result<Outcome>;

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

/// The sessions of a [`database::Database`].
impl Backend for database::Database {
    fn session(&self, startup: &StartupInfo) -> Result<Box<dyn PgSession>> {
        let init = database::SessionInit {
            user: startup.user.clone(),
            database: startup.database.clone(),
            application_name: startup.application_name.clone(),
            settings: startup.settings.clone(),
        };
        Ok(Box::new(database::Database::session(self, init)?))
    }
}

#[async_trait]
impl PgSession for database::Session {
    fn parse(&self, text: &str) -> Result<Vec<Parsed>> {
        database::Session::parse(self, text)
    }

    async fn prepare(&mut self, parsed: &Parsed, hints: &[Option<DataType>]) -> Result<Prepared> {
        database::Session::prepare(self, parsed, hints).await
    }

    async fn execute(
        &mut self,
        parsed: &Parsed,
        params: &[ScalarValue],
        cancel: &Cancel,
    ) -> Result<Outcome> {
        database::Session::execute(self, parsed, params, cancel).await
    }

    async fn finish_batch(&mut self) -> Result<()> {
        database::Session::finish_batch(self).await
    }

    fn fail(&mut self) {
        database::Session::fail(self);
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        database::Session::take_notices(self)
    }

    fn take_parameters(&mut self) -> Vec<(&'static str, String)> {
        database::Session::take_parameters(self)
    }

    fn transaction_status(&self) -> TransactionStatus {
        database::Session::transaction_status(self)
    }

    fn setting(&self, name: &str) -> Option<String> {
        database::Session::setting(self, name)
    }
}
