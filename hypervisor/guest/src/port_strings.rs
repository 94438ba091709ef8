// SPDX-License-Identifier: GPL-2.0

//! Strings of accesses to ports that the hypervisor keeps, which it carries out itself.

use misbehaving::random::Random;
use misbehaving::strings::PortString;

use crate::arch;
use crate::report::{failed, say};

/// What bytes are before something is read to them. No kept port reads as that.
const OLD: u64 = 0x5a;
/// How many bytes on both sides are looked at, too.
const AROUND: u64 = 8;

/// PCI's address register, which reads as what was written.
const ADDRESS: u16 = 0xcf8;

/// All kinds of them, in good and in bad memory.
pub fn try_all(random: &mut Random) {
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
    moves_values(random);
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

/// One that does not fault: it does as much as it says.
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

/// The values that go through a port are those in memory.
fn moves_values(random: &mut Random) {
    for _ in 0..200 {
        let place = PortString::good(random);
        let one = PortString {
            port: ADDRESS,
            size: 4,
            repeated: true,
            count: 1,
            ..place
        };
        // Bits that the register has.
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
        if (plain, read) != (value, value) {
            failed(format_args!(
                "{value:#x} went out, {plain:#x} and {read:#x} came back"
            ));
        }
    }
}
