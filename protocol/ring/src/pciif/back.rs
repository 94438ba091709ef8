// SPDX-License-Identifier: GPL-2.0

//! The back end's side of the page. What it takes out of it is an allegation: every number is checked
//! before there is a [`Request`].

use super::request::{Register, Request, Width};
use super::{check_size, vector, Address, Recovery, Report};
use super::{AER, AER_ERR, AER_HANDLER, BACK_ACTIVE, ERR, FLAGS, FRONT_ACTIVE, OP, VALUE};
use crate::{FlagMem, TooSmall};
use xen_abi::io::pciif::{err, op, MsixEntry, Op, MAX_VECTORS};

/// The page as a back end uses it.
#[derive(Debug)]
pub struct BackPage<M> {
    mem: M,
}

/// An operation, copied out of the page.
#[derive(Clone, Debug)]
pub struct Asked {
    op: Op,
    entries: [u16; MAX_VECTORS],
}

impl Asked {
    /// What it means, or the error ([`err`]) it is to be answered with.
    pub fn decode(&self) -> Result<(Address, Request<'_>), i32> {
        let op = &self.op;
        let at = Address::from_numbers(op.domain, op.bus, op.devfn).ok_or(err::DEV_NOT_FOUND)?;
        let register = || {
            let width = Width::of(op.size as u32)?;
            Register::new(u32::try_from(op.offset).ok()?, width)
        };
        let request = match op.cmd {
            op::CONF_READ => Request::Read(register().ok_or(err::INVALID_OFFSET)?),
            op::CONF_WRITE => Request::Write(register().ok_or(err::INVALID_OFFSET)?, op.value),
            op::ENABLE_MSI => Request::EnableMsi,
            op::DISABLE_MSI => Request::DisableMsi,
            op::ENABLE_MSIX => {
                let entries = self.entries.get(..op.value as usize);
                let request = Request::EnableMsix(entries.ok_or(err::OP_FAILED)?);
                if !request.fits() {
                    return Err(err::OP_FAILED);
                }
                request
            }
            op::DISABLE_MSIX => Request::DisableMsix,
            _ => return Err(err::NOT_IMPLEMENTED),
        };
        Ok((at, request))
    }
}

impl<M: FlagMem> BackPage<M> {
    /// Uses a page that a front end has set up.
    pub fn attach(mem: M) -> Result<Self, TooSmall> {
        Ok(Self {
            mem: check_size(mem)?,
        })
    }

    /// Copies out the front end's operation, if there is one.
    pub fn take(&self) -> Option<Asked> {
        if self.mem.load_acquire(FLAGS) & FRONT_ACTIVE == 0 {
            return None;
        }
        let op: Op = self.mem.read(OP);
        Some(Asked {
            entries: op.msix_entries.map(|slot| slot.entry),
            op,
        })
    }

    /// Answers it: an error of [`err`] (or one of Linux's, negative), a value, and the interrupts of
    /// MSI-X entries. Send the front end an event then.
    pub fn answer(&self, error: i32, value: u32, pirqs: &[u16]) {
        self.mem.write(ERR, &error);
        self.mem.write(VALUE, &value);
        for (index, pirq) in pirqs.iter().take(MAX_VECTORS).enumerate() {
            let slot: MsixEntry = self.mem.read(vector(index));
            let slot = MsixEntry {
                vector: *pirq,
                ..slot
            };
            self.mem.write(vector(index), &slot);
        }
        self.mem.clear_flags(FLAGS, FRONT_ACTIVE);
    }

    /// Whether the front end handles errors of devices.
    pub fn handles_errors(&self) -> bool {
        self.mem.load_acquire(FLAGS) & AER_HANDLER != 0
    }

    /// Reports an error of a device. Send the front end an event then.
    pub fn report(&self, report: &Report) {
        self.mem.write(AER, &report.op());
        self.mem.set_flags(FLAGS, BACK_ACTIVE);
    }

    /// What the front end says to that, if it has; `Err` holds a number that is no answer.
    pub fn reply(&self) -> Option<Result<Recovery, i32>> {
        if self.mem.load_acquire(FLAGS) & BACK_ACTIVE != 0 {
            return None;
        }
        let number: i32 = self.mem.read(AER_ERR);
        Some(Recovery::from_number(number as u32).ok_or(number))
    }
}
