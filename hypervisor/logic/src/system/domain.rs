// SPDX-License-Identifier: GPL-2.0

//! The state of a domain.

use crate::cpuid::policy::CpuPolicy;
use crate::error::{Errno, Result};
use crate::event::{Events, SharedAreas};
use crate::grant::GrantTable;
use crate::mem::frames::DomId;
use crate::mem::p2m::P2m;
use crate::mem::{Gfn, HypFrames, PageRef};
use crate::system::log_dirty::LogDirty;
use crate::system::on_demand::OnDemand;
use crate::system::paging_pool::PagingPool;
use crate::system::vcpu::{Vcpu, VcpuId};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use xen_abi::hvm::params;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An entry of an E820 memory map, packed to 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed(4))]
pub struct E820Entry {
    /// Guest-physical address of the first byte.
    pub address: u64,
    /// Length in bytes.
    pub size: u64,
    /// Type of the memory, see [`xen_abi::hvm::start_info::memory`].
    pub kind: u32,
}

xen_abi::same_in_both_abis! {
    E820Entry,
}

/// The configuration of a domain: its privileges and limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its domid.
    pub id: DomId,
    /// Its UUID.
    pub handle: [u8; 16],
    /// It may control other domains and the machine, as dom0 does.
    pub privileged: bool,
    /// gfn and mfn of its memory are equal, so that DMA of its devices works without an IOMMU. Frames that it balloons
    /// out stay its own, so that its devices never reach another domain's memory.
    pub direct_mapped: bool,
    /// How many vCPUs it has, once they are made.
    pub max_vcpus: u32,
    /// How many frames it may own.
    pub max_pages: u64,
    /// Pages for its nested page tables when it is created. `None`: its pool grows with what it maps.
    pub paging_pages: Option<u64>,
    /// Its highest event channel port.
    pub max_port: u32,
    /// How many frames its grant table may have.
    pub max_grant_frames: u32,
    /// How many frames of maptrack entries it may use, as Xen counts them.
    pub max_maptrack_frames: u32,
    /// The highest version of its grant table, 1 or 2.
    pub max_grant_version: u32,
    /// What is emulated for it, see [`xen_abi::domctl::emulation`].
    pub emulation_flags: u32,
    /// It serves the xenstore.
    pub is_xenstore: bool,
    /// The memory map that `XENMEM_memory_map` returns.
    pub memory_map: Vec<E820Entry>,
}

/// Where a domain is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeStage {
    /// It is built by the toolstack, and was never unpaused (`creation_finished` is false in Xen).
    Building,
    /// It was unpaused once. Paused again or shut down, it is alive.
    Alive,
    /// It is being destroyed (`DOMDYING_dying`): nothing is given to it any more, and its vCPUs never run again.
    Dying(DestroyStep),
    /// A zombie (`DOMDYING_dead`): it has nothing left but pages and grant table frames that others use. Its domid is
    /// not given to another domain until they do not.
    Dead,
}

/// What is done next to destroy a domain. Numbers are where to continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestroyStep {
    /// Waiting until no CPU runs one of its vCPUs.
    StopVcpus,
    /// Closing its event channels, from this port on.
    CloseEvents(u32),
    /// Unmapping other domains' grants, from this handle on.
    UnmapGrants(u32),
    /// Putting the pages that the hypervisor writes to for it.
    PutAreas,
    /// Emptying its p2m.
    TeardownP2m,
    /// Freeing what is kept for memory that is populated on demand.
    EmptyPodCache,
    /// Releasing its pages, from this machine frame on.
    ReleasePages(u64),
}

/// How upcalls reach vCPUs that have not set a vector of their own (`HVM_PARAM_CALLBACK_IRQ`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Callback {
    /// There are none.
    #[default]
    None,
    /// By a vector that is injected without the local APIC.
    Vector(u8),
    /// By a GSI or PCI INTx, which no supported kernel uses: treated as none.
    Intx(u64),
}

