// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/xen/hypercalls`: how often each hypercall was made by built-in objects of
//! ours. Writing 1 or 0 to it switches counting on or off.

use kernel::{
    fmt,
    prelude::*,
    uaccess::UserSliceReader, //
};

use xen_core::call_counts::{
    self,
    How,
    NUMBERS, //
};

use xen_hypercall::names::name;

fn show((): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let state = match call_counts::is_counting() {
        true => "on",
        false => "off",
    };
    writeln!(f, "counting is {state}")?;
    writeln!(f, "hypercall                   direct        batched")?;
    for number in 0..NUMBERS {
        let direct = call_counts::total(number, How::Direct);
        let batched = call_counts::total(number, How::Batched);
        if direct != 0 || batched != 0 {
            let name = name(number as u32);
            writeln!(f, "{name:<18} {direct:>15}{batched:>15}")?;
        }
    }
    Ok(())
}

/// Takes 1 or 0.
fn switch((): &(), text: &mut UserSliceReader) -> Result {
    let on = match text.read::<u8>()? {
        b'1' => true,
        b'0' => false,
        _ => return Err(EINVAL),
    };
    call_counts::set_counting(on);
    Ok(())
}

xen_core::debug_file!(c"hypercalls", show, switch);
