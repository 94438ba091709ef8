// SPDX-License-Identifier: GPL-2.0

//! HVM parameters of a domain, and hypercalls for dom0 that others may not make.

use super::*;
use crate::system::domain::Callback;
use xen_abi::hvm::hvm_op::{GetMemType, PagetableDying, Param, mem_type, op};

fn hvm<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    domain: u16,
    op: u32,
    args: T,
) -> (i64, T) {
    with(system, domain, nr::HVM_OP, op, args)
}

fn set(system: &mut System<FakePlatform>, domain: u16, domid: u16, index: u32, value: u64) -> i64 {
    let args = Param {
        domid,
        pad: 0,
        index,
        value,
    };
    hvm(system, domain, op::SET_PARAM, args).0
}

fn get(
    system: &mut System<FakePlatform>,
    domain: u16,
    domid: u16,
    index: u32,
) -> core::result::Result<u64, i64> {
    let args = Param {
        domid,
        pad: 0,
        index,
        value: 0x77,
    };
    match hvm(system, domain, op::GET_PARAM, args) {
        (0, said) => Ok(said.value),
        (error, _) => Err(error),
    }
}

/// Those that a domain sets of itself.
const OWN: [u32; 8] = [
    params::CALLBACK_IRQ,
    params::VM86_TSS,
    params::VM86_TSS_SIZED,
    params::ACPI_IOPORTS_LOCATION,
    params::VM_GENERATION_ID_ADDR,
    params::STORE_EVTCHN,
    params::CONSOLE_EVTCHN,
    params::X87_FIP_WIDTH,
];
/// Those that it reads besides.
const READ: [u32; 3] = [params::STORE_PFN, params::CONSOLE_PFN, params::ALTP2M];
/// Those that nobody has any more.
const GONE: [u32; 10] = [
    params::PAE_ENABLED,
    params::DM_DOMAIN,
    params::MEMORY_EVENT_CR0,
    params::MEMORY_EVENT_CR3,
    params::MEMORY_EVENT_CR4,
    params::MEMORY_EVENT_INT3,
    params::NESTEDHVM,
    params::BUFIOREQ_EVTCHN,
    params::MEMORY_EVENT_SINGLE_STEP,
    params::MEMORY_EVENT_MSR,
];

#[test]
fn a_domain_has_the_parameters_that_are_its_own() {
    let mut system = two_domains();
    let (einval, eperm) = (errno(Errno::EINVAL), errno(Errno::EPERM));
    for index in 0..params::COUNT {
        let read = get(&mut system, 1, 0x7ff0, index);
        let expected = if GONE.contains(&index) {
            Err(einval)
        } else if OWN.contains(&index) || READ.contains(&index) {
            Ok(0)
        } else {
            Err(eperm)
        };
        assert_eq!(read, expected, "{index}");
        let written = set(&mut system, 1, 0x7ff0, index, 0);
        match index {
            params::ALTP2M => assert_eq!(written, errno(Errno::EEXIST)),
            params::ACPI_IOPORTS_LOCATION => assert_eq!(written, errno(Errno::ENODEV)),
            params::VM86_TSS_SIZED => assert_eq!(written, einval, "no size"),
            _ if GONE.contains(&index) => assert_eq!(written, einval, "{index}"),
            _ if OWN.contains(&index) => assert_eq!(written, 0, "{index}"),
            _ => assert_eq!(written, eperm, "{index}"),
        }
        // Of others only dom0.
        assert_eq!(get(&mut system, 1, 0, index), Err(eperm));
        assert_eq!(set(&mut system, 1, 0, index, 0), eperm);
        let of_other = get(&mut system, 0, 1, index);
        let gone = GONE.contains(&index);
        let expected = match index {
            _ if gone => Err(einval),
            params::TRIPLE_FAULT_REASON => Ok(xen_abi::sched::shutdown::REBOOT.into()),
            _ => Ok(0),
        };
        assert_eq!(of_other, expected, "{index}");
    }
    assert_eq!(get(&mut system, 1, 0x7ff0, params::COUNT), Err(einval));
    assert_eq!(set(&mut system, 0, 1, params::COUNT, 0), einval);
    assert_eq!(get(&mut system, 0, 9, 0), Err(errno(Errno::ESRCH)));
    assert_eq!(set(&mut system, 0, 1, params::STORE_PFN, 0x99), 0);
    assert_eq!(get(&mut system, 1, 1, params::STORE_PFN), Ok(0x99));
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let mut system = two_domains();
    let einval = errno(Errno::EINVAL);
    for (index, value, expected) in [
        (params::TIMER_MODE, 3, 0),
        (params::TIMER_MODE, 4, einval),
        (params::TRIPLE_FAULT_REASON, 5, 0),
        (params::TRIPLE_FAULT_REASON, 6, einval),
        (params::X87_FIP_WIDTH, 8, 0),
        (params::X87_FIP_WIDTH, 4, 0),
        (params::X87_FIP_WIDTH, 2, einval),
        (params::VIRIDIAN, 1, einval),
        (params::ACPI_S_STATE, 1, einval),
        (params::MCA_CAP, 1, einval),
        (params::VIRIDIAN, 0, 0),
        (params::VM86_TSS, 1 << 32, einval),
        (params::VM86_TSS_SIZED, 103 << 32, einval),
        (params::VM86_TSS_SIZED, 104 << 32 | 0x5000, 0),
        // Once, or the same again.
        (params::IOREQ_PFN, 5, 0),
        (params::IOREQ_PFN, 5, 0),
        (params::IOREQ_PFN, 6, errno(Errno::EEXIST)),
        (params::IDENT_PT, 5, 0),
        (params::IDENT_PT, 6, 0),
    ] {
        assert_eq!(
            set(&mut system, 0, 1, index, value),
            expected,
            "{index} {value}"
        );
    }
    assert_eq!(get(&mut system, 0, 1, params::VM86_TSS), Ok(0x5000));
    assert_eq!(set(&mut system, 0, 1, params::VM86_TSS, 0x6000), 0);
    let sized = get(&mut system, 0, 1, params::VM86_TSS_SIZED);
    assert_eq!(sized, Ok(128 << 32 | 0x6000));
    assert_eq!(set(&mut system, 0, 1, params::VM86_TSS, 0), 0);
    assert_eq!(get(&mut system, 0, 1, params::VM86_TSS_SIZED), Ok(0));
}

