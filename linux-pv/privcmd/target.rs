// SPDX-License-Identifier: GPL-2.0

//! The one domain that the processes of a guest may serve.
//!
//! A guest that runs the device model of another domain has that one's number in its xenstore
//! folder, as `target`. The processes of any other guest need no hypercalls, and could get around a
//! kernel lockdown by them (XSA-482). So they may make none, unless the administrator allows it on
//! the command line of a kernel that is not locked down. Dom0's processes always may.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc, //
    },
};
use kernel_ext::chardev::{
    new_wait_queue,
    Ready,
    WaitQueue, //
};
use xen::{
    bus::{
        Dir,
        OnReady,
        WhenReady, //
    },
    domain, //
};
use xen_abi::xen::domid;
use xen_devfile::restrict::Restriction;

use crate::params;

/// All domains; larger than any domain's number.
const ALL: u32 = u32::MAX;
/// Not known yet.
const UNKNOWN: u32 = u32::MAX - 1;

/// The domain that new files are restricted to.
#[pin_data]
pub(crate) struct Target {
    domain: Atomic<u32>,
    /// Tasks that open a file before it is known.
    #[pin]
    waiting: WaitQueue,
}

/// Calls [`OnTarget`] when the target can be read, until it is dropped.
pub(crate) type Waiting = Pin<KBox<WhenReady<OnTarget>>>;

impl Target {
    /// Finds the target; if the xenstore has to be read, as soon as that is possible. May sleep.
    pub(crate) fn find() -> Result<(Arc<Self>, Option<Waiting>)> {
        let free = domain::is_initial() || is_unrestricted();
        let target = Arc::pin_init(
            pin_init!(Self {
                domain: Atomic::new(if free { ALL } else { UNKNOWN }),
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

    /// The restriction that a new file begins with. Waits until the target is known.
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

/// Reads the target when the xenstore is available.
pub(crate) struct OnTarget(Arc<Target>);

impl OnReady for OnTarget {
    fn ready(&self) {
        // Relative to this domain's own folder, which a key in an empty path would not be.
        let domain = match Dir::new(c"target").read::<u32>(c"") {
            Ok(number) if number < domid::FIRST_RESERVED.into() => number,
            _ => {
                pr_err!("No target domain found, blocking all hypercalls\n");
                // This number is the idle domain's, which is never a target.
                domid::IDLE.into()
            }
        };
        self.0.domain.store(domain, Release);
        self.0.waiting.wake(Ready::READ);
    }
}
