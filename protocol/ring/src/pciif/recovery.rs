// SPDX-License-Identifier: GPL-2.0

//! Errors of devices, as PCI Express reports them (Advanced Error Reporting): the back end's domain
//! finds out, and asks the driver in the front end's what is to be done, step by step. The steps and
//! answers are those of Linux's error recovery (`Documentation/PCI/pci-error-recovery.rst`).

use super::{Address, AER};
use crate::RingMem;
use xen_abi::io::pciif::{op, AerOp};

/// A step of the recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// An error was detected.
    Detected,
    /// The device's registers can be accessed again.
    MmioEnabled,
    /// The slot was reset.
    SlotReset,
    /// All is well again: go on.
    Resume,
}

/// What works of the connection to a device (`pci_channel_state_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Channel {
    /// All of it.
    Normal = 1,
    /// Nothing, until the device is reset.
    Frozen = 2,
    /// Nothing, for good.
    Failed = 3,
}

/// What a driver says to a step (`pci_ers_result_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Recovery {
    /// Nothing: there is no driver, or it has no say.
    None = 1,
    /// It can go on without a reset.
    CanRecover = 2,
    /// The slot has to be reset.
    NeedReset = 3,
    /// The device is lost.
    Disconnect = 4,
    /// It works again.
    Recovered = 5,
    /// There is no driver that could say.
    NoDriver = 6,
}

impl Recovery {
    /// The answer with this number, as a driver returned it.
    pub fn from_number(number: u32) -> Option<Self> {
        [
            Self::None,
            Self::CanRecover,
            Self::NeedReset,
            Self::Disconnect,
            Self::Recovered,
            Self::NoDriver,
        ]
        .into_iter()
        .find(|answer| *answer as u32 == number)
    }
}

/// A step that the back end asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The step.
    pub step: Step,
    /// The function, with the address that the front end knows it by.
    pub at: Address,
    /// What works; means something in step [`Step::Detected`].
    pub channel: Channel,
}

impl Report {
    /// Reads the page, once, and checks what it says.
    pub(super) fn read(mem: &impl RingMem) -> Option<Self> {
        let op: AerOp = mem.read(AER);
        let step = match op.cmd {
            op::AER_DETECTED => Step::Detected,
            op::AER_MMIO => Step::MmioEnabled,
            op::AER_SLOTRESET => Step::SlotReset,
            op::AER_RESUME => Step::Resume,
            _ => return None,
        };
        let channel = [Channel::Normal, Channel::Frozen, Channel::Failed]
            .into_iter()
            .find(|channel| i64::from(*channel as u32) == i64::from(op.err));
        let channel = match (channel, step) {
            (Some(channel), _) => channel,
            (None, Step::Detected) => return None,
            (None, _) => Channel::Normal,
        };
        let at = Address::from_numbers(op.domain, op.bus, op.devfn)?;
        Some(Self { step, at, channel })
    }

    /// The words of the page.
    pub(super) fn op(&self) -> AerOp {
        AerOp {
            cmd: match self.step {
                Step::Detected => op::AER_DETECTED,
                Step::MmioEnabled => op::AER_MMIO,
                Step::SlotReset => op::AER_SLOTRESET,
                Step::Resume => op::AER_RESUME,
            },
            err: self.channel as i32,
            domain: self.at.root.domain.into(),
            bus: self.at.root.bus.into(),
            devfn: self.at.devfn.into(),
        }
    }
}
