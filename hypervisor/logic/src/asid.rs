// SPDX-License-Identifier: GPL-2.0

//! Address space identifiers (ASIDs; AMD APM volume 2, 15.16): a CPU's TLB keeps translations of several vCPUs apart by
//! them. A vCPU whose translations have become invalid gets another ASID instead of a flush. When a CPU has no ASID left,
//! its TLB is flushed, a new generation begins, and all ASIDs are given out again.

/// The ASIDs of a CPU. 0 is the hypervisor's.
#[derive(Debug)]
pub struct CpuAsids {
    /// The next one that is given out.
    next: u32,
    /// The highest one.
    max: u32,
    generation: u64,
}

/// The ASID of a vCPU. It is valid on the CPU that has assigned it, as long as that CPU's generation lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VcpuAsid {
    asid: u32,
    /// 0, which no CPU has, if it has none.
    generation: u64,
}

/// An ASID with which a vCPU enters the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssignedAsid {
    /// The ASID.
    pub asid: u32,
    /// The CPU's whole TLB has to be flushed first.
    pub flush: bool,
}

impl CpuAsids {
    /// For a CPU that supports `count` ASIDs, 0 included.
    pub const fn new(count: u32) -> Self {
        Self {
            next: 1,
            max: if count > 2 { count - 1 } else { 1 },
            generation: 1,
        }
    }

    /// The ASID of a vCPU that this CPU is about to run: its present one if that is valid, else the next one.
    pub fn assign(&mut self, vcpu: &mut VcpuAsid) -> AssignedAsid {
        if vcpu.generation == self.generation {
            return AssignedAsid {
                asid: vcpu.asid,
                flush: false,
            };
        }
        if self.next > self.max {
            self.generation += 1;
            self.next = 1;
        }
        *vcpu = VcpuAsid {
            asid: self.next,
            generation: self.generation,
        };
        self.next += 1;
        // What the last generation has left behind is flushed with the first ASID of a new one.
        AssignedAsid {
            asid: vcpu.asid,
            flush: vcpu.asid == 1,
        }
    }
}

impl VcpuAsid {
    /// The vCPU's translations are invalid, or it runs on another CPU next.
    pub fn invalidate(&mut self) {
        self.generation = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_vcpu_keeps_its_asid_until_it_is_invalid() {
        let mut cpu = CpuAsids::new(4);
        let (mut first, mut second) = (VcpuAsid::default(), VcpuAsid::default());
        let is = |asid, flush| AssignedAsid { asid, flush };
        assert_eq!(cpu.assign(&mut first), is(1, true));
        assert_eq!(cpu.assign(&mut second), is(2, false));
        assert_eq!(cpu.assign(&mut first), is(1, false));
        first.invalidate();
        assert_eq!(cpu.assign(&mut first), is(3, false));
        // None is left: everybody gets another one.
        second.invalidate();
        assert_eq!(cpu.assign(&mut second), is(1, true));
        assert_eq!(cpu.assign(&mut first), is(2, false));
    }

    #[test]
    fn with_one_asid_each_change_flushes() {
        for count in 0..3 {
            let mut cpu = CpuAsids::new(count);
            let (mut first, mut second) = (VcpuAsid::default(), VcpuAsid::default());
            for _ in 0..3 {
                assert!(cpu.assign(&mut first).flush);
                assert!(!cpu.assign(&mut first).flush);
                assert!(cpu.assign(&mut second).flush);
            }
        }
    }

    proptest! {
        /// A TLB that keeps what it is not told to flush never has translations of another vCPU, or old ones of the same
        /// vCPU, under the ASID that a vCPU gets.
        #[test]
        fn nobody_sees_translations_that_are_not_his(
            count in 2u32..6,
            steps in prop::collection::vec((0usize..4, 0usize..2, any::<bool>()), 1..200),
        ) {
            let mut cpus = [CpuAsids::new(count), CpuAsids::new(count)];
            // By ASID: whose translations of which version are there.
            let mut tlbs = [BTreeMap::new(), BTreeMap::new()];
            let mut vcpus = [(VcpuAsid::default(), 0usize, 0u32); 4];
            for (index, cpu, change) in steps {
                let (asid, last, version) = &mut vcpus[index];
                if change {
                    *version += 1;
                    asid.invalidate();
                }
                if core::mem::replace(last, cpu) != cpu {
                    asid.invalidate();
                }
                let assigned = cpus[cpu].assign(asid);
                prop_assert!(assigned.asid != 0 && assigned.asid < count);
                if assigned.flush {
                    tlbs[cpu].clear();
                }
                let own = (index, *version);
                let found = *tlbs[cpu].entry(assigned.asid).or_insert(own);
                prop_assert_eq!(found, own);
            }
        }
    }
}
