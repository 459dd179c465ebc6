//! Streams of JSON records, decoded the fast way and the general way: `cargo +nightly fuzz run records` in crates/formats.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| formats::fuzzing::check_record_stream(bytes));