#[test]
fn a_callback_is_a_vector_or_none() {
    let mut system = two_domains();
    let callback = |system: &mut System<FakePlatform>, value| {
        assert_eq!(set(system, 1, 0x7ff0, params::CALLBACK_IRQ, value), 0);
        system.domain(1).expect("there").callback
    };
    assert_eq!(
        callback(&mut system, 2 << 56 | 0xf3),
        Callback::Vector(0xf3)
    );
    assert_eq!(callback(&mut system, 0), Callback::None);
    assert_eq!(callback(&mut system, 5), Callback::Intx(5));
    assert_eq!(callback(&mut system, 1 << 56), Callback::Intx(1 << 56));
}

#[test]
fn the_memory_type_of_a_gfn_is_returned() {
    let mut system = two_domains();
    let device = system.frames.end() + 0x1000;
    system
        .map_mmio(0, Gfn(device), Mfn(device), 1)
        .expect("a device");
    let kind = |system: &mut System<FakePlatform>, domain, domid, pfn| {
        let args = GetMemType {
            domid,
            mem_type: 99,
            pad: [0; 2],
            pfn,
        };
        let (result, said) = hvm(system, domain, op::GET_MEM_TYPE, args);
        (result, said.mem_type)
    };
    assert_eq!(kind(&mut system, 0, 0x7ff0, 0x120), (0, mem_type::RAM_RW));
    assert_eq!(kind(&mut system, 0, 0x7ff0, device), (0, mem_type::MMIO_DM));
    assert_eq!(kind(&mut system, 0, 1, 0x9999), (0, mem_type::MMIO_DM));
    assert_eq!(kind(&mut system, 1, 0, 0x120).0, errno(Errno::EPERM));
}

#[test]
fn small_requests_are_answered() {
    let mut system = two_domains();
    let flush = |system: &mut System<FakePlatform>, arg| {
        let op = op::FLUSH_TLBS.into();
        call(system, 1, nr::HVM_OP, &[op, arg]).value as i64
    };
    system.platform.calls.clear();
    assert_eq!(flush(&mut system, 1), errno(Errno::EINVAL));
    assert_eq!(system.platform.calls, []);
    assert_eq!(flush(&mut system, 0), 0);
    assert_eq!(system.platform.calls, [PlatformCall::FlushTlb(1)]);
    let now = system.platform.time;
    assert_eq!(hvm(&mut system, 1, op::GET_TIME, 0u64), (0, now));
    for (domid, expected) in [
        (0x7ff0, Errno::EINVAL),
        (0, Errno::EOPNOTSUPP),
        (9, Errno::ESRCH),
    ] {
        let args = PagetableDying {
            domid,
            pad: [0; 3],
            gpa: 0,
        };
        let (result, _) = hvm(&mut system, 1, op::PAGETABLE_DYING, args);
        assert_eq!(result, errno(expected));
    }
    let wide = call(&mut system, 1, nr::HVM_OP, &[1 << 32, ARG[1]]);
    assert_eq!(wide.value as i64, errno(Errno::ENOSYS));
    let vector = |vector, vcpu| hvm_op::EvtchnUpcallVector {
        vcpu,
        vector,
        pad: [0; 3],
    };
    let upcall = op::SET_EVTCHN_UPCALL_VECTOR;
    assert_eq!(hvm(&mut system, 1, upcall, vector(16, 1)).0, 0);
    let none = hvm(&mut system, 1, upcall, vector(16, 2)).0;
    assert_eq!(none, errno(Errno::ENOENT));
}

