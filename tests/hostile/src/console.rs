// SPDX-License-Identifier: GPL-2.0

//! A console daemon that lies: for some seconds, it says that it has read output that was not written, and has written more input
//! than there is room for. In the end all indices are legal again. The real daemon is to be stopped meanwhile.

use std::io;
use std::mem::offset_of;
use std::thread::sleep;
use std::time::{Duration, Instant};

use xen_abi::grant_table::reserved;
use xen_abi::io::console::Interface;
use xen_ring::RingMem;

use crate::device::Gntdev;

const IN_CONS: usize = offset_of!(Interface, in_cons);
const IN_PROD: usize = offset_of!(Interface, in_prod);
const OUT_CONS: usize = offset_of!(Interface, out_cons);
const OUT_PROD: usize = offset_of!(Interface, out_prod);

/// Does it to the first console of a domain.
pub fn run(domid: u16, lasts: Duration) -> io::Result<()> {
    let gntdev = Gntdev::open()?;
    let granted = gntdev.map(domid, &[reserved::CONSOLE], true)?;
    let page = granted.mapping();
    let end = Instant::now() + lasts;
    let mut round = 0u32;
    while Instant::now() < end {
        round = round.wrapping_add(1);
        let far = match round % 3 {
            0 => 1,
            1 => u32::MAX / 2,
            _ => 0x1000_0001,
        };
        page.store_relaxed(OUT_CONS, page.load_relaxed(OUT_PROD).wrapping_add(far));
        page.store_relaxed(IN_PROD, page.load_relaxed(IN_CONS).wrapping_add(1024 + far));
        sleep(Duration::from_millis(1));
    }
    page.store_relaxed(OUT_CONS, page.load_relaxed(OUT_PROD));
    page.store_relaxed(IN_PROD, page.load_relaxed(IN_CONS));
    println!("{round} times");
    Ok(())
}
