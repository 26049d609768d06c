#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| msglib_fuzz_bodies::core::run(data));
