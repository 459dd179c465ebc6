//! From SQL text to statements and stream plans. Knows no connector and no wire protocol.

pub mod ast;
pub mod checked;
pub mod continuous;
pub mod dialect;
pub mod errors;
pub mod interval;
pub mod location;
pub mod lower;
pub mod name;
pub mod names;
pub mod optimize;
pub mod parse;
pub mod planner;
pub mod refuse;
mod sort_aggregates;
pub mod types;
pub mod window;
