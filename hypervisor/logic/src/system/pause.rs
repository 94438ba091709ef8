// SPDX-License-Identifier: GPL-2.0

//! What keeps vCPUs from running: pausing by the toolstack, shutting down, being down. Each is a reason of its own in
//! the domain or the vCPU, and ends by itself: a vCPU runs once no reason is left ([`Domain::vcpu_runnable`](super::Domain::vcpu_runnable)). An event
//! that a vCPU waits for ends none of them.
//!
//! Pausing is synchronous for the toolstack, but nobody waits under the system's lock: the hypercall's vCPU waits after
//! it was made ([`VcpuAction::SyncPause`](crate::hypercall::VcpuAction::SyncPause)).

use super::{Errno, Platform, Result, System};
use crate::mem::frames::DomId;
use crate::system::domain::LifeStage;
use crate::system::vcpu::VcpuId;
use xen_abi::sched::shutdown;

impl<P: Platform> System<P> {
    /// Tells the machine which vCPUs of a domain may run, as far as that has changed. To be called after each change of
    /// what [`Domain::vcpu_runnable`](super::Domain::vcpu_runnable) depends on.
    pub(super) fn update_runnable(&mut self, id: DomId) {
        let Some(domain) = self.domains.get_mut(&id) else {
            return;
        };
        for number in 0..domain.vcpus.len() {
            let runnable = domain.vcpu_runnable(&domain.vcpus[number]);
            let vcpu = domain.vcpu_id(number as u32);
            if core::mem::replace(&mut domain.vcpus[number].runnable, runnable) == runnable {
                continue;
            }
            if runnable {
                self.platform.vcpu_wake(vcpu);
            } else {
                self.platform.vcpu_sleep_nosync(vcpu);
            }
        }
    }

    /// Whether a CPU runs one of a domain's vCPUs. False for ever once they may not run and this was false.
    pub fn has_running_vcpus(&self, id: DomId) -> bool {
        self.domain(id).is_ok_and(|domain| {
            let mut vcpus = 0..domain.vcpus.len() as u32;
            vcpus.any(|vcpu| self.platform.vcpu_is_running(domain.vcpu_id(vcpu)))
        })
    }

    /// Adds one to a domain's pause count, or subtracts one. [`Errno::EINVAL`] if it is unpaused and was not paused.
    pub fn pause(&mut self, id: DomId, pause: bool) -> Result<()> {
        let count = &mut self.domain_mut(id)?.controller_pause_count;
        let changed = if pause {
            count.checked_add(1)
        } else {
            count.checked_sub(1)
        };
        *count = changed.ok_or(Errno::EINVAL)?;
        let domain = self.domain_mut(id)?;
        if domain.controller_pause_count == 0 && domain.life == LifeStage::Building {
            domain.life = LifeStage::Alive;
        }
        self.update_runnable(id);
        Ok(())
    }

    /// Keeps a domain's vCPUs from running while a hypercall works on it, or lets them run again.
    pub fn set_hypercall_pause(&mut self, id: DomId, paused: bool) -> Result<()> {
        self.domain_mut(id)?.hypercall_pause = paused;
        self.update_runnable(id);
        Ok(())
    }

    /// Lets a domain that has shut down, to be saved, run on (`XEN_DOMCTL_resumedomain`). What else keeps it from running
    /// stays.
    pub fn resume(&mut self, id: DomId) -> Result<()> {
        let domain = self.domain_mut(id)?;
        domain.shutdown = None;
        domain.shutdown_code = None;
        self.update_runnable(id);
        Ok(())
    }

    /// Brings a vCPU up, whose initial registers are set: it runs unless something else keeps it from running. Returns
    /// whether it was down.
    pub fn vcpu_up(&mut self, vcpu: VcpuId) -> Result<bool> {
        let state = self.vcpu_mut(vcpu)?;
        state.initialised = true;
        let was_down = core::mem::take(&mut state.down);
        if was_down {
            self.update_system_time(vcpu);
        }
        self.update_runnable(vcpu.domain);
        Ok(was_down)
    }

    /// Takes a vCPU down. Returns whether it was up.
    pub fn vcpu_down(&mut self, vcpu: VcpuId) -> Result<bool> {
        let was_down = core::mem::replace(&mut self.vcpu_mut(vcpu)?.down, true);
        self.update_runnable(vcpu.domain);
        Ok(!was_down)
    }

    /// A vCPU stops by itself or by another one's wish: it goes down. If no other one is up, its domain powers off
    /// instead, which is what this returns.
    pub fn power_off_vcpu(&mut self, vcpu: VcpuId) -> Result<bool> {
        let is_last = self.is_last_vcpu_up(vcpu)?;
        match is_last {
            true => self.shut_down(vcpu.domain, shutdown::POWEROFF as u8)?,
            false => self.vcpu_down(vcpu).map(drop)?,
        }
        Ok(is_last)
    }

    /// Whether a vCPU is the only one of its domain that is up.
    pub fn is_last_vcpu_up(&self, vcpu: VcpuId) -> Result<bool> {
        let vcpus = self.domain(vcpu.domain)?.vcpus.iter().zip(0..);
        let mut others = vcpus.filter(|(_, number)| *number != vcpu.vcpu);
        Ok(others.all(|(state, _)| state.down))
    }

    /// Shuts a domain down: its vCPUs stop, and `VIRQ_DOM_EXC` tells the toolstack, or the port that was subscribed if
    /// it is to be suspended.
    pub fn shut_down(&mut self, id: DomId, reason: u8) -> Result<()> {
        let domain = self.domain_mut(id)?;
        if domain.shutdown.is_some() {
            return Ok(());
        }
        // A reason set by `SCHEDOP_shutdown_code` has precedence.
        let reason = domain.shutdown_code.unwrap_or(reason);
        domain.shutdown = Some(reason);
        let port = domain.suspend_port;
        self.update_runnable(id);
        self.platform.domain_shutdown(id, reason);
        if port != 0 && u32::from(reason) == shutdown::SUSPEND {
            // The guest may have closed the port, which is its own loss.
            let _ = self.send(id, port);
        } else {
            self.send_dom_exc(id);
        }
        Ok(())
    }
}
