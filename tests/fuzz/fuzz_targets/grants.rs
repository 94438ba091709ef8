// SPDX-License-Identifier: GPL-2.0

//! libFuzzer's entry to [`xen_fuzz::grants`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xen_fuzz::grants(data));
