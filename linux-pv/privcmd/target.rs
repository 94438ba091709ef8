// SPDX-License-Identifier: GPL-2.0

//! The one domain that the programs of a guest may serve.
//!
//! A guest that runs the device model of another has that one's number in its xenstore folder, as `target`.
//! Any other guest's programs have no business making hypercalls: if the kernel is locked down they could
//! get around that (XSA-482). So they may not, unless the user says so on the command line of a kernel that
//! is not locked down. Dom0's programs may always.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Release};

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::chardev::{new_wait_queue, Ready, WaitQueue};
use xen::bus::{Dir, OnReady, WhenReady};
use xen::domain;
use xen_abi::xen::domid;
use xen_devfile::restrict::Restriction;

use crate::params;

/// All domains; larger than any domain's number.
const ALL: u32 = u32::MAX;
/// Not known yet.
const UNKNOWN: u32 = u32::MAX - 1;

/// Which domain new files are for.
#[pin_data]
pub(crate) struct Target {
    domain: AtomicU32,
    /// Who opens a file before that is known.
    #[pin]
    waiting: WaitQueue,
}

/// What calls when the target can be read, until it is dropped.
pub(crate) type Waiting = Pin<KBox<WhenReady<OnTarget>>>;

impl Target {
    /// Finds out, as soon as the xenstore can be asked if it has to be.
    pub(crate) fn find() -> Result<(Arc<Self>, Option<Waiting>)> {
        let free = domain::is_initial() || is_unrestricted();
        let target = Arc::pin_init(
            pin_init!(Self {
                domain: AtomicU32::new(if free { ALL } else { UNKNOWN }),
                waiting <- new_wait_queue!("privcmd target"),
            }),
            GFP_KERNEL,
        )?;
        if free {
            return Ok((target, None));
        }
        let when_ready = KBox::pin_init(WhenReady::new(OnTarget(target.clone())), GFP_KERNEL)?;
        Ok((target, Some(when_ready)))
    }

    /// The restriction that a new file begins with. Waits until that is known.
    ///
    /// # Errors
    ///
    /// `EINTR` if a signal came first.
    pub(crate) fn restriction(&self) -> Result<Restriction> {
        let known = self.waiting.wait(|| self.domain.load(Acquire) != UNKNOWN);
        known.map_err(|_| EINTR)?;
        Ok(match u16::try_from(self.domain.load(Acquire)) {
            Ok(domain) => Restriction::to(domain),
            Err(_) => Restriction::none(),
        })
    }
}

fn is_unrestricted() -> bool {
    if !params::unrestricted() {
        return false;
    }
    if domain::is_locked_down() {
        pr_warn!("Kernel is locked down, parameter \"unrestricted\" ignored\n");
        return false;
    }
    true
}

/// Reads the target once the xenstore can be asked.
pub(crate) struct OnTarget(Arc<Target>);

impl OnReady for OnTarget {
    fn ready(&self) {
        // Relative to this domain's own folder, which a key below an empty folder would not be.
        let domain = match Dir::new(c"target").read::<u32>(c"") {
            Ok(number) if number < domid::FIRST_RESERVED.into() => number,
            _ => {
                pr_err!("No target domain found, blocking all hypercalls\n");
                // There is a domain of this number, but it is nobody's target.
                domid::IDLE.into()
            }
        };
        self.0.domain.store(domain, Release);
        self.0.waiting.wake(Ready::READ);
    }
}
