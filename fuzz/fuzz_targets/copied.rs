//! A row as COPY takes it.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bemi_worker::fuzzing::copied(input));
