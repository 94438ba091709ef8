// SPDX-License-Identifier: GPL-2.0

//! Creating a domain.

use super::{
    Callback, Config, Domain, Errno, Events, GrantTable, P2mTables, PagingPool, Platform, Result,
    SharedAreas, System,
};
use crate::mem::p2m::P2m;
use crate::system::domain::LifeStage;
use crate::system::vcpu::{RunstateTimes, Vcpu};
use alloc::collections::BTreeMap;
use xen_abi::hvm::params;
use xen_abi::sched::shutdown;

impl<P: Platform> System<P> {
    /// Creates a domain without memory, whose vCPUs are down. It is paused once: the toolstack, or who builds dom0,
    /// unpauses it when it is built.
    ///
    /// # Errors
    ///
    /// [`Errno::EEXIST`] if there is a domain with its domid, which may be a zombie; [`Errno::ENOMEM`].
    pub fn create_domain(&mut self, config: Config) -> Result<()> {
        if self.domains.contains_key(&config.id) {
            return Err(Errno::EEXIST);
        }
        let shared_info = self.frames.alloc(0, None).ok_or(Errno::ENOMEM)?;
        self.platform.clear_frame(shared_info.mfn().address());
        let mut paging_pool = PagingPool::new(config.paging_pages.is_none());
        let pages = config.paging_pages.unwrap_or(1);
        let resized = paging_pool.resize(&mut self.frames, pages, pages + 1);
        let mut memory = P2mTables {
            frames: &mut self.frames,
            memory: &self.platform,
            pool: &mut paging_pool,
        };
        let p2m = resized.ok().and_then(|_| P2m::new(&mut memory));
        let Some(p2m) = p2m else {
            paging_pool.release(&mut self.frames);
            self.frames.free(shared_info);
            return Err(Errno::ENOMEM);
        };
        let now = self.platform.now();
        let address = shared_info.mfn().address();
        let vcpu = |_| Vcpu {
            down: true,
            runstate: RunstateTimes::new(now),
            ..Vcpu::default()
        };
        let mut domain = Domain {
            p2m,
            paging_pool,
            events: Events::new(config.max_port),
            grants: GrantTable::new(config.max_grant_frames, config.max_maptrack_frames),
            vcpus: (0..config.vcpus).map(vcpu).collect(),
            areas: SharedAreas::new(address, config.vcpus),
            shared_info: (shared_info, None),
            foreign: BTreeMap::new(),
            ballooned_out: 0,
            params: [0; params::COUNT as usize],
            callback: Callback::None,
            life: LifeStage::Building,
            max_gfn: 0,
            shutdown: None,
            shutdown_code: None,
            controller_pause_count: 1,
            runstate_update_flag: false,
            time_offset: 0,
            config,
        };
        let id = domain.id();
        domain.params[params::TRIPLE_FAULT_REASON as usize] = shutdown::REBOOT.into();
        self.domains.insert(id, domain);
        self.update_wall_clock(id);
        self.grow_grant_table(id, 1)
    }
}
