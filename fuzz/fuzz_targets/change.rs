//! A stream of messages, up to the rows that are stored.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bemi_worker::fuzzing::change(input));
