// SPDX-License-Identifier: GPL-2.0

//! CPU policies: what a domain's CPUID shows, as leaves that the toolstack reads and changes while it builds the domain
//! (`struct cpu_policy` in Xen).
//!
//! There are three for the machine: what the processor has, what a guest may have, and that of dom0, which is the same.
//! A domain begins with what it may have. What depends on a vCPU's state is not in a policy: [`CpuPolicy::guest_leaf`]
//! adds it.

use super::{CpuidRegs, Tsc, VcpuState, guest_leaf, hypervisor_leaf};
use crate::error::Errno;
use crate::system::vcpu::VcpuId;
use alloc::vec::Vec;
use xen_abi::domctl::{CPUID_NO_SUBLEAF, CpuidLeaf, MsrEntry};

/// Most leaves of a policy (`CPUID_MAX_SERIALISED_LEAVES`).
pub const MAX_POLICY_LEAVES: u32 = 120;
/// Number of [`FEATURE_WORDS`] (`FSCAPINTS`).
pub const FEATURE_WORD_COUNT: usize = 19;
/// The last basic leaf that a policy may have.
const LAST_BASIC: u32 = 0xd;
/// The first and the last extended leaf that a policy may have.
const FIRST_EXTENDED: u32 = 0x8000_0000;
const LAST_EXTENDED: u32 = 0x8000_0021;
/// The first leaves of hypervisors: their EAX limits which of them a guest sees.
const HYPERVISOR_LEAVES: [u32; 2] = [0x4000_0000, 0x4000_0100];
/// Processor frequencies that the guest could ask for, on Intel's processors.
const PLATFORM_INFO: u32 = 0xce;
/// Which attacks the processor is immune to, on Intel's processors.
const ARCH_CAPABILITIES: u32 = 0x10a;

/// A register of CPUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reg {
    A,
    B,
    C,
    D,
}

impl Reg {
    fn of(self, regs: &CpuidRegs) -> u32 {
        match self {
            Self::A => regs.a,
            Self::B => regs.b,
            Self::C => regs.c,
            Self::D => regs.d,
        }
    }
}

/// The words of a featureset, in the order of `cpufeatureset.h`: leaf, subleaf and register. `None` for those of
/// `MSR_ARCH_CAPABILITIES`, which no guest has.
const FEATURE_WORDS: [Option<(u32, u32, Reg)>; FEATURE_WORD_COUNT] = [
    Some((1, 0, Reg::D)),
    Some((1, 0, Reg::C)),
    Some((0x8000_0001, 0, Reg::D)),
    Some((0x8000_0001, 0, Reg::C)),
    Some((0xd, 1, Reg::A)),
    Some((7, 0, Reg::B)),
    Some((7, 0, Reg::C)),
    Some((0x8000_0007, 0, Reg::D)),
    Some((0x8000_0008, 0, Reg::B)),
    Some((7, 0, Reg::D)),
    Some((7, 1, Reg::A)),
    Some((0x8000_0021, 0, Reg::A)),
    Some((7, 1, Reg::B)),
    Some((7, 2, Reg::D)),
    Some((7, 1, Reg::C)),
    Some((7, 1, Reg::D)),
    None,
    None,
    Some((0x8000_0021, 0, Reg::C)),
];

/// What of a policy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// Why.
    pub errno: Errno,
    /// The leaf, or all ones.
    pub leaf: u32,
    /// Its subleaf, or all ones.
    pub subleaf: u32,
    /// The MSR, or all ones.
    pub msr: u32,
}

impl PolicyError {
    /// A leaf is refused.
    fn leaf(errno: Errno, leaf: u32, subleaf: u32) -> Self {
        Self {
            errno,
            leaf,
            subleaf,
            msr: u32::MAX,
        }
    }

    /// An MSR is refused.
    fn msr(errno: Errno, msr: u32) -> Self {
        Self {
            errno,
            leaf: u32::MAX,
            subleaf: u32::MAX,
            msr,
        }
    }
}

/// The leaves of a policy, by rising leaf and subleaf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuPolicy {
    leaves: Vec<CpuidLeaf>,
}

/// The last subleaf that a policy may have of a leaf; `None` for a leaf without subleaves.
fn last_subleaf(leaf: u32) -> Option<u32> {
    match leaf {
        4 => Some(5),
        7 => Some(2),
        0xb => Some(1),
        0xd => Some(62),
        _ => None,
    }
}

/// Whether a policy may have a leaf.
fn is_known(leaf: u32, subleaf: u32) -> bool {
    let numbered = matches!(leaf, 0..=LAST_BASIC | FIRST_EXTENDED..=LAST_EXTENDED)
        || HYPERVISOR_LEAVES.contains(&leaf);
    let subleaf_fits = match last_subleaf(leaf) {
        Some(last) => subleaf <= last,
        None => subleaf == CPUID_NO_SUBLEAF,
    };
    numbered && subleaf_fits
}

