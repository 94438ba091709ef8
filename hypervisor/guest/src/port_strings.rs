// SPDX-License-Identifier: GPL-2.0

//! INS and OUTS on ports that the hypervisor intercepts and emulates.

use misbehaving::random::Random;
use misbehaving::strings::PortString;

use crate::arch;
use crate::report::{failed, say};

/// Value of the bytes before INS writes to them. No intercepted port reads as that.
const OLD: u64 = 0x5a;
/// Bytes on both sides that have to stay as they are.
const AROUND: u64 = 8;

/// PCI's address register, which reads back what was written.
const ADDRESS: u16 = 0xcf8;

/// Executes all variants, in valid and in invalid memory. Without devices there is no register that keeps a value.
pub fn try_all(devices: bool, random: &mut Random) {
    let mut elements = 0;
    for _ in 0..300 {
        let one = PortString::good(random);
        good(&one);
        elements += one.elements();
    }
    for _ in 0..300 {
        let one = PortString::bad(random);
        let (fault, count, address) = arch::port_string(&one);
        let done = one.count.wrapping_sub(count);
        if !fault || done >= one.count || (count, address) != one.after(done) {
            failed(format_args!(
                "{one:?} ends with count {count}, address {address:#x}, fault: {fault}"
            ));
        }
        elements += done;
    }
    moves_values(devices, random);
    for _ in 0..100 {
        let one = PortString::from_hypervisor(random);
        arch::write_port(ADDRESS, 4, !0);
        let ones = arch::read_port(ADDRESS, 4);
        arch::write_port(ADDRESS, 4, 0);
        arch::port_string(&one);
        let value = arch::read_port(ADDRESS, 4);
        if value != ones {
            failed(format_args!("{one:?} gives {value:#x} away"));
        }
    }
    say(format_args!(
        "port strings: {elements} elements, 300 of 600 faulted as they should"
    ));
}

/// Executes one that has to finish without a fault.
fn good(one: &PortString) {
    let (start, bytes) = one.bytes();
    let all = start - AROUND..start + bytes + AROUND;
    all.clone().for_each(|at| arch::write(at, 1, OLD));
    let (fault, count, address) = arch::port_string(one);
    if fault || (count, address) != one.after(one.elements()) {
        failed(format_args!(
            "{one:?} ends with count {count}, address {address:#x}, fault: {fault}"
        ));
    }
    for at in all {
        let read = one.input && (start..start + bytes).contains(&at);
        let (is, wanted) = (arch::read(at, 1), if read { 0xff } else { OLD });
        if is != wanted {
            failed(format_args!("{one:?} leaves {is:#x} at {at:#x}"));
        }
    }
}

/// Checks that OUTS and INS move the values in memory.
fn moves_values(devices: bool, random: &mut Random) {
    for _ in 0..200 {
        let place = PortString::good(random);
        let one = PortString {
            port: ADDRESS,
            size: 4,
            repeated: true,
            count: 1,
            ..place
        };
        // Implemented bits of the register.
        let value = random.next() & 0x80ff_fffc;
        let (out, back) = (
            PortString {
                input: false,
                ..one
            },
            PortString {
                input: true,
                address: one.address ^ 4,
                ..one
            },
        );
        arch::write(out.address, 4, value);
        arch::port_string(&out);
        let plain = u64::from(arch::read_port(ADDRESS, 4));
        arch::port_string(&back);
        let read = arch::read(back.address, 4);
        let wanted = if devices { value } else { 0xffff_ffff };
        if (plain, read) != (wanted, wanted) {
            failed(format_args!(
                "{value:#x} went out, {plain:#x} and {read:#x} came back"
            ));
        }
    }
}
