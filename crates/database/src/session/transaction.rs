//! Transaction blocks: what they allow, and BEGIN, COMMIT and ROLLBACK.

use dataflow::{Error, Result, SqlState};
use sql::ast::{Parsed, Statement};

use super::{Session, changes_catalog};
use crate::outcome::{Notice, TransactionStatus};

impl Session {
    /// What a transaction block does not allow.
    pub(super) fn check_transaction(&self, parsed: &Parsed) -> Result<()> {
        match self.transaction {
            TransactionStatus::Failed if !matches!(parsed.statement, Statement::Commit | Statement::Rollback) => {
                let message = "current transaction is aborted, commands ignored until end of transaction block";
                Err(Error::new(SqlState::IN_FAILED_TRANSACTION, message))
            }
            TransactionStatus::InBlock if changes_data(&parsed.statement) => {
                Err(Error::unsupported("a change inside a transaction block")
                    .at(Some(parsed.location))
                    .hint("send it outside BEGIN … COMMIT; statements of one message take effect together"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn transact(&mut self, statement: &Statement) -> &'static str {
        let before = self.transaction;
        let warning = match (statement, before) {
            (Statement::Begin, TransactionStatus::InBlock) => Some(Notice::warning(
                "25001",
                "there is already a transaction in progress",
            )),
            (Statement::Commit | Statement::Rollback, TransactionStatus::Idle) => Some(
                Notice::warning("25P01", "there is no transaction in progress"),
            ),
            _ => None,
        };
        self.notices.extend(warning);
        match statement {
            Statement::Begin => {
                self.transaction = TransactionStatus::InBlock;
                "BEGIN"
            }
            Statement::Commit if before != TransactionStatus::Failed => {
                self.transaction = TransactionStatus::Idle;
                "COMMIT"
            }
            _ => {
                self.transaction = TransactionStatus::Idle;
                "ROLLBACK"
            }
        }
    }
}

fn changes_data(statement: &Statement) -> bool {
    changes_catalog(statement)
        || matches!(
            statement,
            Statement::Insert(_)
                | Statement::AdvanceWatermark { .. }
                | Statement::CreateSavepoint(_)
                | Statement::DropSavepoint { .. }
        )
}
