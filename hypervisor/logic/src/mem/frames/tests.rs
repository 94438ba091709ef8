// SPDX-License-Identifier: GPL-2.0

//! The frame table, also with random operations: no frame has two owners, none is lost.

use super::*;
use proptest::prelude::*;

pub fn table(frames: usize) -> FrameTable {
    FrameTable::new(vec![PageInfo::default(); frames])
}

#[test]
fn what_is_said_twice_counts_once() {
    let mut frames = table(1000);
    frames.add_hypervisor(100..200);
    assert_eq!(
        frames.add_free(0..300),
        199,
        "without frame 0 and the hypervisor's"
    );
    assert_eq!(frames.add_free(50..310), 10);
    assert_eq!(frames.add_free(900..2000), 100, "the table ends");
    assert_eq!((frames.free_count(), frames.total()), (309, 409));
    assert_eq!(frames.owner(Mfn(0)), Owner::Mmio);
    assert_eq!(frames.owner(Mfn(150)), Owner::Hypervisor);
    assert_eq!(frames.owner(Mfn(299)), Owner::Free);
    assert_eq!(frames.owner(Mfn(310)), Owner::Mmio);
    assert_eq!(frames.owner(Mfn(u64::MAX)), Owner::Mmio);
}

#[test]
fn denied_devices_are_the_hypervisors() {
    let mut frames = table(16);
    frames.deny_iomem(0xfee00..0xfee01);
    assert_eq!(frames.owner(Mfn(0xfee00)), Owner::Hypervisor);
    assert_eq!(frames.owner(Mfn(0xfee01)), Owner::Mmio);
}

#[test]
fn blocks_are_aligned_and_low_if_asked_for() {
    let mut frames = table(4096);
    frames.add_free(1..4096);
    let low = frames.alloc(4, Some(64)).expect("there is some");
    assert!(low.mfn().0 % 16 == 0 && low.mfn().0 + 16 <= 64);
    let here = frames.alloc_at(Mfn(1024), 9).expect("free");
    assert_eq!(frames.owner(Mfn(1535)), Owner::Hypervisor);
    assert!(frames.alloc_at(Mfn(1280), 8).is_none(), "taken");
    assert!(frames.alloc_at(Mfn(1), 1).is_none(), "not aligned");
    assert!(frames.alloc(19, None).is_none());
    frames.free(here);
    frames.free(low);
    assert_eq!(frames.free_count(), 4095);
    assert!(frames.alloc(11, None).is_some(), "the parts were joined");
}

#[test]
fn a_frame_outlives_its_domain_as_long_as_there_are_references() {
    let mut frames = table(64);
    frames.add_free(1..64);
    let page = frames.alloc(0, None).expect("free");
    let mfn = page.mfn();
    frames.assign_pages(page, 7);
    assert_eq!(frames.get_page(mfn, 8, false), Err(FrameError::NotOwner));
    let first = frames.get_page(mfn, 7, true).expect("owned");
    let second = frames.get_page(mfn, 7, false).expect("owned");
    assert_eq!(frames.page_refs(mfn), (2, 1));
    assert_eq!(frames.release(mfn, 7), Ok(Released::WithLastRef));
    assert_eq!(frames.release(mfn, 7), Err(FrameError::NotOwner), "once");
    assert_eq!(frames.get_page(mfn, 7, false), Err(FrameError::NotOwner));
    assert_eq!(frames.owner(mfn), Owner::Released(7));
    assert_eq!(frames.put_page(first), None);
    let page = frames
        .put_page(second)
        .expect("the last reference returns it");
    assert_eq!(frames.owner(mfn), Owner::Hypervisor);
    frames.free(page);
    assert_eq!(frames.free_count(), 63);
}

#[test]
fn the_reference_count_does_not_overflow() {
    let mut frames = table(4);
    frames.add_free(1..4);
    let page = frames.alloc(0, None).expect("free");
    let mfn = page.mfn();
    frames.assign_pages(page, 1);
    frames.pages[mfn.0 as usize].refs_or_next = u32::MAX - 1;
    let last = frames.get_page(mfn, 1, true).expect("one more");
    assert_eq!(frames.page_refs(mfn), (u32::MAX, 1));
    assert_eq!(frames.get_page(mfn, 1, true), Err(FrameError::TooManyRefs));
    assert_eq!(frames.page_refs(mfn), (u32::MAX, 1), "nothing was counted");
    assert_eq!(frames.put_page(last), None);
    assert_eq!(frames.page_refs(mfn), (u32::MAX - 1, 0));
}

