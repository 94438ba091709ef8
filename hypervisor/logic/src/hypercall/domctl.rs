//! `domctl`, as far as `xl list` and `xl vcpu-list` of Xen 4.20 ask.

use super::Reply;
use super::command::Command;
use crate::error::{Errno, Result};
use crate::mem::access::GuestMemory;
use crate::mem::frames::DomId;
use crate::system::vcpu::State;
use crate::system::{Caller, Platform, System};
use alloc::vec;
use alloc::vec::Vec;
use xen_abi::domctl::{
    Bitmap as Place, Getdomaininfo, Getvcpuinfo, Header, Vcpuaffinity, dominf, emulation, op,
};

/// Bits of [`Vcpuaffinity::flags`].
const HARD: u32 = 1;
const SOFT: u32 = 2;
/// Bits of a guest-physical address that nested page tables reach.
const ADDRESS_BITS: u8 = 48;

pub(super) fn serve<P: Platform>(caller: &mut Caller<'_, P>, arg: u64) -> Result<Reply> {
    let command: Command<Header> = Command::read(caller, arg)?;
    // Only what `DOMID_SELF` must not stand for: these commands name their domain.
    let id = caller
        .system
        .domain(command.header.domain)
        .map(|domain| domain.id());
    match command.header.cmd {
        op::GETDOMAININFO => {
            let info = domain_info(caller.system, id?)?;
            command.write_back(caller, &info)
        }
        op::GETVCPUINFO => {
            let mut args: Getvcpuinfo = command.part();
            let now = caller.system.platform.now();
            let domain = caller.system.domain(id?)?;
            let state = domain.vcpu(args.vcpu).ok_or(Errno::EINVAL)?;
            if !state.initialised {
                return Err(Errno::ESRCH);
            }
            args.online = u8::from(!state.down);
            args.blocked = u8::from(state.times.state() == State::Blocked);
            args.running = u8::from(state.times.state() == State::Running);
            args.cpu_time = state.times.spent(State::Running, now);
            args.cpu = state.cpu;
            command.write_back(caller, &args)
        }
        op::GETVCPUAFFINITY => {
            let args: Vcpuaffinity = command.part();
            let domain = caller.system.domain(id?)?;
            if args.flags & (HARD | SOFT) == 0 {
                return Err(Errno::EINVAL);
            }
            domain.vcpu(args.vcpu).ok_or(Errno::EINVAL)?;
            // Every vCPU runs on any CPU.
            let all = Bitmap::all(caller.system.host.cpus.len() as u32);
            if args.flags & HARD != 0 {
                write_bitmap(caller, &args.cpumap_hard, &all)?;
            }
            if args.flags & SOFT != 0 {
                write_bitmap(caller, &args.cpumap_soft, &all)?;
            }
            command.write_back(caller, &args)
        }
        op::PAUSEDOMAIN | op::UNPAUSEDOMAIN => {
            let id = id?;
            if id == caller.vcpu.domain {
                return Err(Errno::EINVAL);
            }
            caller
                .system
                .pause(id, command.header.cmd == op::PAUSEDOMAIN)?;
            Ok(Reply::Value(0))
        }
        _ => Err(Errno::ENOSYS),
    }
}

impl<P: Platform> System<P> {
    /// Pauses a domain once more, or once less: [`Errno::EINVAL`] if it is not paused.
    pub fn pause(&mut self, id: DomId, pause: bool) -> Result<()> {
        let domain = self.domains.get_mut(&id).ok_or(Errno::ESRCH)?;
        let before = domain.pauses;
        let changed = if pause {
            before.checked_add(1)
        } else {
            before.checked_sub(1)
        };
        domain.pauses = changed.ok_or(Errno::EINVAL)?;
        let vcpus = 0..domain.vcpus.len() as u32;
        if pause && before == 0 {
            vcpus.for_each(|vcpu| self.platform.stop(domain.vcpu_id(vcpu)));
        } else if domain.pauses == 0 {
            let up = vcpus.filter(|vcpu| !domain.vcpus[*vcpu as usize].down);
            up.for_each(|vcpu| self.platform.wake(domain.vcpu_id(vcpu)));
        }
        Ok(())
    }
}

