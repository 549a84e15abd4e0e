//! A message of pgoutput.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bemi_worker::fuzzing::decode(input));
