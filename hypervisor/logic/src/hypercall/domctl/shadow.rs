// SPDX-License-Identifier: GPL-2.0

//! `XEN_DOMCTL_shadow_op`: log-dirty mode, by which the toolstack copies a domain that runs. A long command is preempted
//! and continues where it was, with the domain's vCPUs kept from running in between.

use crate::error::{Errno, Result};
use crate::hypercall::{Reply, VcpuAction};
use crate::mem::access::GuestMemory;
use crate::mem::frames::DomId;
use crate::system::log_dirty::{LOG_BATCH, UnfinishedOp};
use crate::system::{Caller, Platform};
use xen_abi::domctl::{ShadowOp, ShadowOpStats, shadow_op};

/// What is left to do of a command.
enum Progress {
    Done,
    /// From this gfn on.
    Continue(u64),
}

/// Performs a part of a command. `Ok(None)` if it is done and its argument is to be copied back; else the reply with which
/// it is made again, with the hypercall's argument at `arg`.
///
/// # Errors
///
/// [`Errno::EINVAL`] for a domain that is being destroyed or has no vCPUs, or an unknown command or mode;
/// [`Errno::EBUSY`] while another command is not finished.
pub(super) fn shadow_op<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    arg: u64,
    args: &mut ShadowOp,
) -> Result<Option<Reply>> {
    let domain = caller.system.living_domain(id)?;
    if domain.vcpus.is_empty() {
        return Err(Errno::EINVAL);
    }
    let log = domain.log_dirty;
    let begin = UnfinishedOp {
        op: args.op,
        next: 0,
        dirty_count: 0,
    };
    let mut state = match log.and_then(|log| log.unfinished) {
        Some(unfinished) if unfinished.op != args.op => return Err(Errno::EBUSY),
        unfinished => unfinished.unwrap_or(begin),
    };
    match (args.op, args.mode) {
        (shadow_op::CLEAN | shadow_op::PEEK, 0 | shadow_op::LOGDIRTY_FINAL) => {}
        (shadow_op::ENABLE_LOGDIRTY, _) => {}
        (shadow_op::ENABLE, mode) if mode & shadow_op::ENABLE_LOG_DIRTY != 0 => {}
        (shadow_op::OFF, _) if log.is_none() => return Ok(None),
        (shadow_op::OFF, _) => {}
        _ => return Err(Errno::EINVAL),
    }
    caller.system.set_hypercall_pause(id, true)?;
    let again = [arg, 0, 0, 0, 0];
    if caller.system.has_running_vcpus(id) {
        return Ok(Some(Reply::Continuation(again, VcpuAction::SyncPause(id))));
    }
    let progress = advance(caller, id, &mut state, args);
    let domain = caller.system.domain_mut(id)?;
    if let Some(log) = &mut domain.log_dirty {
        log.unfinished = match progress {
            Ok(Progress::Continue(next)) => Some(UnfinishedOp { next, ..state }),
            _ => None,
        };
    }
    if let Ok(Progress::Continue(_)) = progress {
        return Ok(Some(Reply::continuation(again)));
    }
    caller.system.set_hypercall_pause(id, false)?;
    progress.map(|_| None)
}

/// Performs a part of a command.
fn advance<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    state: &mut UnfinishedOp,
    args: &mut ShadowOp,
) -> Result<Progress> {
    let start = state.next;
    let next = match args.op {
        shadow_op::OFF => caller.system.disable_log_dirty(id, start)?,
        shadow_op::ENABLE | shadow_op::ENABLE_LOGDIRTY => {
            caller.system.enable_log_dirty(id, start)?
        }
        _ => return report(caller, id, state, args),
    };
    Ok(next.map_or(Progress::Done, |gfn| Progress::Continue(gfn.0)))
}

/// Writes a part of the bitmap.
fn report<P: Platform>(
    caller: &mut Caller<'_, P>,
    id: DomId,
    state: &mut UnfinishedOp,
    args: &mut ShadowOp,
) -> Result<Progress> {
    let start = state.next;
    let clean = args.op == shadow_op::CLEAN;
    let is_final = args.mode & shadow_op::LOGDIRTY_FINAL != 0;
    let mut bits = [0; (LOG_BATCH / 8) as usize];
    let is_logged = caller.system.domain(id)?.log_dirty.is_some();
    if start < args.pages {
        if is_logged {
            caller
                .system
                .dirty_pages(id, start, clean, is_final, &mut bits)?;
            state.dirty_count += bits.iter().map(|byte| byte.count_ones()).sum::<u32>();
        }
        if args.dirty_bitmap != 0 {
            let bytes = (args.pages - start).div_ceil(8).min(bits.len() as u64);
            let at = args.dirty_bitmap.checked_add(start / 8);
            caller.raw_copy_to_guest(at.ok_or(Errno::EFAULT)?, &bits[..bytes as usize])?;
        }
        if is_logged && args.pages - start > LOG_BATCH {
            return Ok(Progress::Continue(start + LOG_BATCH));
        }
    }
    if let Some(log) = &mut caller.system.domain_mut(id)?.log_dirty {
        args.stats = ShadowOpStats {
            fault_count: log.fault_count,
            dirty_count: state.dirty_count,
        };
        if clean {
            log.fault_count = 0;
        }
    }
    Ok(Progress::Done)
}
