//! A value's text, under any type.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bemi_worker::fuzzing::render(input));
