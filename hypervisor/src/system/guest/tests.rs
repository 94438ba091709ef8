//! Instructions' accesses to a domain's virtual memory.

use super::*;
use crate::mem::MachineMemory;
use crate::system::fake::{Fake, add_domain, machine};
use std::vec::Vec;

/// The tables are in frames 0x41 to 0x44.
const PAGING: Paging = Paging {
    cr3: 0x41000,
    levels: 4,
    write_protect: true,
};
const READ: Access = Access::supervisor(false);
const WRITE: Access = Access::supervisor(true);

/// A domain that sees at 0x1000 a page of its own, at 0x2000 one that it may read, at 0x3000 none, and nothing else.
fn system() -> System<Fake> {
    let mut system = machine(1024);
    add_domain(&mut system, 1, 0x40, 64);
    let entries = [
        (0x41000u64, 0x42007u64),
        (0x42000, 0x43007),
        (0x43000, 0x44007),
        (0x44008, 0x50007),
        (0x44010, 0x51005),
        (0x44018, 0x99_9007),
    ];
    for (at, entry) in entries {
        let written = system.write_physical(1, at, &entry.to_le_bytes());
        written.expect("memory for tables");
    }
    system
}

type Pieces = Vec<(bool, Range<usize>)>;

fn access(
    system: &mut System<Fake>,
    address: u64,
    access: Access,
) -> core::result::Result<Pieces, PageFault> {
    let mut pieces = Vec::new();
    system.access_virtual(1, &PAGING, address, 4, access, |_, machine, part| {
        pieces.push((machine.is_some(), part));
    })?;
    Ok(pieces)
}

#[test]
fn an_access_across_pages_is_done_in_pieces() {
    let mut system = system();
    system.write_physical(1, 0x50fff, b"a").expect("memory");
    system.write_physical(1, 0x51000, b"bcd").expect("memory");
    let mut bytes = [0; 4];
    let done = system.access_virtual(1, &PAGING, 0x1fff, 4, READ, |memory, machine, part| {
        memory.read(machine.expect("memory"), &mut bytes[part]);
    });
    assert_eq!((done, &bytes), (Ok(()), b"abcd"));
}

#[test]
fn a_fault_in_the_second_page_leaves_the_first_one_alone() {
    let mut system = system();
    let fault = |address, code| Err(PageFault { address, code });
    assert_eq!(access(&mut system, 0x1ffe, WRITE), fault(0x2000, 3));
    assert_eq!(access(&mut system, 0xffe, READ), fault(0xffe, 0));
    assert_eq!(access(&mut system, 0x3ffe, WRITE), fault(0x4000, 2));
    let smap = Access { smap: true, ..READ };
    assert_eq!(access(&mut system, 0x1ffe, smap), fault(0x1ffe, 1));
}

#[test]
fn what_is_no_memory_is_no_fault() {
    let mut system = system();
    let pieces = access(&mut system, 0x2ffe, READ);
    assert_eq!(pieces, Ok(vec![(true, 0..2), (false, 2..4)]));
}