impl CpuPolicy {
    /// What a processor has, by its CPUID.
    pub fn of_processor(cpuid: impl Fn(u32, u32) -> CpuidRegs) -> Self {
        let mut policy = Self::default();
        let basic = cpuid(0, 0).a.min(LAST_BASIC);
        for leaf in 0..=basic {
            match leaf {
                4 | 0xb => {
                    for subleaf in 0..=last_subleaf(leaf).unwrap_or(0) {
                        let regs = cpuid(leaf, subleaf);
                        policy.insert(leaf, subleaf, regs);
                        // The type of a cache or level: there are no more.
                        let kind = if leaf == 4 {
                            regs.a & 0x1f
                        } else {
                            regs.c >> 8 & 0xff
                        };
                        if kind == 0 {
                            break;
                        }
                    }
                }
                7 => {
                    for subleaf in 0..=cpuid(7, 0).a.min(2) {
                        policy.insert(leaf, subleaf, cpuid(leaf, subleaf));
                    }
                }
                0xd => {
                    let (user, supervisor) = (cpuid(0xd, 0), cpuid(0xd, 1));
                    let low = user.a | supervisor.c;
                    let high = user.d | supervisor.d;
                    let states = u64::from(high) << 32 | u64::from(low);
                    policy.insert(leaf, 0, user);
                    policy.insert(leaf, 1, supervisor);
                    for subleaf in (2..=62).filter(|state| states >> state & 1 != 0) {
                        policy.insert(leaf, subleaf, cpuid(leaf, subleaf));
                    }
                }
                _ => policy.insert(leaf, CPUID_NO_SUBLEAF, cpuid(leaf, 0)),
            }
        }
        for leaf in HYPERVISOR_LEAVES {
            policy.insert(leaf, CPUID_NO_SUBLEAF, CpuidRegs::default());
        }
        let extended = cpuid(FIRST_EXTENDED, 0)
            .a
            .clamp(FIRST_EXTENDED, LAST_EXTENDED);
        for leaf in FIRST_EXTENDED..=extended {
            policy.insert(leaf, CPUID_NO_SUBLEAF, cpuid(leaf, 0));
        }
        policy
    }

    /// What a guest may have of a processor with this policy.
    pub fn for_guests(&self) -> Self {
        /// A vCPU of which everything is enabled.
        const STATE: VcpuState = VcpuState {
            apic_id: 0,
            vcpus: 1,
            osxsave: false,
            apic: true,
            xcr0: u64::MAX,
        };
        let mut policy = Self::default();
        for own in &self.leaves {
            let subleaf = match last_subleaf(own.leaf) {
                Some(_) => own.subleaf,
                None => 0,
            };
            let mut regs = match own.leaf {
                // Each vCPU has its own place among the others.
                0xb => CpuidRegs::default(),
                leaf if HYPERVISOR_LEAVES.contains(&leaf) => CpuidRegs::default(),
                leaf => guest_leaf(leaf, subleaf, &STATE, |leaf, sub| self.get(leaf, sub)),
            };
            match own.leaf {
                0 => regs.a = regs.a.min(LAST_BASIC),
                1 => regs.b &= 0xff00,
                FIRST_EXTENDED => regs.a = regs.a.min(LAST_EXTENDED),
                _ => {}
            }
            policy.insert(own.leaf, own.subleaf, regs);
        }
        policy.drop_out_of_range();
        policy
    }

    fn find(&self, leaf: u32, subleaf: u32) -> core::result::Result<usize, usize> {
        self.leaves
            .binary_search_by_key(&(leaf, subleaf), |own| (own.leaf, own.subleaf))
    }

    fn insert(&mut self, leaf: u32, subleaf: u32, regs: CpuidRegs) {
        let CpuidRegs { a, b, c, d } = regs;
        let own = CpuidLeaf {
            leaf,
            subleaf,
            a,
            b,
            c,
            d,
        };
        match self.find(leaf, subleaf) {
            Ok(index) => self.leaves[index] = own,
            Err(index) => self.leaves.insert(index, own),
        }
    }

    /// A leaf; zeroes if the policy does not have it.
    pub fn get(&self, leaf: u32, subleaf: u32) -> CpuidRegs {
        let subleaf = last_subleaf(leaf).map_or(CPUID_NO_SUBLEAF, |_| subleaf);
        let own = self.find(leaf, subleaf).map(|index| &self.leaves[index]);
        own.map_or(CpuidRegs::default(), |own| CpuidRegs {
            a: own.a,
            b: own.b,
            c: own.c,
            d: own.d,
        })
    }

    /// All leaves, by rising leaf and subleaf.
    pub fn leaves(&self) -> &[CpuidLeaf] {
        &self.leaves
    }

    /// The MSRs that belong to a policy. No guest has them.
    pub fn msrs() -> [MsrEntry; 2] {
        [PLATFORM_INFO, ARCH_CAPABILITIES].map(|idx| MsrEntry {
            idx,
            ..MsrEntry::default()
        })
    }

