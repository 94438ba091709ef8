// SPDX-License-Identifier: GPL-2.0

//! Who executed what the emulator counted, from addresses and pages.
//!
//! Dom0 and a guest run the same kernel at the same virtual addresses. Dom0's lies in memory in one piece: what is at
//! dom0's distance between address and place is dom0's, and other text of the kernel is the guest's. Modules lie in single
//! pages, and those of both domains at the same addresses. A page of a module belongs to the domain whose kernel the
//! processor executed before it, or that has a module there at all; what is left goes to dom0 if it was executed
//! before there were guests.

use std::collections::HashMap;
use std::ops::Range;

use counter::record::{Counted, Interval};
use counter::table::{Block, Event};

use super::modules::Modules;

/// Virtual addresses that Xen keeps for itself (Xen's public/arch-x86/xen-x86_64.h, `HYPERVISOR_VIRT_START` and `_END`).
const XEN: Range<u64> = 0xffff_8000_0000_0000..0xffff_8800_0000_0000;

/// Virtual addresses of the kernel's own text (Linux, Documentation/arch/x86/x86_64/mm.rst).
const KERNEL: Range<u64> = 0xffff_ffff_8000_0000..0xffff_ffff_a000_0000;

/// Virtual addresses of modules, and of other code that a kernel makes (same page of the manual).
const MODULES: Range<u64> = 0xffff_ffff_a000_0000..0xffff_ffff_ff00_0000;

/// The end of the virtual addresses of programs.
const PROGRAMS_END: u64 = 1 << 47;

/// Whose instructions are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// The modules that are compared.
    Driver,
    /// The rest of the kernel of the domain whose driver it is.
    Kernel,
    /// Dom0's kernel, if the driver is a guest's.
    Dom0,
    /// The hypervisor.
    Hypervisor,
    /// Programs of any domain.
    Programs,
}

impl Owner {
    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Kernel => "kernel",
            Self::Dom0 => "dom0",
            Self::Hypervisor => "xen",
            Self::Programs => "programs",
        }
    }
}

/// A domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Domain {
    Dom0,
    Guest,
}

/// What is known of the machine when something is counted.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The modules that are compared, by name.
    pub driver: Vec<&'static str>,
    /// What is loaded in dom0.
    pub dom0: Modules,
    /// What is loaded in the guest, if the driver is a guest's.
    pub guest: Option<Modules>,
}

/// How much of what was executed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    instructions: HashMap<Owner, u64>,
    /// Instructions of loops that waited for another processor, which no owner's are.
    pub waiting: u64,
    /// Entries into guests.
    pub entries: u64,
    /// Hypercalls of the domain whose driver it is.
    pub hypercalls: u64,
    /// Blocks that had no counter: the rest is too low.
    pub lost: u64,
}

impl Executed {
    /// Instructions of an owner.
    pub fn of(&self, owner: Owner) -> u64 {
        self.instructions.get(&owner).copied().unwrap_or(0)
    }

    /// Instructions of all.
    pub fn all(&self) -> u64 {
        self.instructions.values().sum()
    }
}

/// A page at a virtual address.
type Page = (u64, u64);

/// The owner of each block of an interval.
pub fn owners<'i>(
    interval: &'i Interval,
    layout: &'i Layout,
) -> impl Iterator<Item = (&'i Counted, Owner)> {
    let judge = Judge::new(interval, layout);
    let counted = interval.counted.iter();
    counted.map(move |counted| (counted, judge.owner(counted.seen.block)))
}

/// Attributes an interval.
pub fn attribute(interval: &Interval, layout: &Layout) -> Executed {
    let mut executed = Executed {
        lost: interval.lost,
        ..Executed::default()
    };
    for (counted, owner) in owners(interval, layout) {
        let count = counted.count;
        match counted.seen.block.event {
            Event::Instruction => *executed.instructions.entry(owner).or_default() += count,
            Event::Waiting => executed.waiting += count,
            Event::Entry => executed.entries += count,
            // A PV kernel's hypercall or a program's system call.
            Event::Syscall | Event::Vmmcall => {
                if matches!(owner, Owner::Driver | Owner::Kernel) {
                    executed.hypercalls += count;
                }
            }
        }
    }
    executed
}

