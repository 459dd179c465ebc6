//! `INFER [(SAMPLE records)]` of CREATE SOURCE.

use dataflow::{Error, Result, SqlState};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;

/// Records to look at unless told otherwise.
const DEFAULT_SAMPLE: usize = 1_000;
/// Most records to look at.
const MAX_SAMPLE: usize = 100_000;

/// Reads what follows INFER; gives the most records to look at.
pub(super) fn infer(cursor: &mut Cursor<'_>) -> Result<usize> {
    if !cursor.accept_token(&Token::LParen) {
        return Ok(DEFAULT_SAMPLE);
    }
    cursor.expect(&["SAMPLE"])?;
    let at = cursor.location();
    let digits = match cursor.peek(0) {
        Some(Token::Number(digits, false)) => digits.clone(),
        _ => return Err(cursor.unexpected().detail("expected a number of records")),
    };
    cursor.skip();
    let sample = digits
        .parse()
        .ok()
        .filter(|sample| (1..=MAX_SAMPLE).contains(sample));
    let sample = sample.ok_or_else(|| {
        let message = format!("SAMPLE must be a number of records from 1 to {MAX_SAMPLE}");
        Error::new(SqlState::INVALID_PARAMETER, message).at(at)
    })?;
    cursor.expect_token(&Token::RParen)?;
    Ok(sample)
}
