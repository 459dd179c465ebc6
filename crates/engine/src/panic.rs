//! Panics as errors, so that what broke fails alone.

use dataflow::{Error, Result};

/// Runs a step; a panic in it becomes an error.
pub(crate) fn guarded<T>(step: impl FnOnce() -> Result<T>) -> Result<T> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("a panic");
            Err(Error::internal(format!("clickmill broke: {text}")))
        }
    }
}
