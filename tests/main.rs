//! All end-to-end suites in one binary: `cargo test -p e2e`, or `cargo test -p e2e slt::` for one of them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod suites;

use libtest_mimic::Arguments;

fn main() {
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, suites::all()).exit();
}
