// SPDX-License-Identifier: GPL-2.0

//! Both ends of the console's page, which the input writes to between any two of their calls.

use crate::bytes::Bytes;
use xen_abi::io::console::Interface;
use xen_ring::console::{ConsoleBack, ConsoleFront, MAX_INPUT, MAX_OUTPUT};
use xen_ring::{Corrupt, HeapMem, RingMem};

/// Neither end may move more bytes than it was asked to or than a ring has, or recover from
/// corruption.
pub fn console(input: &[u8]) {
    let mut input = Bytes::new(input);
    let mem = HeapMem::new(match input.below(8) {
        0 => input.below(256) * 4,
        1 => size_of::<Interface>(),
        _ => 4096,
    });
    let front = ConsoleFront::attach(mem.clone());
    let back = ConsoleBack::attach(mem.clone());
    let (Ok(mut front), Ok(mut back)) = (front, back) else {
        assert!(mem.size() < size_of::<Interface>(), "a page is refused");
        return;
    };
    let mut corrupt: [Option<Corrupt>; 4] = [None; 4];
    while !input.is_empty() {
        let what = input.below(8);
        let len = usize::from(input.u16() % 3000);
        let mut buffer = vec![input.byte(); len];
        let (end, limit, moved) = match what {
            0 => (0, MAX_OUTPUT, front.write(&buffer)),
            1 => (1, MAX_INPUT, front.read(&mut buffer)),
            2 => (2, MAX_INPUT, back.write(&buffer)),
            3 => (3, MAX_OUTPUT, back.read(&mut buffer)),
            4 => {
                back.set_connected(len % 2 == 0);
                assert_eq!(front.is_connected(), len % 2 == 0);
                continue;
            }
            5 => {
                // An index moves a little.
                let at = 3072 + 4 * (len % 4);
                mem.scribble(at, &[input.byte()]);
                continue;
            }
            6 => {
                mem.scribble(len, input.take(16));
                continue;
            }
            _ => match front.unread() {
                Ok(unread) => (0, MAX_OUTPUT, Ok(unread as usize).map(|n| n.min(len))),
                Err(error) => (0, MAX_OUTPUT, Err(error)),
            },
        };
        match moved {
            Ok(moved) => {
                assert!(moved <= len.min(limit as usize), "more than asked for");
                assert_eq!(corrupt[end], None, "it has recovered");
            }
            Err(error) => assert_eq!(*corrupt[end].get_or_insert(error), error),
        }
    }
}
