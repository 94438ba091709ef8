// SPDX-License-Identifier: GPL-2.0

//! A machine's command lines: QEMU's, the hypervisor's and that of dom0's kernel.

use agent::PORT;
use kbuild::accel::Accel;

use super::boot_disk::{BOOT_DISK, VARIABLES};
use super::end::{PAUSE, QMP};
use super::{
    CONSOLE, COUNTER, COUNTS, DEBUGGER, GUEST_KERNEL, KEPT, MONITOR, RESETS, ROOT_IMAGE, Root,
    SHARED, SHARED_TAG, guest_disks,
};
use crate::topology::{Devices, Dom0, Hypervisor, Kernel, Loader, Topology};
use crate::{devices, nic, passed, snapshot, tables};

/// Bytes of translated code QEMU keeps, in MiB: enough for Xen, dom0 and a few guests.
const TRANSLATION_MIB: u32 = 512;

/// The emulated IOMMU that a PVH dom0 needs, and that guests with passed devices need.
const IOMMU: &str = "amd-iommu,dma-remap=on";

/// The kernels of dom0 and guests do without mitigations of processor bugs: emulated, they cost much and show nothing.
pub const MITIGATIONS: &str = "mitigations=off";

/// Without this Xen switches the FPU lazily, which corrupts SSE registers on QEMU's emulated SVM: programs in dom0 crash, and
/// checksums in guests come out wrong.
pub const EAGER_FPU: &str = "spec-ctrl=eager-fpu";

/// A machine has what it is given and nothing else.
pub const BARE: [&str; 6] = [
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-vga",
    "none",
];

