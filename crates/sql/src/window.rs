//! Window functions: their syntax, their logical node, and their plans for queries that end.

pub mod batch;
pub mod call;
pub mod group_form;
pub mod node;
pub mod partition;
pub mod planner;
mod session_bounds;
pub mod ties;

pub use node::WindowNode;
pub use planner::{RunMode, WindowPlanner};
