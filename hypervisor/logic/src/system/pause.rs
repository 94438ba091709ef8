// SPDX-License-Identifier: GPL-2.0

//! What keeps all vCPUs of a domain from running: pausing by the toolstack, and shutting down.

use super::{Errno, Platform, Result, System};
use crate::mem::frames::DomId;
use crate::system::vcpu::VcpuId;
use xen_abi::xen::virq;

impl<P: Platform> System<P> {
    /// Adds one to a domain's pause count, or subtracts one. [`Errno::EINVAL`] if it is unpaused and was not paused.
    pub fn pause(&mut self, id: DomId, pause: bool) -> Result<()> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let before = domain.pause_count;
        let changed = if pause {
            before.checked_add(1)
        } else {
            before.checked_sub(1)
        };
        domain.pause_count = changed.ok_or(Errno::EINVAL)?;
        let vcpus = 0..domain.vcpus.len() as u32;
        if pause && before == 0 {
            vcpus.for_each(|vcpu| self.platform.vcpu_sleep(domain.vcpu_id(vcpu)));
        } else if domain.pause_count == 0 {
            let up = vcpus.filter(|vcpu| !domain.vcpus[*vcpu as usize].down);
            up.for_each(|vcpu| self.platform.vcpu_wake(domain.vcpu_id(vcpu)));
        }
        Ok(())
    }

    /// Shuts a domain down: its vCPUs stop, and `VIRQ_DOM_EXC` tells the toolstack.
    pub fn shut_down(&mut self, id: DomId, reason: u8) -> Result<()> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        if domain.shutdown.is_some() {
            return Ok(());
        }
        // A reason set by `SCHEDOP_shutdown_code` has precedence.
        let reason = domain.shutdown_code.unwrap_or(reason);
        domain.shutdown = Some(reason);
        for vcpu in 0..domain.vcpus.len() as u32 {
            self.platform.vcpu_sleep(VcpuId { domain: id, vcpu });
        }
        self.platform.domain_shutdown(id, reason);
        if id != 0 {
            self.send_global_virq(0, virq::DOM_EXC);
        }
        Ok(())
    }
}
