// SPDX-License-Identifier: GPL-2.0

//! The hypervisor as the backend of a guest's PV console (`io/console.h`), for a guest without a toolstack: it copies
//! what the guest writes to the ring to its own console, and input back. The guest's port is [`Binding::Console`]; there
//! is no other end that could close it.
//!
//! The ring page is the guest's memory: indices are read once, and a pair that no ring can have moves nothing.

use super::{Errno, Platform, Result, System};
use crate::event::Binding;
use crate::mem::frames::DomId;
use crate::mem::{Gfn, PAGE_SIZE};
use xen_abi::hvm::params;

/// Where the parts of `struct xencons_interface` lie: input, output, and the indices of each.
const INPUT: u64 = 0;
const INPUT_SIZE: u32 = 1024;
const OUTPUT: u64 = 1024;
const OUTPUT_SIZE: u32 = 2048;
const IN_CONS: u64 = 3072;
const IN_PROD: u64 = 3076;
const OUT_CONS: u64 = 3080;
const OUT_PROD: u64 = 3084;

/// Bytes that are copied at once.
const CHUNK: usize = 256;

impl<P: Platform> System<P> {
    /// Makes the hypervisor the backend of a domain's console, whose ring is at `gfn` of its memory. The domain finds page
    /// and port by its HVM parameters.
    ///
    /// # Errors
    ///
    /// [`Errno::EINVAL`] if there is no writable memory at `gfn`, and those of [`crate::event::Events::bind`].
    pub fn connect_console(&mut self, id: DomId, gfn: Gfn) -> Result<()> {
        let address = gfn.0 * PAGE_SIZE;
        self.machine_address(id, address, true)
            .ok_or(Errno::EINVAL)?;
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let port = domain
            .events
            .bind(&self.platform, &domain.areas, Binding::Console, 0)?;
        domain.params[params::CONSOLE_PFN as usize] = gfn.0;
        domain.params[params::CONSOLE_EVTCHN as usize] = port.into();
        Ok(())
    }

    /// Copies what a domain has written to its console, and what was typed for it. The domain is notified if something was
    /// moved: it may wait for room or for input.
    pub fn serve_console(&mut self, id: DomId) {
        let Some((page, port)) = self.console_of(id) else {
            return;
        };
        let moved = self.copy_output(page) + self.copy_input(page);
        if moved > 0 {
            self.set_pending(id, port);
        }
    }

    /// Machine address of a domain's console page, and its port.
    fn console_of(&mut self, id: DomId) -> Option<(u64, u32)> {
        let domain = self.domain(id).ok()?;
        // The guest may have closed it.
        let ports = domain.events.ports();
        let is_console = |port: &u32| {
            ports
                .get(*port)
                .is_some_and(|port| port.binding == Binding::Console)
        };
        // Both parameters were set by `connect_console`; the guest may change the port's.
        let port = u32::try_from(domain.params[params::CONSOLE_EVTCHN as usize]).ok();
        let port = port.filter(is_console)?;
        let address = domain.params[params::CONSOLE_PFN as usize].checked_mul(PAGE_SIZE)?;
        Some((self.machine_address(id, address, true)?, port))
    }

    /// Moves the whole output ring to the console; returns the number of bytes.
    fn copy_output(&mut self, page: u64) -> u32 {
        let consumed = self.platform.load_u32(page + OUT_CONS);
        let produced = self.platform.load_u32(page + OUT_PROD);
        let count = produced.wrapping_sub(consumed);
        if count > OUTPUT_SIZE {
            return 0;
        }
        let mut chunk = [0; CHUNK];
        let mut at = consumed;
        while at != produced {
            let offset = at % OUTPUT_SIZE;
            let left = produced.wrapping_sub(at).min(OUTPUT_SIZE - offset);
            let part = &mut chunk[..CHUNK.min(left as usize)];
            self.platform.read(page + OUTPUT + u64::from(offset), part);
            self.platform.console_write(part);
            at = at.wrapping_add(part.len() as u32);
        }
        self.platform.store_u32(page + OUT_CONS, produced);
        count
    }

    /// Moves typed bytes to the input ring, as many as it has room for; returns their number. The others stay where they
    /// are.
    fn copy_input(&mut self, page: u64) -> u32 {
        let consumed = self.platform.load_u32(page + IN_CONS);
        let produced = self.platform.load_u32(page + IN_PROD);
        let used = produced.wrapping_sub(consumed);
        if used > INPUT_SIZE {
            return 0;
        }
        let mut chunk = [0; CHUNK];
        let (mut at, mut room) = (produced, INPUT_SIZE - used);
        while room > 0 {
            let offset = at % INPUT_SIZE;
            let most = CHUNK.min(room.min(INPUT_SIZE - offset) as usize);
            let read = self.platform.console_read(&mut chunk[..most]).min(most);
            if read == 0 {
                break;
            }
            self.platform
                .write(page + INPUT + u64::from(offset), &chunk[..read]);
            at = at.wrapping_add(read as u32);
            room -= read as u32;
        }
        if at != produced {
            self.platform.store_u32(page + IN_PROD, at);
        }
        at.wrapping_sub(produced)
    }
}

#[cfg(test)]
mod tests;
