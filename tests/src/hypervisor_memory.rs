// SPDX-License-Identifier: GPL-2.0

//! How much memory the hypervisor has left, as its debug key `m` tells: to the page, where `xl info` has MiB.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::host::Host;
use crate::topology::Hypervisor;

/// What a hypervisor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HypervisorMemory {
    /// KiB that no domain and nothing of the hypervisor has.
    pub free: u64,
    /// Bytes of our hypervisor's heap that are in use. Xen's is not told apart from its other memory.
    pub heap: Option<u64>,
}

impl HypervisorMemory {
    /// Asks the hypervisor.
    pub fn ask(host: &Host) -> Result<Self> {
        let hypervisor = host.topology().hypervisor;
        let script = match hypervisor {
            Hypervisor::Xen => "xl debug-keys m; xl dmesg",
            Hypervisor::Paravane => {
                "xl debug-keys m; xl dmesg | grep 'memory: .* pages' | tail -n 1"
            }
        };
        let said = host.dom0().sh(script)?;
        let found = match hypervisor {
            Hypervisor::Xen => of_xen(&said),
            Hypervisor::Paravane => ours(&said),
        };
        let last = said.lines().last().unwrap_or("");
        found.with_context(|| format!("the debug key says no memory, at last {last:?}"))
    }

    /// Asks until the answer stays the same: xenstored and xenconsoled unmap pages of guests that are gone.
    pub fn settled(host: &Host) -> Result<Self> {
        let mut last = None;
        host.pace()
            .wait("the free memory to stay", Duration::from_secs(30), || {
                let now = Self::ask(host)?;
                let before = last.replace(now);
                host.pace().sleep(Duration::from_millis(300));
                Ok((before == Some(now)).then_some(now))
            })
    }
}

/// The sum of the lines after the last heading, such as `heap[14]: 123kB free`.
fn of_xen(said: &str) -> Option<HypervisorMemory> {
    let mut free = None;
    for line in said.lines() {
        if line.contains("Physical memory information") {
            free = Some(0);
        }
        let Some((heap, size)) = line
            .strip_suffix("kB free")
            .and_then(|line| line.rsplit_once(": "))
        else {
            continue;
        };
        let is_part = heap.ends_with("Xen heap") || heap.contains("heap[");
        // The log may begin in the middle of an answer, when it is full.
        if let Some(free) = free.as_mut().filter(|_| is_part) {
            *free += size.parse::<u64>().ok()?;
        }
    }
    let free = free.filter(|free| *free > 0)?;
    Some(HypervisorMemory { free, heap: None })
}

/// One line with pages of 4 KiB and bytes of the heap.
fn ours(line: &str) -> Option<HypervisorMemory> {
    let before = |mark: &str| -> Option<u64> {
        let (numbers, _) = line.split_once(mark)?;
        numbers.rsplit(' ').next()?.parse().ok()
    };
    Some(HypervisorMemory {
        free: before(" free")? * 4,
        heap: Some(before(" bytes of the heap used")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xens_heaps_are_added_up_and_only_the_last_answer_counts() {
        let said = "(XEN)     heap[15]: 5kB free\n\
                    (XEN) Physical memory information:\n(XEN)     Xen heap: 7kB free\n\
                    (XEN) Physical memory information:\n(XEN)     Xen heap: 0kB free\n\
                    (XEN)     heap[14]: 20kB free\n(XEN)     heap[15]: 300kB free\n(XEN)     Dom heap: 320kB free";
        assert_eq!(of_xen(said).unwrap().free, 320);
        assert_eq!(of_xen("(XEN) something else"), None);
    }

    #[test]
    fn ours_tells_pages_and_bytes_in_one_line() {
        let line = "(PVN) memory: 1000 pages, 25 free, 0 claimed; 4096 bytes of the heap used, 77 left to guests";
        let found = HypervisorMemory {
            free: 100,
            heap: Some(4096),
        };
        assert_eq!(ours(line), Some(found));
        assert_eq!(ours("(PVN) memory: none"), None);
    }
}