/// State of a domain.
pub struct Domain {
    /// Its configuration.
    pub config: Config,
    /// Its p2m.
    pub p2m: P2m,
    /// The pages for the p2m's tables.
    pub paging_pool: PagingPool,
    /// Its event channels.
    pub events: Events,
    /// Its grant table and maptrack entries.
    pub grants: GrantTable,
    /// Its vCPUs.
    pub vcpus: Vec<Vcpu>,
    /// Machine addresses of its shared info page and of its vCPUs' `vcpu_info`.
    pub areas: SharedAreas,
    /// Its shared info page, and the gfn at which it maps the page.
    pub shared_info: (HypFrames, Option<Gfn>),
    /// References to the foreign frames that it maps, by gfn.
    pub foreign: BTreeMap<u64, PageRef>,
    /// Number of frames that it owns and has ballooned out, so that they are not in its p2m.
    pub ballooned_out: u64,
    /// Its memory that is populated on demand.
    pub on_demand: OnDemand,
    /// Log-dirty mode, while it is enabled.
    pub(crate) log_dirty: Option<LogDirty>,
    /// What its CPUID shows.
    pub cpu_policy: Arc<CpuPolicy>,
    /// Its HVM parameters.
    pub params: [u64; params::COUNT as usize],
    /// How its upcalls are delivered.
    pub callback: Callback,
    /// Where it is in its life.
    pub(crate) life: LifeStage,
    /// The highest gfn that was ever mapped.
    pub max_gfn: u64,
    /// The reason, once it has shut down.
    pub shutdown: Option<u8>,
    /// The reason that `SCHEDOP_shutdown_code` has set for its next shutdown.
    pub shutdown_code: Option<u8>,
    /// The port that is notified when it has shut down to be suspended; 0 for none.
    pub(crate) suspend_port: u32,
    /// How many times the toolstack has paused it and not unpaused it.
    pub controller_pause_count: u32,
    /// A hypercall of the toolstack works on it, or waits to: its vCPUs are kept from running meanwhile.
    pub(crate) hypercall_pause: bool,
    /// It has enabled `VMASST_TYPE_runstate_update_flag`.
    pub runstate_update_flag: bool,
    /// Its vCPUs' share of processor time.
    pub(crate) weight: u16,
    /// What they get of it together, in hundredths of a CPU; 0 for no limit.
    pub(crate) cap: u16,
    /// Seconds that its wall clock is ahead of the machine's.
    pub time_offset: i64,
    /// How its time-stamp counter is read, see [`xen_abi::cpuid::tsc_mode`].
    pub tsc_mode: u32,
    /// How often it was restored, and once more for its creation.
    pub tsc_incarnation: u32,
}

impl Domain {
    /// Its domid.
    pub fn id(&self) -> DomId {
        self.config.id
    }

    /// One of its vCPUs.
    pub fn vcpu(&self, vcpu: u32) -> Option<&Vcpu> {
        self.vcpus.get(vcpu as usize)
    }

    /// One of its vCPUs, mutably. [`Errno::ENOENT`] if there is none.
    pub fn vcpu_mut(&mut self, vcpu: u32) -> Result<&mut Vcpu> {
        self.vcpus.get_mut(vcpu as usize).ok_or(Errno::ENOENT)
    }

    /// Whether a vCPU may run, if it does not wait for an event: it is up, and nothing keeps its domain's vCPUs from
    /// running. This is the only place that decides so.
    pub fn vcpu_runnable(&self, vcpu: &Vcpu) -> bool {
        !vcpu.down
            && self.controller_pause_count == 0
            && !self.hypercall_pause
            && self.shutdown.is_none()
            && !self.is_dying()
    }

    /// Where it is in its life.
    pub fn life(&self) -> LifeStage {
        self.life
    }

    /// It is being destroyed, or is a zombie.
    pub fn is_dying(&self) -> bool {
        matches!(self.life, LifeStage::Dying(_) | LifeStage::Dead)
    }

    /// The [`VcpuId`] of one of its vCPUs.
    pub fn vcpu_id(&self, vcpu: u32) -> VcpuId {
        VcpuId {
            domain: self.id(),
            vcpu,
        }
    }
}
