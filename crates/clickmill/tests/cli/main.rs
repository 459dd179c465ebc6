//! The program as users start it: what it prints where, its exit codes, and how it stops.
#![allow(
    clippy::unwrap_used,
    reason = "in tests a panic is how a failure is told"
)]

mod demo;
mod process;
mod produce;
mod run;
mod serve;
mod words;
