// SPDX-License-Identifier: GPL-2.0

//! The timers of a vCPU: single-shot, periodic, and the time-out of a poll.

use super::{Platform, Result, System};
use crate::system::vcpu::{Vcpu, VcpuId};
use xen_abi::xen::virq;

impl<P: Platform> System<P> {
    /// The deadline of a vCPU's timers has passed: sends `VIRQ_TIMER` for those that are due, and wakes a poll that has
    /// timed out.
    pub fn timer_expired(&mut self, vcpu: VcpuId) {
        let now = self.platform.now();
        let Ok(state) = self.vcpu_mut(vcpu) else {
            return;
        };
        let mut fire = state.single_shot.take_if(|at| *at <= now).is_some();
        if let Some((period, _)) = state.periodic.filter(|(_, next)| *next <= now) {
            fire = true;
            // Missed ticks are not sent afterwards.
            state.periodic = Some((period, now.saturating_add(period)));
        }
        let expired = |until: &Option<u64>| until.is_some_and(|until| until <= now);
        let polled = state.poll.take_if(|poll| expired(&poll.until)).is_some();
        let deadline = state.deadline();
        self.platform.set_timer(vcpu, deadline);
        if fire {
            self.send_vcpu_virq(vcpu, virq::TIMER);
        }
        if polled {
            self.platform.vcpu_unblock(vcpu);
        }
    }

    /// Changes a vCPU's timers, and sets the machine's timer accordingly.
    pub fn update_timers(&mut self, vcpu: VcpuId, change: impl FnOnce(&mut Vcpu)) -> Result<()> {
        let state = self.vcpu_mut(vcpu)?;
        change(state);
        let deadline = state.deadline();
        self.platform.set_timer(vcpu, deadline);
        Ok(())
    }
}
