//! Planted faults: mistakes that tests turn on by name, to see that the oracle notices each. Other builds cannot have them.
//!
//! They exist with the feature `faults` only, which the tests ask for and the program does not. Without it [`on`] is a
//! constant, and nothing of this is left in the operators.

/// A mistake that an engine could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A row at exactly the border of a pane falls into the pane before it.
    BorderOffByOne,
    /// A source's watermark is the greatest of its partitions' instead of the least.
    WatermarkMaximum,
    /// Of the rows that a correction takes back, the first stays.
    RetractionLost,
    /// The runs of a pane are merged into a window twice.
    PaneMergedTwice,
    /// A row whose windows have all closed is aggregated all the same.
    LateRowKept,
    /// When the journal is run again, time stands still.
    TimeForgotten,
    /// A checkpoint has panes and not which windows of them are open.
    OpenWindowsForgotten,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::BorderOffByOne,
        Self::WatermarkMaximum,
        Self::RetractionLost,
        Self::PaneMergedTwice,
        Self::LateRowKept,
        Self::TimeForgotten,
        Self::OpenWindowsForgotten,
    ];
}

/// Whether the engine on this thread is to make the mistake.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub const fn on(_fault: Fault) -> bool {
    false
}

#[cfg(feature = "faults")]
pub use planted::{Planted, on, plant};

#[cfg(feature = "faults")]
mod planted {
    use std::cell::Cell;
    use std::marker::PhantomData;

    use super::Fault;

    thread_local! {
        static CHOSEN: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Whether the engine on this thread is to make the mistake.
    pub fn on(fault: Fault) -> bool {
        CHOSEN.get() == Some(fault)
    }

    /// Engines on this thread make the mistake until the result is dropped.
    #[must_use]
    pub fn plant(fault: Fault) -> Planted {
        CHOSEN.set(Some(fault));
        Planted(PhantomData)
    }

    /// A fault that is on; it stays on its thread.
    #[derive(Debug)]
    pub struct Planted(PhantomData<*const ()>);

    impl Drop for Planted {
        fn drop(&mut self) {
            CHOSEN.set(None);
        }
    }
}
