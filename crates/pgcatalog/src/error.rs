//! The errors that carry a SQLSTATE of their own.

use std::fmt;

use datafusion::error::DataFusionError;

/// A failure of a system function, to be found inside [`DataFusionError::External`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogError {
    /// Five characters, such as `42P01`.
    pub sqlstate: &'static str,
    /// Lower-case and factual, as PostgreSQL words it.
    pub message: String,
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CatalogError {}

pub(crate) fn error(sqlstate: &'static str, message: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(CatalogError {
        sqlstate,
        message: message.into(),
    }))
}
