#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| entries::names::short_name(input));
