//! The continuous plan as data: what SQL gives to the engine. Expressions are DataFusion's, nodes are ours.

pub mod display;
mod estimate;
pub mod keys;
pub mod node;
pub mod relation;
pub mod replace;
pub mod window;
pub mod zone;

pub use node::{AggSpec, Emit, Mode, Node, Op, SessionEnds, StateRule, TimeColumn, Weight};
pub use relation::{Relation, RelationKind, ViewShape};
pub use window::{Window, WindowColumn, WindowKind};
pub use zone::Zone;