/// QEMU's arguments.
pub fn qemu(topology: &Topology, root: Root<'_>, accel: Accel) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
    match topology.dom0 {
        // Ours has no IOMMU to drive: dom0's memory is where it believes it to be.
        _ if topology.hypervisor == Hypervisor::Paravane => add(&["-M", "q35,usb=off"]),
        Dom0::Pv if !topology.iommu => add(&["-M", "q35,usb=off"]),
        // The emulated IOMMU cannot remap interrupts of an irqchip in the kernel. Unless told to, it lets the devices'
        // accesses pass as they are, which go to other memory than dom0 means.
        Dom0::Pv | Dom0::Pvh => add(&["-M", "q35,usb=off,kernel-irqchip=off", "-device", IOMMU]),
    }
    match accel {
        // The processor as it is, with its virtualization.
        Accel::Kvm => add(&["-cpu", "host", "-accel", "kvm"]),
        Accel::Tcg => {
            // Xen misreads the length of an intercepted RDTSCP on QEMU's emulated SVM, so guests must not have it.
            add(&["-cpu", "max,-rdtscp"]);
            let translation = format!("tcg,thread=multi,tb-size={TRANSLATION_MIB}");
            add(&["-accel", &translation]);
        }
    }
    add(&[
        "-m",
        &topology.memory.to_string(),
        "-smp",
        &topology.cpus.to_string(),
    ]);
    add(&BARE);
    if matches!(root, Root::Snapshot(_)) {
        add(&["-incoming", "defer"]);
    }
    if !topology.restarts {
        add(&["-no-reboot"]);
    }
    if topology.debugged {
        // It waits for a debugger to let it run.
        let stub = format!("unix:/vm/run/{DEBUGGER},server=on,wait=off");
        add(&["-gdb", &stub, "-S"]);
    }
    if topology.counted {
        add(&["-plugin", &format!("{COUNTER},out=/vm/run/{COUNTS}")]);
    }
    let monitor = format!("unix:/vm/run/{MONITOR},server=on,wait=off");
    add(&["-monitor", &monitor]);
    // What the processors were at when the machine ended or was reset: a triple fault says nothing else.
    add(&PAUSE);
    add(&["-qmp", &format!("unix:/vm/run/{QMP},server=on,wait=off")]);
    add(&["-d", "cpu_reset", "-D", &format!("/vm/run/{RESETS}")]);
    let console = format!("file,id=console,path=/vm/run/{CONSOLE}");
    add(&["-chardev", &console]);
    add(&["-serial", "chardev:console"]);
    // -initrd splits at commas; a doubled one stands for itself. A comma needs no care in -append.
    let kernel = format!("/vm/kernel {}", dom0_command_line(topology)).replace(',', ",,");
    match (topology.loader, topology.kernel) {
        (Loader::Grub | Loader::GrubByUefi, _) => {
            let mut file = format!("/vm/run/{BOOT_DISK}");
            if topology.loader == Loader::GrubByUefi {
                add(&[
                    "-drive",
                    "if=pflash,format=raw,readonly=on,file=/vm/firmware.fd",
                ]);
                let variables = format!("if=pflash,format=raw,file=/vm/run/{VARIABLES}");
                add(&["-drive", &variables]);
                // QEMU makes a FAT file system of a folder.
                file = format!("fat:{file}");
            }
            let boot = format!("if=none,id=boot,file={file},format=raw,snapshot=on");
            add(&["-drive", &boot, "-device", "ide-hd,drive=boot,bootindex=0"]);
        }
        (Loader::Qemu, kind) => {
            add(&[
                "-kernel",
                "/vm/xen",
                "-append",
                &hypervisor_command_line(topology),
            ]);
            match kind {
                Kernel::Misbehaving => add(&["-initrd", &kernel]),
                _ if topology.misbehaving_guest.is_empty() => {
                    add(&["-initrd", &format!("{kernel},/vm/initrd")]);
                }
                _ => {
                    let guest = format!("/vm/guest {}", topology.misbehaving_guest);
                    let guest = guest.replace(',', ",,");
                    add(&["-initrd", &format!("{kernel},/vm/initrd,{guest}")]);
                }
            }
        }
    }
    if topology.kernel == Kernel::Misbehaving {
        return args;
    }
    // A PV dom0 cannot do DMA to its own addresses; iommu_platform makes virtio use the kernel's DMA interface.
    let virtio = "iommu_platform=on,disable-legacy=on";
    let root = match root {
        Root::Temporary => format!("{ROOT_IMAGE},format=raw,snapshot=on"),
        Root::Kept => format!("/vm/run/{},format=qcow2", snapshot::ROOT),
        Root::Snapshot(_) => format!("{KEPT}/{},format=qcow2,snapshot=on", snapshot::ROOT),
    };
    let payload = "/vm/payload.img,format=raw,readonly=on".to_owned();
    let mut disks = vec![("root".to_owned(), root), ("payload".to_owned(), payload)];
    if topology.devices == Devices::Debian {
        let debian = "/vm/debian.img,format=raw,snapshot=on".to_owned();
        disks.push(("debian".to_owned(), debian));
    }
    if topology.devices == Devices::GuestKernel {
        let kernel = format!("{GUEST_KERNEL},format=raw,readonly=on");
        disks.push(("guest-kernel".to_owned(), kernel));
        disks.extend(guest_disks::drives());
        // Outside the sandbox's own network it leads nowhere. The addresses are those of the guests' bridge.
        let network = format!(
            "user,id=outside,net={}/24,host={},dns={}",
            nic::ipv4(0, 0),
            nic::ipv4(0, nic::GATEWAY),
            nic::ipv4(0, nic::NAMES)
        );
        add(&["-netdev", &network, "-device"]);
        add(&[&format!("virtio-net-pci,netdev=outside,romfile=,{virtio}")]);
        // A folder may have other file systems mounted in it, with the same inode numbers.
        let folder = format!(
            "local,id=shared,path={SHARED},security_model=none,readonly=on,multidevs=remap"
        );
        add(&["-fsdev", &folder, "-device"]);
        add(&[&format!(
            "virtio-9p-pci,fsdev=shared,mount_tag={SHARED_TAG},{virtio}"
        )]);
    }
    for (name, file) in disks {
        add(&[
            "-drive",
            &format!("if=none,id={name},cache=unsafe,file={file}"),
            "-device",
            &format!("virtio-blk-pci,drive={name},{virtio}"),
        ]);
    }
    add(&["-device", &format!("virtio-serial-pci,{virtio}")]);
    add(&[
        "-chardev",
        "socket,id=agent,path=/vm/run/agent.sock,server=on,wait=off",
    ]);
    add(&[
        "-device",
        &format!("virtserialport,chardev=agent,name={PORT}"),
    ]);
    match topology.devices {
        Devices::None | Devices::Debian | Devices::GuestKernel => {}
        Devices::Real => args.extend(devices::arguments()),
        Devices::Passed => args.extend(passed::arguments().map(str::to_owned)),
    }
    if topology.misleading {
        args.extend(tables::arguments().map(str::to_owned));
    }
    args
}