struct Judge<'l> {
    layout: &'l Layout,
    /// Dom0's distance between the number of a page's address and the number of the page.
    distance: Option<u64>,
    /// Pages of modules, and whose they are.
    modules: HashMap<Page, Domain>,
}

impl<'l> Judge<'l> {
    fn new(interval: &Interval, layout: &'l Layout) -> Self {
        let mut judge = Self {
            layout,
            distance: dom0_distance(interval),
            modules: HashMap::new(),
        };
        let code = interval.counted.iter().filter(|counted| {
            counted.seen.block.event == Event::Instruction
                && MODULES.contains(&counted.seen.block.address)
        });
        let code: Vec<&Counted> = code.collect();
        // A page that is called by another page of modules is known once that one is.
        loop {
            let known = judge.modules.len();
            for counted in &code {
                let Some(before) = counted.seen.before else {
                    continue;
                };
                if let Some(domain) = judge.domain(before) {
                    judge
                        .modules
                        .entry(page(counted.seen.block))
                        .or_insert(domain);
                }
            }
            if judge.modules.len() == known {
                break;
            }
        }
        for counted in &code {
            let domain = match counted.seen.epoch {
                0 => Domain::Dom0,
                _ => Domain::Guest,
            };
            judge
                .modules
                .entry(page(counted.seen.block))
                .or_insert(domain);
        }
        judge
    }

    /// The domain whose kernel a block belongs to, if that is known yet.
    fn domain(&self, block: Block) -> Option<Domain> {
        let Some(guest) = &self.layout.guest else {
            return (block.address >= KERNEL.start).then_some(Domain::Dom0);
        };
        if KERNEL.contains(&block.address) {
            let is_dom0 = self.distance == Some(distance(block));
            return Some(if is_dom0 { Domain::Dom0 } else { Domain::Guest });
        }
        if !MODULES.contains(&block.address) {
            return None;
        }
        let there = |modules: &Modules| modules.at(block.address).is_some();
        match (there(&self.layout.dom0), there(guest)) {
            (true, false) => Some(Domain::Dom0),
            (false, true) => Some(Domain::Guest),
            _ => self.modules.get(&page(block)).copied(),
        }
    }

    fn owner(&self, block: Block) -> Owner {
        if XEN.contains(&block.address) {
            return Owner::Hypervisor;
        }
        if block.address < PROGRAMS_END {
            return Owner::Programs;
        }
        let domain = self.domain(block);
        let modules = match (domain, &self.layout.guest) {
            (Some(Domain::Guest), Some(guest)) => guest,
            (_, None) => &self.layout.dom0,
            _ => return Owner::Dom0,
        };
        match modules.at(block.address) {
            Some(name) if self.layout.driver.contains(&name) => Owner::Driver,
            _ => Owner::Kernel,
        }
    }
}

fn page(block: Block) -> Page {
    (block.address >> 12, block.page)
}

fn distance(block: Block) -> u64 {
    (block.address >> 12).wrapping_sub(block.page)
}