    /// Its features, in the order of `cpufeatureset.h`.
    pub fn features(&self) -> [u32; FEATURE_WORD_COUNT] {
        FEATURE_WORDS
            .map(|word| word.map_or(0, |(leaf, subleaf, reg)| reg.of(&self.get(leaf, subleaf))))
    }

    /// Removes the leaves beyond the last that the policy says it has.
    fn drop_out_of_range(&mut self) {
        let basic = self.get(0, 0).a;
        let extended = self.get(FIRST_EXTENDED, 0).a;
        let features = self.get(7, 0).a;
        self.leaves.retain(|own| match own.leaf {
            0 | FIRST_EXTENDED => true,
            7 => basic >= 7 && own.subleaf <= features,
            1..=LAST_BASIC => own.leaf <= basic,
            FIRST_EXTENDED..=LAST_EXTENDED => own.leaf <= extended,
            _ => true,
        });
    }

    /// This policy with leaves and MSRs of the toolstack, within what a guest `may_have`: features beyond that are left
    /// out without an error, as in Xen.
    ///
    /// # Errors
    ///
    /// [`Errno::ERANGE`] for a leaf or MSR that a policy does not have; [`Errno::EINVAL`] for an MSR with a value or for
    /// more leaves than a guest may have.
    pub fn updated(
        &self,
        leaves: &[CpuidLeaf],
        msrs: &[MsrEntry],
        may_have: &Self,
    ) -> core::result::Result<Self, PolicyError> {
        let mut policy = self.clone();
        for new in leaves {
            if !is_known(new.leaf, new.subleaf) {
                return Err(PolicyError::leaf(Errno::ERANGE, new.leaf, new.subleaf));
            }
            let CpuidLeaf { a, b, c, d, .. } = *new;
            policy.insert(new.leaf, new.subleaf, CpuidRegs { a, b, c, d });
        }
        for msr in msrs {
            if !matches!(msr.idx, PLATFORM_INFO | ARCH_CAPABILITIES) {
                return Err(PolicyError::msr(Errno::ERANGE, msr.idx));
            }
            if msr.flags != 0 || msr.val != 0 {
                return Err(PolicyError::msr(Errno::EINVAL, msr.idx));
            }
        }
        policy.drop_out_of_range();
        let limits = [
            (0, CPUID_NO_SUBLEAF),
            (7, 0),
            (FIRST_EXTENDED, CPUID_NO_SUBLEAF),
        ];
        for (leaf, subleaf) in limits {
            if policy.get(leaf, subleaf).a > may_have.get(leaf, subleaf).a {
                return Err(PolicyError::leaf(Errno::EINVAL, leaf, subleaf));
            }
        }
        policy.limit_to(may_have);
        Ok(policy)
    }

    /// Leaves out features that a guest may not have, and takes over what only the hypervisor decides.
    fn limit_to(&mut self, may_have: &Self) {
        for own in &mut self.leaves {
            let subleaf = match last_subleaf(own.leaf) {
                Some(_) => own.subleaf,
                None => 0,
            };
            let most = may_have.get(own.leaf, subleaf);
            for word in FEATURE_WORDS.into_iter().flatten() {
                match word {
                    (leaf, sub, reg) if (leaf, sub) == (own.leaf, subleaf) => {
                        let value = match reg {
                            Reg::A => &mut own.a,
                            Reg::B => &mut own.b,
                            Reg::C => &mut own.c,
                            Reg::D => &mut own.d,
                        };
                        *value &= reg.of(&most);
                    }
                    _ => {}
                }
            }
            if own.leaf == 0xd {
                match own.subleaf {
                    0 => {
                        own.a &= most.a;
                        own.d &= most.d;
                    }
                    1 => (own.b, own.c, own.d) = (most.b, most.c, most.d),
                    // Where a state is kept is the processor's.
                    _ => (own.a, own.b, own.c, own.d) = (most.a, most.b, most.c, most.d),
                }
            }
        }
    }

    /// A leaf as a vCPU of the domain gets it.
    pub fn guest_leaf(
        &self,
        leaf: u32,
        subleaf: u32,
        vcpu: VcpuId,
        state: &VcpuState,
        time: &Tsc,
    ) -> CpuidRegs {
        if let Some(own) = hypervisor_leaf(leaf, subleaf, vcpu, time) {
            return own;
        }
        if leaf > self.get(leaf & FIRST_EXTENDED, 0).a {
            return CpuidRegs::default();
        }
        let mut regs = guest_leaf(leaf, subleaf, state, |leaf, sub| self.get(leaf, sub));
        if leaf == 1 {
            // What the hypervisor emulates for every guest, unless the toolstack has left it out.
            let own = self.get(1, 0);
            regs.c &= own.c | super::OSXSAVE;
            regs.d &= own.d | super::HTT;
        }
        regs
    }
}

#[cfg(test)]
mod tests;
