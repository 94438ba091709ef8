// SPDX-License-Identifier: GPL-2.0

//! The commands of one hypercall by their types: [`xen_abi::command`] says which structure goes with which number, so
//! that none is served with another's.

use super::{PREEMPT_BATCH, Reply};
use crate::error::{Errno, Result};
use crate::grant::GnttabResult;
use crate::mistake::Mistake;
use crate::system::{Caller, Platform};
use xen_abi::command::{Command, Direction, ListCommand};
use xen_abi::compat::Argument;
use xen_abi::grant_table::status;

/// A call of the hypercall `HYPERCALL`, which one of the commands that follow serves.
pub(super) struct Commands<'c, 'p, P, const HYPERCALL: u32> {
    caller: &'c mut Caller<'p, P>,
    number: u32,
    arg: u64,
    required: Result<()>,
    reply: Option<Result<Reply>>,
}

impl<'c, 'p, P: Platform, const HYPERCALL: u32> Commands<'c, 'p, P, HYPERCALL> {
    /// A call of the command `number`, with the address of its argument.
    pub(super) fn new(caller: &'c mut Caller<'p, P>, number: u32, arg: u64) -> Self {
        Self {
            caller,
            number,
            arg,
            required: Ok(()),
            reply: None,
        }
    }

    /// The commands from here on fail with this error, before they look at their argument.
    pub(super) fn require(self, required: Result<()>) -> Self {
        Self { required, ..self }
    }

    /// Serves a command: copies its structure from the guest, works on it, and copies it back if that succeeded and
    /// the command says so.
    pub(super) fn serve<C: Command<Argument: Argument>>(
        self,
        work: impl FnOnce(&mut Caller<'p, P>, &mut C::Argument) -> Result<()>,
    ) -> Self {
        self.serve_at::<C>(|caller, arg| {
            let mut argument: C::Argument = caller.read_arg(arg)?;
            work(caller, &mut argument)?;
            if C::DIRECTION == Direction::InOut {
                caller.write_arg(arg, &argument)?;
            }
            Ok(Reply::Value(0))
        })
    }

    /// Serves a command whose structure has a status, so that it is copied back whatever came of it.
    pub(super) fn serve_with_status<C: ListCommand<Argument: Argument>>(
        self,
        work: impl FnOnce(&mut Caller<'p, P>, &mut C::Argument) -> Result<i16>,
    ) -> Self {
        self.serve_at::<C>(|caller, arg| {
            let mut argument: C::Argument = caller.read_arg(arg)?;
            let status = work(caller, &mut argument)?;
            C::set_status(&mut argument, status);
            caller.write_arg(arg, &argument)?;
            Ok(Reply::Value(0))
        })
    }

    /// Serves a command that takes a list, and preempts it after a batch. Each element gets a status of its own.
    pub(super) fn serve_list<C: ListCommand<Argument: Argument>>(
        self,
        count: u32,
        mut work: impl FnMut(&mut Caller<'p, P>, &mut C::Argument) -> GnttabResult<()>,
    ) -> Self {
        self.serve_at::<C>(|caller, arg| {
            let count = u64::from(count);
            for index in 0..count.min(PREEMPT_BATCH) {
                caller.system.items_done += 1;
                let mut argument: C::Argument = caller.read_arg_at(arg, index)?;
                let failed = work(caller, &mut argument).err();
                if let Some(failed) = failed.filter(|failed| failed.0 != status::EAGAIN) {
                    let (command, status) = (C::NUMBER, failed.0);
                    caller.system.platform.report(
                        caller.vcpu,
                        Mistake::Grant,
                        format_args!("grant operation {command}, entry {index}: status {status}"),
                    );
                }
                C::set_status(
                    &mut argument,
                    failed.map_or(status::OKAY, |failed| failed.0),
                );
                caller.write_arg_at(arg, index, &argument)?;
            }
            if count <= PREEMPT_BATCH {
                return Ok(Reply::Value(0));
            }
            let rest = arg
                .checked_add(PREEMPT_BATCH * caller.size_of::<C::Argument>())
                .ok_or(Errno::EFAULT)?;
            Ok(Reply::continuation([
                C::NUMBER.into(),
                rest,
                count - PREEMPT_BATCH,
                0,
                0,
            ]))
        })
    }

    /// Serves a command by a function that gets the address of its structure.
    pub(super) fn serve_at<C: Command>(
        mut self,
        work: impl FnOnce(&mut Caller<'p, P>, u64) -> Result<Reply>,
    ) -> Self {
        const { assert!(C::HYPERCALL == HYPERCALL, "another hypercall's command") };
        if self.reply.is_none() && self.number == C::NUMBER {
            let reply = self.required.and_then(|()| work(self.caller, self.arg));
            self.reply = Some(reply);
        }
        self
    }

    /// The reply of the command that has served the call.
    ///
    /// # Errors
    ///
    /// The command's, or [`Errno::ENOSYS`] if none has.
    pub(super) fn reply(self) -> Result<Reply> {
        self.reply.unwrap_or(Err(Errno::ENOSYS))
    }
}
