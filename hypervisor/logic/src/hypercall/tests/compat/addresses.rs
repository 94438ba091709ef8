// SPDX-License-Identifier: GPL-2.0

//! Addresses in hypercalls of 32-bit code: without paging, with two levels of page tables and with PAE.

use super::*;
use crate::mem::walk::{Paging, PagingMode};
use proptest::prelude::*;

/// Page tables of both kinds in frames 0x41 to 0x43 of domain 1, which map at `address` two pages that are apart in its
/// memory, 0x50 and 0x58. Behind them is nothing.
fn paged(system: &mut System<FakePlatform>, mode: PagingMode, address: u32) -> Paging {
    let [present, first, second] = [0x43_007u64, 0x50_007, 0x58_007];
    let at = u64::from(address);
    let entries = match mode {
        PagingMode::Legacy { .. } => [
            (0x42_000 + (at >> 22) * 4, present),
            (0x43_000 + (at >> 12 & 0x3ff) * 4, first),
            (0x43_000 + ((at >> 12) + 1 & 0x3ff) * 4, second),
        ]
        .to_vec(),
        _ => [
            (0x41_000 + (at >> 30) * 8, 0x42_001),
            (0x42_000 + (at >> 21 & 0x1ff) * 8, present),
            (0x43_000 + (at >> 12 & 0x1ff) * 8, first),
            (0x43_000 + ((at >> 12) + 1 & 0x1ff) * 8, second),
        ]
        .to_vec(),
    };
    let legacy = matches!(mode, PagingMode::Legacy { .. });
    for (gpa, entry) in entries {
        let size = if legacy { 4 } else { 8 };
        let written = system.write_physical(1, gpa, &entry.to_le_bytes()[..size]);
        written.expect("memory for tables");
    }
    Paging {
        cr3: if legacy { 0x42_000 } else { 0x41_000 },
        mode,
        write_protect: true,
    }
}

const MODES: [PagingMode; 2] = [PagingMode::Legacy { large_pages: true }, PagingMode::Pae];

proptest! {
    #[test]
    fn an_argument_lies_across_two_pages_of_either_kind_of_tables(
        mode in proptest::sample::select(&MODES[..]),
        page in 1u32..0x10_0000,
        before in 0u32..24,
    ) {
        // Both pages in one table.
        prop_assume!(page % 512 != 511);
        let mut system = two_domains();
        let paging = paged(&mut system, mode, page << 12);
        let at = (page << 12) + 0x1000 - before;
        let words = [SELF, params::STORE_EVTCHN, 0, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        system.domain_mut(1).expect("it is there").params[params::STORE_EVTCHN as usize] = 0x5566_7788;
        let mut caller = Caller { paging, ..caller_32(&mut system, 1) };
        prop_assert!(caller.raw_copy_to_guest(at.into(), &bytes).is_ok());
        let call = hypercall(nr::HVM_OP, &[hvm_op::op::GET_PARAM.into(), at.into()]);
        prop_assert_eq!(dispatch(&mut caller, call).value, 0);
        let mut value = [0; 8];
        // Where the tables say that it is.
        for (offset, byte) in (8..).zip(&mut value) {
            let virt = at + offset;
            let gfn = if virt >> 12 == page { 0x50 } else { 0x58 };
            let read = system.read_physical(1, gfn << 12 | u64::from(virt & 0xfff), core::slice::from_mut(byte));
            prop_assert!(read.is_ok());
        }
        prop_assert_eq!(u64::from_le_bytes(value), 0x5566_7788);
        // A list that begins there and is longer than what is mapped.
        let mut caller = Caller { paging, ..caller_32(&mut system, 1) };
        let call = hypercall(nr::MULTICALL, &[at.into(), 1000]);
        let mut outcome = dispatch(&mut caller, call);
        for _ in 0..20 {
            let Some(args) = outcome.continuation else { break };
            outcome = dispatch(&mut caller, Call { args, ..call });
        }
        prop_assert_eq!(outcome.value, Errno::EFAULT.register());
    }

    #[test]
    fn no_pointer_reaches_beyond_what_32_bit_code_has(
        mode in prop_oneof![Just(PagingMode::Unpaged), proptest::sample::select(&MODES[..])],
        number in proptest::sample::select(&[12u32, 13, 17, 18, 20, 24, 29, 32, 33, 34][..]),
        command in 0u32..24,
        pointer in prop_oneof![
            any::<u32>(),
            (0u32..64).prop_map(|below| u32::MAX - below),
            (0u32..64).prop_map(|offset| 0x4_0000 + offset * 4),
        ],
        inner in prop_oneof![
            any::<u32>(),
            (0u32..64).prop_map(|below| u32::MAX - below),
            Just(0x4_1000),
        ],
        count in prop_oneof![0u32..4, any::<u32>()],
    ) {
        let mut system = two_domains();
        // Where an argument lies at all, whatever it points to points to `inner`.
        put(&mut system, 1, AT, &[inner, SELF, inner, count, inner, SELF, inner, inner]);
        let paging = match mode {
            PagingMode::Unpaged => UNPAGED,
            mode => paged(&mut system, mode, 0xffff_e000),
        };
        let theirs: Vec<u64> = (0x100..0x140).map(|mfn| system.platform.load_u64(mfn << 12)).collect();
        let args = match number {
            13 => [pointer, count, 0],
            24 => [command, 0, pointer],
            18 => [command, count, pointer],
            _ => [command, pointer, count],
        };
        let mut wanted = hypercall(number, &args.map(u64::from));
        for _ in 0..8 {
            let mut caller = Caller { paging, ..caller_32(&mut system, 1) };
            match dispatch(&mut caller, wanted).continuation {
                Some(args) => wanted.args = args,
                None => break,
            }
        }
        let after: Vec<u64> = (0x100..0x140).map(|mfn| system.platform.load_u64(mfn << 12)).collect();
        prop_assert_eq!(theirs, after, "memory of dom0 has changed");
    }
}

#[test]
fn addresses_end_at_4_gib() {
    let mut system = two_domains();
    let at = u64::from(u32::MAX) - 3;
    // There is memory on both sides: 64-bit code may read on.
    for gfn in [0xf_ffff, 0x10_0000] {
        let populated = system.populate_physmap(1, Gfn(gfn), 0, None);
        populated.expect("memory");
    }
    for length in [4, 5, 8, 4096] {
        let expected = if length > 4 {
            Err(Errno::EFAULT)
        } else {
            Ok(())
        };
        let mut bytes = vec![0; length];
        let mut wide = caller(&mut system, 1);
        assert_eq!(wide.raw_copy_from_guest(at, &mut bytes), Ok(()));
        let mut narrow = caller_32(&mut system, 1);
        assert_eq!(narrow.raw_copy_from_guest(at, &mut bytes), expected);
        assert_eq!(narrow.raw_copy_to_guest(at, &bytes), expected);
    }
    // In memory that ends there, console output that does not end there.
    for mode in MODES {
        let mut system = two_domains();
        let paging = paged(&mut system, mode, 0xffff_e000);
        system.domain_mut(1).expect("it is there").config.privileged = true;
        let mut caller = Caller {
            paging,
            ..caller_32(&mut system, 1)
        };
        let write = hypercall(nr::CONSOLE_IO, &[0, 257, 0xffff_ff00]);
        let outcome = dispatch(&mut caller, write);
        assert_eq!(outcome.value, Errno::EFAULT.register());
        assert_eq!(outcome.continuation, None);
        let fits = hypercall(nr::CONSOLE_IO, &[0, 256, 0xffff_ff00]);
        assert_eq!(dispatch(&mut caller, fits).value, 0);
    }
}