#[test]
fn the_machine_is_dom0s_alone() {
    use xen_abi::physdev::{PciDevice, PciDeviceAdd, PciMmcfgReserved, SetupGsi, op};
    let mut system = two_domains();
    let eperm = errno(Errno::EPERM);
    // Whatever the command is: the version counts first, then who asks.
    for (number, version) in [
        (nr::SYSCTL, xen_abi::sysctl::INTERFACE_VERSION),
        (nr::DOMCTL, xen_abi::domctl::INTERFACE_VERSION),
        (nr::PLATFORM_OP, xen_abi::platform::INTERFACE_VERSION),
    ] {
        for command in 0..90u32 {
            let at = ARG[1];
            let mut header = [0u32; 64];
            (header[0], header[1]) = (command, version);
            caller(&mut system, 1)
                .copy_to_guest(at, &header)
                .expect("memory");
            let result = call(&mut system, 1, number, &[at]).value as i64;
            assert_eq!(result, eperm, "{number} {command}");
            header[1] = version + 1;
            caller(&mut system, 1)
                .copy_to_guest(at, &header)
                .expect("memory");
            let result = call(&mut system, 1, number, &[at]).value as i64;
            assert_eq!(result, errno(Errno::EACCES), "{number} {command}");
        }
    }
    for command in 0..3 {
        let console = call(&mut system, 1, nr::CONSOLE_IO, &[command, 4, ARG[1]]);
        assert_eq!(console.value as i64, eperm);
    }
    fn physdev<T: FromBytes + IntoBytes + Immutable>(
        system: &mut System<FakePlatform>,
        op: u32,
        args: T,
        by_dom0: Option<Errno>,
    ) {
        let (result, _) = with(system, 1, nr::PHYSDEV_OP, op, args);
        assert_eq!(result, errno(Errno::ENOSYS), "{op}");
        let at = ARG[0];
        let copy = args_of(system);
        caller(system, 0).copy_to_guest(at, &copy).expect("memory");
        let result = call(system, 0, nr::PHYSDEV_OP, &[op.into(), at]).value as i64;
        assert_eq!(result, by_dom0.map_or(0, errno), "{op}");
    }
    /// What domain 1 has just asked with.
    fn args_of(system: &mut System<FakePlatform>) -> [u8; 64] {
        caller(system, 1).copy_from_guest(ARG[1]).expect("memory")
    }
    let gsi = |gsi| SetupGsi {
        gsi,
        ..SetupGsi::new_zeroed()
    };
    physdev(&mut system, op::SETUP_GSI, gsi(23), None);
    physdev(&mut system, op::SETUP_GSI, gsi(24), Some(Errno::EINVAL));
    let window = |start_bus, end_bus| PciMmcfgReserved {
        start_bus,
        end_bus,
        ..PciMmcfgReserved::new_zeroed()
    };
    physdev(&mut system, op::PCI_MMCFG_RESERVED, window(3, 3), None);
    let turned = window(4, 3);
    physdev(
        &mut system,
        op::PCI_MMCFG_RESERVED,
        turned,
        Some(Errno::EINVAL),
    );
    physdev(
        &mut system,
        op::PCI_DEVICE_ADD,
        PciDeviceAdd::new_zeroed(),
        None,
    );
    physdev(
        &mut system,
        op::PCI_DEVICE_REMOVE,
        PciDevice::new_zeroed(),
        None,
    );
    physdev(&mut system, op::MAP_PIRQ, [0u8; 64], Some(Errno::ENOSYS));
}

#[test]
fn debug_keys_are_pressed_one_by_one() {
    use xen_abi::sysctl::{self, Header};
    let mut system = two_domains();
    let keys = ARG[0] + 0x800;
    caller(&mut system, 0)
        .raw_copy_to_guest(keys, b"lL")
        .expect("memory");
    let mut press = |nr_keys: u32, keys: u64| {
        system.platform.calls.clear();
        let mut header = Header {
            cmd: sysctl::op::DEBUG_KEYS,
            interface_version: sysctl::INTERFACE_VERSION,
            u: [0; 16],
        };
        header.u[..2].copy_from_slice(&[keys, nr_keys.into()]);
        let mut guest = caller(&mut system, 0);
        guest.copy_to_guest(ARG[0], &header).expect("memory");
        let outcome = call(&mut system, 0, nr::SYSCTL, &[ARG[0]]);
        (outcome.value as i64, system.platform.calls.clone())
    };
    let pressed = vec![PlatformCall::DebugKey(b'l'), PlatformCall::DebugKey(b'L')];
    assert_eq!(press(2, keys), (0, pressed));
    assert_eq!(press(65, keys), (errno(Errno::E2BIG), vec![]));
    assert_eq!(press(1, 1 << 50).0, errno(Errno::EFAULT));
}
