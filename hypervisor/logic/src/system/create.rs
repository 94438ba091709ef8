// SPDX-License-Identifier: GPL-2.0

//! Creating a domain and its vCPUs.

use super::{
    Callback, Config, Domain, Errno, Events, GrantTable, P2mTables, PagingPool, Platform, Result,
    SharedAreas, System, domid,
};
use crate::mem::frames::DomId;
use crate::mem::p2m::P2m;
use crate::sched::DEFAULT_WEIGHT;
use crate::system::domain::LifeStage;
use crate::system::on_demand::OnDemand;
use crate::system::vcpu::{RunstateTimes, Vcpu, VcpuId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use xen_abi::cpuid::tsc_mode;
use xen_abi::hvm::params;
use xen_abi::sched::shutdown;

impl<P: Platform> System<P> {
    /// Creates a domain without memory and vCPUs. It is paused once: the toolstack, or who builds dom0, unpauses it when
    /// it is built.
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
        let root = p2m.root();
        let address = shared_info.mfn().address();
        let mut domain = Domain {
            p2m,
            paging_pool,
            events: Events::new(config.max_port),
            grants: GrantTable::new(config.max_grant_frames, config.max_maptrack_frames),
            vcpus: Vec::new(),
            areas: SharedAreas::new(address, config.max_vcpus),
            shared_info: (shared_info, None),
            foreign: BTreeMap::new(),
            ballooned_out: 0,
            on_demand: OnDemand::default(),
            log_dirty: None,
            cpu_policy: self.host.guest_policy.clone(),
            params: [0; params::COUNT as usize],
            callback: Callback::None,
            life: LifeStage::Building,
            max_gfn: 0,
            shutdown: None,
            shutdown_code: None,
            suspend_port: 0,
            controller_pause_count: 1,
            hypercall_pause: false,
            runstate_update_flag: false,
            weight: DEFAULT_WEIGHT,
            cap: 0,
            time_offset: 0,
            tsc_mode: tsc_mode::DEFAULT,
            tsc_incarnation: 1,
            config,
        };
        let id = domain.id();
        domain.params[params::TRIPLE_FAULT_REASON as usize] = shutdown::REBOOT.into();
        self.domains.insert(id, domain);
        self.update_wall_clock(id);
        let made = self
            .grow_grant_table(id, 1)
            .and_then(|()| self.platform.domain_create(&mut self.frames, id, root));
        if made.is_err() {
            self.remove_domain(id);
            return made;
        }
        self.platform
            .cpu_policy_changed(id, &self.host.guest_policy);
        Ok(())
    }

    /// Makes a domain's vCPUs, those that there are not yet (`XEN_DOMCTL_max_vcpus`). They are down.
    ///
    /// # Errors
    ///
    /// [`Errno::EINVAL`] if the domain is being destroyed, [`Errno::ENOMEM`].
    pub fn create_vcpus(&mut self, id: DomId) -> Result<()> {
        let domain = self.living_domain(id)?;
        let (made, wanted) = (domain.vcpus.len() as u32, domain.config.max_vcpus);
        let now = self.platform.now();
        for vcpu in made..wanted {
            let vcpus = &mut self.domain_mut(id)?.vcpus;
            vcpus.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            let vcpu = VcpuId { domain: id, vcpu };
            self.platform.vcpu_create(&mut self.frames, vcpu)?;
            self.domain_mut(id)?.vcpus.push(Vcpu {
                down: true,
                runstate: RunstateTimes::new(now),
                ..Vcpu::default()
            });
        }
        let domain = self.domain(id)?;
        let (weight, cap) = (domain.weight, domain.cap);
        if weight != DEFAULT_WEIGHT {
            self.set_weight(id, weight)?;
        }
        if cap != 0 {
            self.set_cap(id, cap)?;
        }
        Ok(())
    }

    /// Sets how much processor time a domain's vCPUs get together, in hundredths of a CPU; 0 for no limit.
    pub fn set_cap(&mut self, id: DomId, percent: u16) -> Result<()> {
        self.domain_mut(id)?.cap = percent;
        self.platform.set_cap(id, percent);
        Ok(())
    }

    /// Sets the share of processor time of each of a domain's vCPUs, also of those that are made later.
    pub fn set_weight(&mut self, id: DomId, weight: u16) -> Result<()> {
        let domain = self.domain_mut(id)?;
        domain.weight = weight;
        for vcpu in 0..domain.vcpus.len() as u32 {
            let vcpu = VcpuId { domain: id, vcpu };
            self.platform.set_weight(vcpu, weight);
        }
        Ok(())
    }

    /// A domid for a new domain: `wanted`, unless that is 0 or reserved. Those of domains that are gone are not used
    /// again until all others were, as in Xen.
    ///
    /// # Errors
    ///
    /// [`Errno::EEXIST`] if `wanted` is in use, [`Errno::ENOMEM`] if all are.
    pub fn free_domid(&mut self, wanted: DomId) -> Result<DomId> {
        if (1..domid::FIRST_RESERVED).contains(&wanted) {
            return match self.domains.contains_key(&wanted) {
                true => Err(Errno::EEXIST),
                false => Ok(wanted),
            };
        }
        let after = self.last_domid + 1..domid::FIRST_RESERVED;
        let mut candidates = after.chain(1..=self.last_domid);
        let free = candidates.find(|id| !self.domains.contains_key(id));
        self.last_domid = free.ok_or(Errno::ENOMEM)?;
        Ok(self.last_domid)
    }
}