#[test]
fn mmio_is_what_is_neither_memory_nor_denied() {
    let mut frames = table(64);
    frames.add_free(8..16);
    frames.add_hypervisor(20..24);
    frames.deny_iomem(100..104);
    for (range, device) in [
        (0..8, true),
        (7..9, false),
        (15..16, false),
        (16..20, true),
        (19..21, false),
        (23..24, false),
        (24..100, true),
        (24..101, false),
        (103..104, false),
        (104..200, true),
        (0..1 << 40, false),
    ] {
        assert_eq!(frames.is_mmio(range.clone()), device, "{range:?}");
    }
}

#[test]
fn blocks_end_below_the_frame_that_is_named() {
    for below in 1..70 {
        let mut frames = table(64);
        frames.add_free(1..64);
        for order in 0..6 {
            let block = frames.alloc(order, Some(below));
            // All blocks but the lowest of an order begin at its size; frame 0 is nobody's.
            let lowest = if order == 0 { 1 } else { 1 << order };
            let fits = lowest + (1 << order) <= below.min(64);
            assert_eq!(block.is_some(), fits, "order {order} below {below}");
            if let Some(block) = block {
                assert!(block.mfn().0 + block.count() <= below);
                assert_eq!(block.order(), order);
                frames.free(block);
            }
        }
    }
}

#[test]
fn the_largest_blocks_are_of_a_gib() {
    let gib = 1 << MAX_ORDER;
    let mut frames = table(4 * gib);
    frames.add_free(gib as u64..3 * gib as u64);
    let blocks: Vec<_> = frames.free_blocks().collect();
    assert_eq!(blocks.len(), 2, "two of a GiB, and none of two");
    let block = frames.alloc(MAX_ORDER, None).expect("there are two");
    assert_eq!(block.count(), gib as u64);
    assert!(frames.alloc(MAX_ORDER + 1, None).is_none());
    assert!(frames.alloc_at(Mfn(0), MAX_ORDER + 1).is_none());
    let inside = frames.free_blocks().next().expect("the other").start + 12345;
    let single = frames.alloc_at(Mfn(inside), 0).expect("free");
    assert_eq!(frames.free_count(), gib as u64 - 1);
    // Never touched before, it is known to be free all the same.
    assert_eq!(frames.owner(Mfn(inside + 1)), Owner::Free);
    assert_eq!(frames.owner(Mfn(inside)), Owner::Hypervisor);
    frames.free(single);
    frames.free(block);
    assert_eq!(frames.free_blocks().count(), 2, "whole again");
}

#[test]
fn an_array_in_frames_is_used_in_place() {
    let pages: &'static mut [PageInfo] = Box::leak(vec![PageInfo::default(); 32].into());
    let mut frames = FrameTable::new(pages);
    assert_eq!((frames.end(), frames.add_free(0..100)), (32, 31));
    let page = frames.alloc(0, None).expect("free");
    assert_eq!(frames.owner(page.mfn()), Owner::Hypervisor);
    frames.free(page);
}

#[derive(Clone, Debug)]
enum Step {
    Alloc(u8, Option<u64>),
    AllocAt(u64, u8),
    Free(usize),
    Assign(usize, DomId),
    Release(u64, DomId),
    GetPage(u64, DomId, bool),
    PutPage(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..8, proptest::option::of(0u64..600)).prop_map(|(o, b)| Step::Alloc(o, b)),
        (0u64..520, 0u8..6).prop_map(|(m, o)| Step::AllocAt(m, o)),
        any::<usize>().prop_map(Step::Free),
        (any::<usize>(), 0u16..3).prop_map(|(i, d)| Step::Assign(i, d)),
        (0u64..520, 0u16..3).prop_map(|(m, d)| Step::Release(m, d)),
        (0u64..520, 0u16..3, any::<bool>()).prop_map(|(m, d, w)| Step::GetPage(m, d, w)),
        any::<usize>().prop_map(Step::PutPage),
    ]
}

