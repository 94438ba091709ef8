// SPDX-License-Identifier: GPL-2.0

//! Whether this machine's kernel demands that modules are signed, and what to do about ours.

use std::fs;
use std::path::Path;

/// The variable of UEFI in which the firmware says whether Secure Boot is on (UEFI 2.10, 3.3), in Linux' `efivarfs`.
const VARIABLE: &str = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// How a machine has booted, with respect to signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureBoot {
    /// Without UEFI, as in most guests.
    NoUefi,
    /// With UEFI, and Secure Boot is off.
    Off,
    /// With Secure Boot.
    On,
    /// With UEFI, and the variable cannot be read, as in a container.
    Unknown,
}

/// What is found about signatures of modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signatures {
    /// How the machine has booted.
    pub secure_boot: SecureBoot,
    /// Whether the kernel loads signed modules only: it is locked down, or was started with `module.sig_enforce`.
    pub enforced: bool,
    /// Whether DKMS has a key.
    pub dkms_key: bool,
}

impl Signatures {
    /// Looks below a root folder.
    pub fn read(root: &Path) -> Self {
        let secure_boot = match fs::read(root.join(VARIABLE)) {
            // Four bytes of attributes, then the value.
            Ok(bytes) if bytes.get(4) == Some(&1) => SecureBoot::On,
            Ok(bytes) if bytes.len() == 5 => SecureBoot::Off,
            _ if root.join("sys/firmware/efi").exists() => SecureBoot::Unknown,
            _ => SecureBoot::NoUefi,
        };
        let text = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
        let lockdown = text("sys/kernel/security/lockdown");
        let locked = ["[integrity]", "[confidentiality]"]
            .iter()
            .any(|mode| lockdown.contains(mode));
        Self {
            secure_boot,
            enforced: locked || text("sys/module/module/parameters/sig_enforce").trim() == "Y",
            dkms_key: root.join("var/lib/dkms/mok.pub").exists(),
        }
    }

    /// What is found, and what to do.
    pub fn advice(&self) -> String {
        let found = match self.secure_boot {
            SecureBoot::NoUefi => "there is none, this machine has not booted by UEFI",
            SecureBoot::Off => "off",
            SecureBoot::On => "on",
            SecureBoot::Unknown => "its state cannot be read here",
        };
        if !self.enforced && self.secure_boot != SecureBoot::On {
            return format!("{found}; modules need no signature");
        }
        let enforced = match self.enforced {
            true => "this kernel loads signed modules only",
            false => "a kernel that is locked down by it loads signed modules only",
        };
        let how = match self.dkms_key {
            true => {
                "DKMS signs ours (package xen-rs-dkms); as root, once: mokutil --import /var/lib/dkms/mok.pub, then \
                 restart and confirm"
            }
            false => {
                "install xen-rs-dkms, which makes DKMS create a key and sign with it; then, as root: mokutil --import \
                 /var/lib/dkms/mok.pub"
            }
        };
        format!("{found}; {enforced}. {how}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, content: &[u8]) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[test]
    fn the_firmwares_variable_is_read_behind_its_attributes() {
        let root = tempfile::tempdir().unwrap();
        let state = || Signatures::read(root.path()).secure_boot;
        assert_eq!(state(), SecureBoot::NoUefi);
        fs::create_dir_all(root.path().join("sys/firmware/efi")).unwrap();
        assert_eq!(state(), SecureBoot::Unknown);
        write(root.path(), VARIABLE, &[6, 0, 0, 0, 1]);
        assert_eq!(state(), SecureBoot::On);
        write(root.path(), VARIABLE, &[6, 0, 0, 0, 0]);
        assert_eq!(state(), SecureBoot::Off);
        write(root.path(), VARIABLE, &[1]);
        assert_eq!(state(), SecureBoot::Unknown);
    }

    #[test]
    fn a_kernel_that_is_locked_down_wants_signatures_whatever_the_firmware_says() {
        let root = tempfile::tempdir().unwrap();
        let read = || Signatures::read(root.path());
        write(
            root.path(),
            "sys/kernel/security/lockdown",
            b"[none] integrity confidentiality\n",
        );
        assert!(!read().enforced && read().advice().contains("no signature"));
        write(
            root.path(),
            "sys/kernel/security/lockdown",
            b"none [integrity] confidentiality\n",
        );
        assert!(read().enforced && read().advice().contains("install xen-rs-dkms"));
        write(root.path(), "var/lib/dkms/mok.pub", b"");
        assert!(read().advice().contains("as root, once: mokutil --import"));
    }

    #[test]
    fn an_enforced_signature_counts_without_lockdown() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            "sys/module/module/parameters/sig_enforce",
            b"Y\n",
        );
        assert!(Signatures::read(root.path()).enforced);
        write(root.path(), VARIABLE, &[6, 0, 0, 0, 1]);
        write(
            root.path(),
            "sys/module/module/parameters/sig_enforce",
            b"N\n",
        );
        let read = Signatures::read(root.path());
        assert!(!read.enforced && read.advice().starts_with("on; a kernel that"));
    }
}