/// The hypervisor's command line.
pub fn hypervisor_command_line(topology: &Topology) -> String {
    let memory = topology.dom0_memory;
    let mut line = format!(
        "console=com1 com1=115200,8n1 dom0_mem={memory}M,max:{memory}M dom0_max_vcpus={}",
        topology.dom0_vcpus
    );
    line += " loglvl=all guest_loglvl=all";
    if topology.hypervisor == Hypervisor::Paravane {
        return with_extra(line, topology.xen_args);
    }
    line = format!("{line} {EAGER_FPU}");
    if topology.dom0 == Dom0::Pvh {
        line += " dom0=pvh dom0_vcpus_pin";
    }
    with_extra(line, topology.xen_args)
}

/// The command line of dom0's kernel.
pub fn dom0_command_line(topology: &Topology) -> String {
    // Every character costs an exit to Xen and a port access; warnings are worth that, notices are not.
    let mut line = format!("console=hvc0 loglevel=5 panic=1 {MITIGATIONS}");
    if topology.devices == Devices::Real {
        // From Linux 7.3 on, bounce buffers are only counted if one asks for it.
        line += " swiotlb=track_hiwater";
    }
    with_extra(line, topology.dom0_args)
}

fn with_extra(mut line: String, extra: &str) -> String {
    if !extra.is_empty() {
        line.push(' ');
        line.push_str(extra);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_have_what_the_topology_says() {
        let topology = Topology {
            dom0_memory: 1024,
            xen_args: "tsc=unstable",
            dom0_args: "a=1,2",
            ..Topology::PVH
        };
        assert!(hypervisor_command_line(&topology).contains("dom0_mem=1024M,max:1024M "));
        assert!(
            hypervisor_command_line(&topology).ends_with("dom0=pvh dom0_vcpus_pin tsc=unstable")
        );
        let qemu = |topology: &Topology, root: Root<'_>| qemu(topology, root, Accel::Tcg);
        let args = qemu(&topology, Root::Temporary);
        assert!(args.contains(&IOMMU.to_owned()));
        assert!(args.iter().any(|arg| arg.contains("a=1,,2,/vm/initrd")));
        assert!(dom0_command_line(&Topology::PV_REAL).contains("swiotlb=track_hiwater"));
        assert!(!qemu(&Topology::PV, Root::Temporary).contains(&IOMMU.to_owned()));
        assert!(qemu(&Topology::PASSED, Root::Temporary).contains(&IOMMU.to_owned()));
        assert!(!qemu(&Topology::PARAVANE, Root::Temporary).contains(&IOMMU.to_owned()));
    }

    #[test]
    fn kvm_has_the_processor_as_it_is() {
        let args = qemu(&Topology::PV, Root::Temporary, Accel::Kvm);
        let has = |words: [&str; 2]| args.windows(2).any(|pair| pair == words);
        assert!(has(["-accel", "kvm"]) && has(["-cpu", "host"]), "{args:?}");
        let emulated = qemu(&Topology::PV, Root::Temporary, Accel::Tcg);
        assert_eq!(args.len(), emulated.len());
        let differ = args
            .iter()
            .zip(&emulated)
            .filter(|(one, other)| one != other);
        assert_eq!(differ.count(), 2);
    }
}
