// SPDX-License-Identifier: GPL-2.0

//! A guest's configuration file for xl.

use super::{Guest, Loader, Mode};
use crate::disk::Disk;
use crate::machine::MITIGATIONS;
use crate::nic::Nic;

/// Debian's GRUB for PVH guests: a program of 32 bits that the toolstack loads in the place of a kernel. It does what
/// `/boot/grub/grub.cfg` of a disk says.
const GRUB: &str = "/usr/lib/grub-xen/grub-i386-xen_pvh.bin";

impl Guest {
    /// What its kernel is told.
    pub fn command_line(&self) -> String {
        format!("console=hvc0 loglevel=7 panic=1 {MITIGATIONS}{}", self.args)
    }

    /// What dom0 has to do before the guest can be created: shell commands.
    pub(crate) fn prepare(&self) -> Vec<String> {
        let disks = self.disks.iter().map(Disk::make);
        disks.chain(self.nics.iter().map(Nic::make)).collect()
    }

    /// The text of xl's configuration file. `placement` is the line that says where the guest runs.
    pub fn config(&self, placement: &str) -> String {
        let quoted = |spec: String| format!("'{spec}'");
        let disks: Vec<_> = self.disks.iter().map(Disk::spec).map(quoted).collect();
        let nics: Vec<_> = self.nics.iter().map(Nic::spec).map(quoted).collect();
        let initramfs = match (self.fio, self.nics.is_empty()) {
            (true, _) => "guest-fio",
            (false, false) => "guest-net",
            (false, true) => "guest",
        };
        let initramfs = match &self.initramfs {
            Some(file) => file.clone(),
            None => format!("/payload/boot/{initramfs}.cpio"),
        };
        // fio's libraries are in memory twice while the kernel unpacks them.
        let memory = self.memory + if self.fio { 128 } else { 0 };
        // QEMU's loader wants a compressed image, Xen's an ELF file.
        let kernel = match self.mode {
            Mode::Hvm => "vmlinuz",
            Mode::Pv | Mode::Pvh => "vmlinux",
        };
        let boot = match self.loader {
            Loader::Grub => format!("kernel = '{GRUB}'\n"),
            Loader::Toolstack => format!(
                "kernel = '/payload/boot/{kernel}'\nramdisk = '{initramfs}'\ncmdline = '{}'\n",
                self.command_line()
            ),
        };
        let mut text = format!(
            "name = '{}'\ntype = '{}'\n{boot}memory = {memory}\nvcpus = {}\ndisk = [{}]\nvif = [{}]\n",
            self.name,
            self.mode.name(),
            self.vcpus,
            disks.join(", "),
            nics.join(", ")
        );
        // Reading the clock would be an exit to Xen each time, ten microseconds on an emulated processor.
        text += "tsc_mode = 'native'\n";
        if self.mode == Mode::Hvm {
            text += "vga = 'none'\nvnc = 0\nusb = 0\n";
        }
        text += "on_crash = 'destroy'\non_reboot = 'destroy'\non_poweroff = 'destroy'\n";
        for line in [placement]
            .into_iter()
            .chain(self.lines.iter().map(String::as_str))
        {
            text += line;
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_name_what_was_asked_for() {
        let guest = Guest::pv("g")
            .vcpus(4)
            .memory(256)
            .args("x=1")
            .fio()
            .line("iommu = 'soft'")
            .nic(Nic::new().mac("00:16:3e:00:00:01"));
        let text = guest
            .disk(Disk::file("a", "xvda"))
            .disk(Disk::file("b", "xvdb"))
            .config("cpus = '1'");
        for wanted in [
            "type = 'pv'",
            "vcpus = 4",
            "memory = 384",
            "x=1'",
            "guest-fio.cpio",
            "vif = ['bridge=xenbr0,mac=00:16:3e:00:00:01']",
            "iommu",
            "cpus = '1'\n",
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
        assert_eq!(text.matches("vdev=").count(), 2);
    }

    #[test]
    fn what_grub_loads_is_not_named_to_the_toolstack() {
        let guest = Guest::pvh("g").args("x=1").by_grub();
        let text = guest.config("");
        assert!(text.contains("kernel = '/usr/lib/grub-xen/grub-i386-xen_pvh.bin'\n"));
        assert!(!text.contains("ramdisk") && !text.contains("cmdline"));
        assert!(guest.command_line().ends_with(" x=1"));
    }
}