/// The distance that most blocks of the first epoch's kernel have.
fn dom0_distance(interval: &Interval) -> Option<u64> {
    let mut votes: HashMap<u64, usize> = HashMap::new();
    for counted in &interval.counted {
        let seen = counted.seen;
        if seen.epoch == 0 && KERNEL.contains(&seen.block.address) {
            *votes.entry(distance(seen.block)).or_default() += 1;
        }
    }
    votes
        .into_iter()
        .max_by_key(|(_, votes)| *votes)
        .map(|(distance, _)| distance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use counter::table::Seen;

    const TEXT: u64 = 0xffff_ffff_8100_0000;
    const MODULE: u64 = 0xffff_ffff_c000_1000;

    fn counted(
        event: Event,
        address: u64,
        page: u64,
        epoch: u32,
        before: Option<(u64, u64)>,
    ) -> Counted {
        Counted {
            seen: Seen {
                block: Block {
                    event,
                    address,
                    page,
                },
                epoch,
                before: before.map(|(address, page)| Block {
                    event: Event::Instruction,
                    address,
                    page,
                }),
            },
            count: 10,
        }
    }

    fn layout() -> Layout {
        let modules =
            |name: &str| Modules::parse(&format!("{name} 8192 0 - Live 0x{MODULE:x}\n")).unwrap();
        Layout {
            driver: vec!["xen_blkfront"],
            dom0: modules("xen_blkback"),
            guest: Some(modules("xen_blkfront")),
        }
    }

    fn executed(counted: Vec<Counted>, layout: &Layout) -> Executed {
        let interval = Interval {
            number: 1,
            lost: 0,
            counted,
        };
        attribute(&interval, layout)
    }

    #[test]
    fn two_kernels_at_one_address_are_told_apart() {
        let code = |address, page, epoch| counted(Event::Instruction, address, page, epoch, None);
        let found = executed(
            vec![
                code(TEXT, 100, 0),
                code(TEXT + 0x1000, 101, 0),
                // Dom0's, though it was executed later.
                code(TEXT + 0x2000, 102, 1),
                code(TEXT, 500, 1),
                code(TEXT + 0x2000, 502, 1),
                code(0xffff_82d0_4020_0000, 7, 0),
                code(0x40_0000, 8, 1),
            ],
            &layout(),
        );
        let all = [
            Owner::Driver,
            Owner::Kernel,
            Owner::Dom0,
            Owner::Hypervisor,
            Owner::Programs,
        ];
        let all = all.map(|owner| found.of(owner));
        assert_eq!(all, [0, 20, 30, 10, 10]);
        assert_eq!(found.all(), 70);
    }

    #[test]
    fn modules_at_one_address_belong_to_the_kernel_that_calls_them() {
        let text = |page, epoch| counted(Event::Instruction, TEXT, page, epoch, None);
        let module =
            |address, page, before| counted(Event::Instruction, address, page, 1, Some(before));
        let (dom0, guest) = ((TEXT, 100), (TEXT, 500));
        let found = executed(
            vec![
                text(100, 0),
                text(500, 1),
                module(MODULE, 900, dom0),
                module(MODULE, 901, guest),
                // Called by a page of the same module; listed before that page is known.
                module(MODULE + 0x1000, 903, (MODULE, 901)),
                module(MODULE + 0x1000, 902, (MODULE, 900)),
                // The hypervisor went back to it: another block of the page says whose it is.
                module(MODULE + 0x40, 901, (0xffff_82d0_4020_0000, 7)),
            ],
            &layout(),
        );
        assert_eq!(found.of(Owner::Driver), 30);
        assert_eq!(found.of(Owner::Dom0), 30);
        assert_eq!(found.of(Owner::Kernel), 10);
    }

    #[test]
    fn hypercalls_are_those_of_the_domain() {
        let event = |event, address, page| counted(event, address, page, 1, None);
        let found = executed(
            vec![
                counted(Event::Instruction, TEXT, 100, 0, None),
                counted(Event::Waiting, TEXT, 100, 0, None),
                // A PV guest's, dom0's, a program's system call.
                event(Event::Syscall, TEXT, 500),
                event(Event::Syscall, TEXT, 100),
                event(Event::Syscall, 0x40_0000, 3),
                event(Event::Vmmcall, TEXT, 500),
                event(Event::Entry, 0xffff_82d0_4020_0000, 9),
            ],
            &layout(),
        );
        assert_eq!((found.hypercalls, found.entries), (20, 10));
        assert_eq!((found.all(), found.waiting), (10, 10));
    }

    #[test]
    fn a_driver_of_dom0_is_found_there() {
        let layout = Layout {
            driver: vec!["xen_blkback"],
            guest: None,
            ..layout()
        };
        let found = executed(
            vec![
                counted(Event::Instruction, MODULE, 1, 1, None),
                counted(Event::Instruction, TEXT, 9, 1, None),
            ],
            &layout,
        );
        assert_eq!((found.of(Owner::Driver), found.of(Owner::Kernel)), (10, 10));
    }
}
