// SPDX-License-Identifier: GPL-2.0

//! Accesses of emulated instructions to a domain's virtual memory.

use super::*;
use crate::mem::MachineMemory;
use crate::mem::walk::PagingMode;
use crate::system::fake::{FakePlatform, add_domain, machine};
use std::vec::Vec;

/// The tables are in frames 0x41 to 0x44.
const PAGING: Paging = Paging {
    cr3: 0x41000,
    mode: PagingMode::Long { levels: 4 },
    write_protect: true,
};
const READ: Access = Access::supervisor(false);
const WRITE: Access = Access::supervisor(true);

/// A domain that sees at 0x1000 a page of its own, at 0x2000 one that it may read, at 0x3000 none, and nothing else.
fn system() -> System<FakePlatform> {
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
    system: &mut System<FakePlatform>,
    address: u64,
    access: Access,
) -> core::result::Result<Pieces, PageFault> {
    let mut pieces = Vec::new();
    let done = system.access_virtual(1, &PAGING, address, 4, access, |_, machine, part| {
        pieces.push((machine.is_some(), part));
    });
    assert!(
        done.is_ok() || pieces.is_empty(),
        "a page was accessed before the fault in another"
    );
    done.map(|()| pieces)
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

#[test]
fn only_memory_has_a_machine_address() {
    let mut system = system();
    let theirs = system.lookup(1, crate::mem::Gfn(0x50)).expect("memory").mfn;
    assert_eq!(
        system.machine_address(1, 0x50_123, true),
        Some(theirs.address() + 0x123)
    );
    let end = system.frames.end();
    add_domain(&mut system, 0, 0x100, 4);
    let device = crate::mem::Mfn(end + 16);
    system
        .map_mmio(0, crate::mem::Gfn(0x200), device, 1)
        .expect("a device");
    // One in a hole of the machine's memory: frame 0 is none.
    system
        .map_mmio(0, crate::mem::Gfn(0x201), crate::mem::Mfn(0), 1)
        .expect("a device");
    for (gpa, write) in [
        (0x200_000, false),
        (0x201_000, false),
        (0x300_000, false),
        (u64::MAX, true),
    ] {
        assert_eq!(system.machine_address(0, gpa, write), None, "{gpa:#x}");
    }
    assert_eq!(system.machine_address(7, 0x50_000, false), None, "nobody");
}

#[test]
fn bytes_across_pages_are_copied_to_where_each_page_is() {
    let mut system = system();
    let text: Vec<u8> = (0..200).collect();
    // Two pages that are apart in the domain's physical memory.
    system
        .write_physical(1, 0x50_f80, &text)
        .expect("frames 0x50 and 0x51");
    let mut read = [0; 200];
    system
        .read_virtual(1, &PAGING, 0x1f80, &mut read)
        .expect("mapped");
    assert_eq!(read[..], text);
    let mut back = [0; 200];
    system
        .read_physical(1, 0x50_f80, &mut back)
        .expect("memory");
    assert_eq!(back[..], text);
    // The second page cannot be written: what is before it may have been.
    let written = system.write_virtual(1, &PAGING, 0x1f80, &[0xff; 200]);
    assert_eq!(written, Err(Errno::EFAULT));
    system
        .read_physical(1, 0x51_000, &mut back[..72])
        .expect("memory");
    assert_eq!(back[..72], text[128..]);
    let first = system.write_virtual(1, &PAGING, 0x1f80, &[0xee; 128]);
    assert_eq!(first, Ok(()));
    system
        .read_physical(1, 0x50_f80, &mut back[..128])
        .expect("memory");
    assert_eq!(back[..128], [0xee; 128]);
    // Not mapped; mapped to nothing; beyond the end of addresses; nobody's.
    for address in [0x4000, 0x3000, u64::MAX - 3, 0] {
        let read = system.read_virtual(1, &PAGING, address, &mut [0; 8]);
        assert_eq!(read, Err(Errno::EFAULT), "{address:#x}");
    }
    for gpa in [0x999_9000, u64::MAX - 3] {
        let read = system.read_physical(1, gpa, &mut [0; 8]);
        assert_eq!(read, Err(Errno::EFAULT));
        let written = system.write_physical(1, gpa, &[0; 8]);
        assert_eq!(written, Err(Errno::EFAULT));
    }
    assert_eq!(system.read_virtual(1, &PAGING, 0x4000, &mut []), Ok(()));
}

#[test]
fn a_number_in_an_argument_means_a_domain_that_the_caller_may_control() {
    let mut system = system();
    add_domain(&mut system, 0, 0x100, 4);
    let own = xen_abi::xen::domid::SELF;
    let mut ask = |domain, id| {
        let caller = Caller {
            system: &mut system,
            vcpu: VcpuId { domain, vcpu: 0 },
            paging: PAGING,
            abi: Abi::Bits64,
        };
        (caller.domain_by_any_id(id), caller.target_by_any_id(id))
    };
    assert_eq!(ask(1, own), (Ok(1), Ok(1)));
    assert_eq!(ask(1, 1), (Ok(1), Ok(1)));
    assert_eq!(ask(1, 0), (Ok(0), Err(Errno::EPERM)));
    assert_eq!(ask(0, 1), (Ok(1), Ok(1)));
    assert_eq!(ask(0, own), (Ok(0), Ok(0)));
    for id in [5, own + 1, u16::MAX] {
        assert_eq!(ask(0, id), (Err(Errno::ESRCH), Err(Errno::ESRCH)));
    }
    // Nobody is privileged whom there is not.
    assert_eq!(ask(9, 1), (Ok(1), Err(Errno::EPERM)));
}