/// What the toolstack is told of a domain.
pub(super) fn domain_info<P: Platform>(system: &System<P>, id: DomId) -> Result<Getdomaininfo> {
    let domain = system.domain(id)?;
    let now = system.platform.now();
    let mut info = Getdomaininfo {
        domain: id,
        max_vcpu_id: u32::MAX,
        tot_pages: system.current_pages(domain),
        max_pages: domain.config.max_pages,
        shared_info_frame: domain.shared_info.1.map_or(u64::MAX, |gfn| gfn.0),
        handle: domain.config.handle,
        gpaddr_bits: ADDRESS_BITS,
        emulation_flags: emulation::LAPIC
            | if domain.config.privileged {
                emulation::IOAPIC | emulation::VPCI
            } else {
                0
            },
        ..Getdomaininfo::default()
    };
    let mut flags = dominf::BLOCKED;
    for (number, vcpu) in domain.vcpus.iter().enumerate() {
        info.cpu_time += vcpu.times.spent(State::Running, now);
        info.max_vcpu_id = number as u32;
        if vcpu.down {
            continue;
        }
        info.nr_online_vcpus += 1;
        if vcpu.times.state() != State::Blocked {
            flags &= !dominf::BLOCKED;
        }
        if vcpu.times.state() == State::Running {
            flags |= dominf::RUNNING;
        }
    }
    if info.nr_online_vcpus == 0 {
        flags = 0;
    }
    flags |= dominf::HVM_GUEST | dominf::HAP;
    if domain.pauses > 0 {
        flags |= dominf::PAUSED;
    }
    // Where there is no reason yet, all ones say so.
    let code = domain.shutdown.or(domain.shutdown_code).unwrap_or(u8::MAX);
    if domain.shutdown.is_some() {
        flags |= dominf::SHUTDOWN;
    }
    info.flags = flags | u32::from(code) << dominf::SHUTDOWN_SHIFT;
    Ok(info)
}

/// A set of CPUs.
pub(super) struct Bitmap {
    bytes: Vec<u8>,
    bits: u32,
}

impl Bitmap {
    /// So many bits, all set.
    pub(super) fn all(bits: u32) -> Self {
        let mut map = Self::none(bits);
        (0..bits).for_each(|bit| map.bytes[bit as usize / 8] |= 1 << (bit % 8));
        map
    }

    /// So many bits, none set.
    pub(super) fn none(bits: u32) -> Self {
        Self {
            bytes: vec![0; bits.div_ceil(8) as usize],
            bits,
        }
    }
}

/// Writes a set to where the caller wants it, as far as there is room; bits beyond are zero.
pub(super) fn write_bitmap<P: Platform>(
    caller: &mut Caller<'_, P>,
    to: &Place,
    map: &Bitmap,
) -> Result<()> {
    let room = to.nr_bits.div_ceil(8) as usize;
    let copied = room.min(map.bytes.len());
    let mut bytes = map.bytes[..copied].to_vec();
    if let Some(last) = bytes
        .last_mut()
        .filter(|_| to.nr_bits < map.bits && to.nr_bits % 8 != 0)
    {
        *last &= (1 << (to.nr_bits % 8)) - 1;
    }
    caller.copy_out(to.bitmap, &bytes)?;
    // The number of bits is the caller's, and may be huge: zeroes are written piece by piece.
    let zeroes = [0; 64];
    let mut at = copied;
    while at < room.min(MOST_BYTES) {
        let now = zeroes.len().min(room - at);
        let address = to.bitmap.checked_add(at as u64).ok_or(Errno::EFAULT)?;
        caller.copy_out(address, &zeroes[..now])?;
        at += now;
    }
    Ok(())
}

/// Bytes of a map that are written at most: a bit for each of 32768 CPUs.
const MOST_BYTES: usize = 4096;
