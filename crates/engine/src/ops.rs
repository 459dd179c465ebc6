//! The operators: one file each, built from plan nodes in one list (`crate::build`).

pub mod calc;
pub mod close_agg;
pub mod final_rows;
pub mod pane_agg;
pub mod retime;
pub mod session_agg;
pub mod table_join;
pub mod top_n;
pub mod union;
pub mod updating_agg;
pub mod values;
pub mod window_assign;
pub mod window_join;
