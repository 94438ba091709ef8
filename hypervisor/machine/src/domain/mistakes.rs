// SPDX-License-Identifier: GPL-2.0

//! Logging what guests do wrong, up to the level of `guest_loglvl=`, and within the limits of each domain
//! ([`paravane::mistake`]). dom0 has none: it may write to the console as it likes.

use core::fmt::Arguments;
use core::sync::atomic::{AtomicU8, Ordering};

use paravane::mistake::Mistake;
use paravane::options::LogLevel;
use paravane::system::vcpu::VcpuId;

use super::Domain;
use crate::arch::{serial, time};

/// Up to which [`LogLevel`] they are logged.
static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Warning as u8);

/// Sets up to which level they are logged.
pub fn set_level(level: LogLevel) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

impl Domain {
    /// Logs a mistake of one of its vCPUs.
    pub fn report(&self, vcpu: VcpuId, mistake: Mistake, what: Arguments<'_>) {
        if mistake.level() as u8 > LEVEL.load(Ordering::Relaxed) {
            return;
        }
        let left_out = match self.id {
            0 => Some(0),
            _ => self.mistake_limits.lock().admit(mistake, time::now()),
        };
        match left_out {
            Some(0) => serial::write_line(format_args!("{vcpu}: {what}")),
            Some(count) => {
                serial::write_line(format_args!(
                    "{vcpu}: {what} ({count} of the kind left out)"
                ));
            }
            None => {}
        }
    }
}
