// SPDX-License-Identifier: GPL-2.0

//! What Xen's security advisories were about, as far as rings have to do with it: each test has the
//! number of the advisory in its name. docs/design/hostile-backends.md lists them all, with those
//! elsewhere.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use xen_abi::io::blkif::{Response, Segment};
use xen_abi::io::netif::{RxResponse, TxResponse};
use xen_abi::io::ring::{REQ_PROD, RSP_PROD, SLOTS};
use xen_ring::{BackRing, FrontRing, HeapMem, RingMem, VariantOf};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Memory that a peer writes to whenever it was read: each byte of a slot is another one the next
/// time, and so is an index. Counts how often each byte is read.
struct Restless {
    mem: HeapMem,
    reads: RefCell<BTreeMap<usize, u32>>,
    loads: Cell<u32>,
}

impl Restless {
    fn new(mem: &HeapMem) -> Self {
        Self {
            mem: mem.clone(),
            reads: RefCell::default(),
            loads: Cell::new(0),
        }
    }

    fn count(&self, offset: usize, len: usize) {
        let mut reads = self.reads.borrow_mut();
        for at in offset..offset + len {
            *reads.entry(at).or_default() += 1;
        }
    }

    /// Nothing was read twice.
    fn is_read_once(&self) -> bool {
        self.reads.borrow().values().all(|count| *count == 1)
    }
}

impl RingMem for Restless {
    fn size(&self) -> usize {
        self.mem.size()
    }
    fn read<T: FromBytes>(&self, offset: usize) -> T {
        self.count(offset, size_of::<T>());
        let value = self.mem.read(offset);
        self.mem.scribble(offset, &vec![0xee; size_of::<T>()]);
        value
    }
    fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
        self.mem.write(offset, value)
    }
    fn load_relaxed(&self, offset: usize) -> u32 {
        self.loads.set(self.loads.get() + 1);
        self.mem.load_relaxed(offset)
    }
    fn load_acquire(&self, offset: usize) -> u32 {
        let value = self.load_relaxed(offset);
        // Far more than there is, for who looks again.
        self.mem.store_relaxed(offset, value.wrapping_add(1000));
        value
    }
    fn store_relaxed(&self, offset: usize, value: u32) {
        self.mem.store_relaxed(offset, value)
    }
    fn store_release(&self, offset: usize, value: u32) {
        self.mem.store_release(offset, value)
    }
    fn fence(&self) {
        self.mem.fence();
    }
}

type Words = [u64; 2];

/// Room for four slots.
fn memory() -> HeapMem {
    HeapMem::new(SLOTS + 4 * size_of::<Words>())
}

#[test]
fn xsa_155_each_slot_and_index_is_read_once() {
    let mem = memory();
    let mut front: FrontRing<Words, Words, _> = FrontRing::new(Restless::new(&mem)).unwrap();
    let mut back: BackRing<Words, Words, _> = BackRing::attach(mem).unwrap();
    for number in 0..3 {
        front.push(&[number, 7]).unwrap();
    }
    let _ = front.push_requests();
    let requests: Vec<_> = back.requests().unwrap().collect();
    assert_eq!(requests, [[0, 7], [1, 7], [2, 7]]);
    for number in 0..3 {
        back.push(&[number, 9]).unwrap();
    }
    let _ = back.push_responses();
    let loads = front.mem().loads.get();
    let responses: Vec<_> = front.responses().unwrap().collect();
    assert_eq!(responses, [[0, 9], [1, 9], [2, 9]]);
    assert!(front.mem().is_read_once());
    assert_eq!(
        front.mem().loads.get() - loads,
        1,
        "the index was read again"
    );
}

/// The other way round: a backend of ours against a frontend that changes what was read.
#[test]
fn xsa_155_a_backend_reads_each_request_once() {
    let mem = memory();
    let mut front: FrontRing<Words, Words, _> = FrontRing::new(mem.clone()).unwrap();
    let mut back: BackRing<Words, Words, _> = BackRing::attach(Restless::new(&mem)).unwrap();
    for number in 0..3 {
        front.push(&[number, 7]).unwrap();
    }
    let _ = front.push_requests();
    let requests: Vec<_> = back.requests().unwrap().collect();
    assert_eq!(requests, [[0, 7], [1, 7], [2, 7]]);
    assert!(back.mem().is_read_once());
}

/// What the C drivers did before the advisory: to look at a slot, and to read it again for use.
#[test]
fn xsa_155_to_read_a_slot_twice_is_found() {
    let mem = memory();
    let restless = Restless::new(&mem);
    mem.write(SLOTS, &5_u64);
    mem.store_relaxed(REQ_PROD, 1);
    mem.store_relaxed(RSP_PROD, 1);
    let checked: u64 = restless.read(SLOTS);
    let used: u64 = restless.read(SLOTS);
    assert!(checked != used && !restless.is_read_once());
}

/// All bytes of what is put on a ring are those of the message; what lies around them stays.
fn is_all_there_is<T: VariantOf<T> + IntoBytes + FromBytes + Immutable>(response: T) {
    const GARBAGE: u8 = 0xa5;
    let slot = size_of::<T>().next_power_of_two();
    let mem = HeapMem::new(SLOTS + 4 * slot);
    let mut front: FrontRing<T, T, _> = FrontRing::new(mem.clone()).unwrap();
    let mut back: BackRing<T, T, _> = BackRing::attach(mem.clone()).unwrap();
    front.push(&T::new_zeroed()).unwrap();
    let _ = front.push_requests();
    assert_eq!(back.requests().unwrap().count(), 1);
    mem.scribble(SLOTS, &vec![GARBAGE; 4 * slot]);
    back.push(&response).unwrap();
    let words = (0..slot).map(|word| mem.read::<[u8; 4]>(SLOTS + word * 4));
    let bytes: Vec<u8> = words.flatten().collect();
    assert_eq!(bytes[..size_of::<T>()], *response.as_bytes());
    assert!(bytes[size_of::<T>()..].iter().all(|byte| *byte == GARBAGE));
}

/// The types have no padding that the compiler may leave as it was, which `IntoBytes` demands; the
/// fields that stand for it are zero.
#[test]
fn xsa_216_a_response_has_no_bytes_of_the_stack() {
    let response = Response {
        id: u64::MAX,
        operation: u8::MAX,
        status: -1,
        ..Response::default()
    };
    assert_eq!((response.pad0, response.pad1), (0, 0));
    is_all_there_is(response);
    is_all_there_is(TxResponse { id: 1, status: -1 });
    is_all_there_is(RxResponse::default());
    let segment = Segment::default();
    assert_eq!(segment.as_bytes(), [0; 8]);
}
