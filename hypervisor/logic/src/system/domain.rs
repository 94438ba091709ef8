//! What the hypervisor knows of a domain.

use crate::error::{Errno, Result};
use crate::event::{Events, Places};
use crate::grant::GrantTable;
use crate::mem::frames::DomId;
use crate::mem::p2m::P2m;
use crate::mem::{Gfn, Hold, HypFrames};
use crate::system::vcpu::{Vcpu, VcpuId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use xen_abi::hvm::params;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An entry of a memory map in E820's layout, which is packed to 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed(4))]
pub struct E820Entry {
    /// Guest-physical address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// See [`xen_abi::hvm::start_info::memory`].
    pub kind: u32,
}

/// What a domain may do and have.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its number.
    pub id: DomId,
    /// Its UUID.
    pub handle: [u8; 16],
    /// It may control other domains and the machine: dom0.
    pub privileged: bool,
    /// It sees its memory where the machine has it. What it gives back stays its own, so that devices that it drives
    /// never reach somebody else's memory.
    pub direct_mapped: bool,
    /// Number of vCPUs.
    pub vcpus: u32,
    /// Frames it may have.
    pub max_pages: u64,
    /// Its highest port.
    pub max_port: u32,
    /// Frames its grant table may have.
    pub max_grant_frames: u32,
    /// Frames its mappings of others' grants may be tracked in.
    pub max_maptrack_frames: u32,
    /// What it is told of its memory.
    pub memory_map: Vec<E820Entry>,
}

/// How a domain is told of events where a vCPU has not chosen a vector of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Callback {
    /// Not at all.
    #[default]
    None,
    /// By a vector, without the local APIC.
    Vector(u8),
    /// By an interrupt line, which nothing uses any more: served as none.
    Line(u64),
}

/// A domain.
pub struct Domain {
    /// What it may do and have.
    pub config: Config,
    /// Where it sees which frame.
    pub p2m: P2m,
    /// The frames of the tables that say so.
    pub tables: BTreeMap<u64, HypFrames>,
    /// Its event channels.
    pub events: Events,
    /// What it grants, and what it has mapped of others' grants.
    pub grants: GrantTable,
    /// Its vCPUs.
    pub vcpus: Vec<Vcpu>,
    /// Where the words of its events are.
    pub places: Places,
    /// Its shared info page, and where it sees it.
    pub shared_info: (HypFrames, Option<Gfn>),
    /// Frames of others that it sees outside of grants, by where it sees them.
    pub foreign: BTreeMap<u64, Hold>,
    /// Frames that are its own and that it does not see, having given them back.
    pub absent: u64,
    /// Its parameters.
    pub params: [u64; params::COUNT as usize],
    /// How it is told of events.
    pub callback: Callback,
    /// The highest frame it has ever seen.
    pub max_gfn: u64,
    /// Why it has shut down.
    pub shutdown: Option<u8>,
    /// Why it says it will.
    pub shutdown_code: Option<u8>,
    /// How often the toolstack has paused it.
    pub pauses: u32,
    /// It wants to see when its runstates are being changed.
    pub runstate_flag: bool,
    /// Seconds that its wall clock is off.
    pub time_offset: i64,
}

impl Domain {
    /// Its number.
    pub fn id(&self) -> DomId {
        self.config.id
    }

    /// Its vCPU of a number.
    pub fn vcpu(&self, vcpu: u32) -> Option<&Vcpu> {
        self.vcpus.get(vcpu as usize)
    }

    /// The same, to change.
    pub fn vcpu_mut(&mut self, vcpu: u32) -> Result<&mut Vcpu> {
        self.vcpus.get_mut(vcpu as usize).ok_or(Errno::ENOENT)
    }

    /// Names one of its vCPUs.
    pub fn vcpu_id(&self, vcpu: u32) -> VcpuId {
        VcpuId {
            domain: self.id(),
            vcpu,
        }
    }
}
