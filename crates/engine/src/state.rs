//! State of operators: rows under stable slots, and maps by key.

pub mod bytes;
pub mod cow;
pub mod keys;
pub mod rows;
pub mod saved;
