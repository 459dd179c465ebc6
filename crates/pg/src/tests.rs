//! The whole server over a database that does what its statements say: raw messages, a driver, psql, and noise.

mod driver;
mod fake;
mod fuzz;
mod messages;
mod opening;
mod psql;
mod raw;
mod real;
mod stopping;
