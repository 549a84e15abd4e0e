//! The content of a context message.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bemi_worker::fuzzing::context(input));