proptest! {
    #[test]
    fn no_frame_has_two_owners_and_none_is_lost(steps in proptest::collection::vec(step(), 1..120)) {
        const END: u64 = 520;
        let mut frames = table(END as usize);
        frames.add_hypervisor(5..8);
        frames.add_free(0..500);
        let mut model = vec![Owner::Free; 500];
        model[0] = Owner::Mmio;
        model[5..8].fill(Owner::Hypervisor);
        model.resize(END as usize, Owner::Mmio);
        let mut ours: Vec<HypFrames> = Vec::new();
        let mut refs: Vec<(PageRef, DomId)> = Vec::new();
        fn mark_allocated(model: &mut [Owner], block: &HypFrames) {
            let range = block.mfn().0 as usize..(block.mfn().0 + block.count()) as usize;
            assert!(block.mfn().0 % block.count() == 0);
            for owner in &mut model[range] {
                assert_eq!(*owner, Owner::Free, "handed out twice");
                *owner = Owner::Hypervisor;
            }
        }
        for step in steps {
            match step {
                Step::Alloc(order, below) => {
                    if let Some(block) = frames.alloc(order, below) {
                        prop_assert!(block.mfn().0 + block.count() <= below.unwrap_or(u64::MAX));
                        mark_allocated(&mut model, &block);
                        ours.push(block);
                    } else if order == 0 && below.is_none() {
                        prop_assert!(!model.contains(&Owner::Free), "there is a free frame");
                    }
                }
                Step::AllocAt(mfn, order) => {
                    let range = mfn as usize..(mfn as usize + (1 << order)).min(END as usize);
                    let free = mfn % (1 << order) == 0 && model[range].iter().all(|o| *o == Owner::Free);
                    let block = frames.alloc_at(Mfn(mfn), order);
                    prop_assert_eq!(block.is_some(), free && mfn + (1 << order) <= END);
                    if let Some(block) = block {
                        mark_allocated(&mut model, &block);
                        ours.push(block);
                    }
                }
                Step::Free(at) if !ours.is_empty() => {
                    let block = ours.swap_remove(at % ours.len());
                    let start = block.mfn().0 as usize;
                    model[start..start + block.count() as usize].fill(Owner::Free);
                    frames.free(block);
                }
                Step::Assign(at, domain) if !ours.is_empty() => {
                    let block = ours.swap_remove(at % ours.len());
                    let start = block.mfn().0 as usize;
                    model[start..start + block.count() as usize].fill(Owner::Domain(domain));
                    frames.assign_pages(block, domain);
                }
                Step::Release(mfn, domain) => {
                    let referenced = refs.iter().any(|(page_ref, _)| page_ref.mfn() == Mfn(mfn));
                    let owned = model[mfn as usize] == Owner::Domain(domain);
                    match frames.release(Mfn(mfn), domain) {
                        Err(_) => prop_assert!(!owned),
                        Ok(Released::WithLastRef) => {
                            prop_assert!(owned && referenced);
                            model[mfn as usize] = Owner::Released(domain);
                        }
                        Ok(Released::Now(block)) => {
                            prop_assert!(owned && !referenced);
                            model[mfn as usize] = Owner::Hypervisor;
                            ours.push(block);
                        }
                    }
                }
                Step::GetPage(mfn, domain, writable) => {
                    let owned = model[mfn as usize] == Owner::Domain(domain);
                    match frames.get_page(Mfn(mfn), domain, writable) {
                        Ok(page_ref) => {
                            prop_assert!(owned);
                            refs.push((page_ref, domain));
                        }
                        Err(_) => prop_assert!(!owned),
                    }
                }
                Step::PutPage(at) if !refs.is_empty() => {
                    let (page_ref, domain) = refs.swap_remove(at % refs.len());
                    let mfn = page_ref.mfn();
                    let last = !refs.iter().any(|(other, _)| other.mfn() == mfn);
                    let released = model[mfn.0 as usize] == Owner::Released(domain);
                    let back = frames.put_page(page_ref);
                    prop_assert_eq!(back.is_some(), last && released);
                    if let Some(block) = back {
                        model[mfn.0 as usize] = Owner::Hypervisor;
                        ours.push(block);
                    }
                }
                _ => {}
            }
            for mfn in 0..END {
                prop_assert_eq!(frames.owner(Mfn(mfn)), model[mfn as usize], "frame {}", mfn);
                let of_frame = refs.iter().filter(|(page_ref, _)| page_ref.mfn() == Mfn(mfn));
                let writers = of_frame.clone().filter(|(page_ref, _)| page_ref.writable()).count();
                let count = (of_frame.count() as u32, writers as u32);
                prop_assert_eq!(frames.page_refs(Mfn(mfn)), count);
            }
            let free = model.iter().filter(|o| **o == Owner::Free).count();
            prop_assert_eq!(frames.free_count(), free as u64);
            let listed: u64 = frames.free_blocks().map(|b| b.end - b.start).sum();
            prop_assert_eq!(listed, free as u64);
            for domain in 0..3 {
                let count = model.iter().filter(|o| matches!(o, Owner::Domain(d) | Owner::Released(d) if *d == domain)).count();
                prop_assert_eq!(frames.tot_pages(domain), count as u64);
            }
        }
    }
}
