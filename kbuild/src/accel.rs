// SPDX-License-Identifier: GPL-2.0

//! What executes a machine's instructions: the processor, by KVM, or QEMU's translation (TCG). KVM is used where it can run
//! what is asked of it: a hypervisor in a machine needs a processor whose virtualization KVM passes on.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Result, bail};

use crate::ui::Ui;

/// What the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccelChoice {
    /// KVM where it can run the machine, else TCG.
    Auto,
    /// KVM or an error.
    Kvm,
    /// TCG.
    #[default]
    Tcg,
}

/// What a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The processor, by Linux's KVM.
    Kvm,
    /// QEMU's translation.
    Tcg,
}

/// What a machine needs of KVM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccelNeed {
    /// KVM.
    Plain,
    /// Virtualization in the machine, by SVM or VMX: Xen.
    Nested,
    /// Virtualization in the machine, by SVM: the Paravane hypervisor.
    NestedSvm,
}

/// What this machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvmFacts {
    /// Whether there is a device.
    pub has_device: bool,
    /// Why it cannot be opened, if it cannot.
    pub refusal: Option<String>,
    /// Which of `svm` and `vmx` the processor has.
    pub extensions: BTreeSet<String>,
    /// Whether KVM passes them on.
    pub is_nested: bool,
}

impl KvmFacts {
    /// Reads them below `root`, which is `/` but in tests.
    pub fn read(root: &Path) -> Self {
        let device = root.join("dev/kvm");
        let opened = File::options().read(true).write(true).open(&device);
        let processors = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
        let flags = processors
            .lines()
            .filter(|line| line.starts_with("flags"))
            .flat_map(str::split_whitespace);
        let parameter = |module: &str| {
            let file = root
                .join("sys/module")
                .join(module)
                .join("parameters/nested");
            let value = fs::read_to_string(file).unwrap_or_default();
            matches!(value.trim(), "1" | "Y")
        };
        Self {
            has_device: device.exists(),
            refusal: opened.err().map(|error| error.to_string()),
            extensions: flags
                .filter(|flag| ["svm", "vmx"].contains(flag))
                .map(str::to_owned)
                .collect(),
            is_nested: parameter("kvm_amd") || parameter("kvm_intel"),
        }
    }

    /// Why KVM cannot run a machine with this need, if it cannot.
    pub fn lack(&self, need: AccelNeed) -> Option<String> {
        if !self.has_device {
            return Some("there is no /dev/kvm".into());
        }
        if let Some(refusal) = &self.refusal {
            return Some(format!("/dev/kvm cannot be opened ({refusal})"));
        }
        if self.extensions.is_empty() {
            return Some("/dev/kvm opens, but the processor has neither SVM nor VMX".into());
        }
        match need {
            AccelNeed::Plain => None,
            AccelNeed::NestedSvm if !self.extensions.contains("svm") => {
                Some("the Paravane hypervisor needs SVM, and the processor has VMX".into())
            }
            AccelNeed::Nested | AccelNeed::NestedSvm => (!self.is_nested).then(|| {
                "KVM does not pass the processor's virtualization on (parameter nested of kvm_amd or kvm_intel)".into()
            }),
        }
    }
}

/// What all machines of a run have. Cheap to clone.
#[derive(Clone)]
pub struct Acceleration {
    choice: AccelChoice,
    facts: Arc<OnceLock<KvmFacts>>,
    ui: Ui,
    has_told: Arc<AtomicBool>,
}

impl Acceleration {
    /// Nothing is looked at before a machine asks.
    pub fn new(choice: AccelChoice, ui: Ui) -> Self {
        Self {
            choice,
            facts: Arc::default(),
            ui,
            has_told: Arc::default(),
        }
    }

    /// What a machine with this need has. Says once why it is not KVM if there is one.
    ///
    /// # Errors
    ///
    /// If KVM is wanted and cannot run it.
    pub fn choose(&self, need: AccelNeed) -> Result<Accel> {
        if self.choice == AccelChoice::Tcg {
            return Ok(Accel::Tcg);
        }
        let facts = self.facts.get_or_init(|| KvmFacts::read(Path::new("/")));
        let (accel, note) = decide(self.choice, facts, need)?;
        if let Some(note) = note.filter(|_| !self.has_told.swap(true, Ordering::Relaxed)) {
            self.ui.line(&format!("    note: {note}"));
        }
        Ok(accel)
    }
}

/// What a machine has, and what there is to tell of that.
fn decide(
    choice: AccelChoice,
    facts: &KvmFacts,
    need: AccelNeed,
) -> Result<(Accel, Option<String>)> {
    match (choice, facts.lack(need)) {
        (AccelChoice::Tcg, _) => Ok((Accel::Tcg, None)),
        (_, None) => Ok((Accel::Kvm, None)),
        (AccelChoice::Kvm, Some(lack)) => bail!("KVM cannot run this machine: {lack}"),
        // Most machines without the device have no processor to speak of.
        (AccelChoice::Auto, Some(lack)) => Ok((
            Accel::Tcg,
            facts
                .has_device
                .then(|| format!("QEMU emulates the processor: {lack}")),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with these files.
    fn facts(files: &[(&str, &str)]) -> KvmFacts {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        KvmFacts::read(root.path())
    }

    const DEVICE: (&str, &str) = ("dev/kvm", "");
    const AMD: (&str, &str) = ("proc/cpuinfo", "flags\t\t: fpu svm npt\nbugs: vmx\n");
    const INTEL: (&str, &str) = ("proc/cpuinfo", "flags\t\t: fpu vmx\n");
    const NEITHER: (&str, &str) = ("proc/cpuinfo", "flags\t\t: fpu\n");
    const AMD_NESTED: (&str, &str) = ("sys/module/kvm_amd/parameters/nested", "1\n");
    const INTEL_NESTED: (&str, &str) = ("sys/module/kvm_intel/parameters/nested", "Y\n");
    const INTEL_NOT: (&str, &str) = ("sys/module/kvm_intel/parameters/nested", "N\n");

    fn lack(files: &[(&str, &str)], need: AccelNeed) -> String {
        facts(files).lack(need).unwrap_or_default()
    }

    #[test]
    fn what_kvm_lacks_is_told() {
        use AccelNeed::{Nested, NestedSvm, Plain};
        assert!(lack(&[AMD, AMD_NESTED], Plain).contains("no /dev/kvm"));
        assert!(lack(&[DEVICE, NEITHER], Plain).contains("neither SVM nor VMX"));
        assert!(lack(&[DEVICE], Plain).contains("neither SVM nor VMX"));
        for need in [Plain, Nested, NestedSvm] {
            assert_eq!(lack(&[DEVICE, AMD, AMD_NESTED], need), "", "{need:?}");
        }
        assert_eq!(lack(&[DEVICE, INTEL, INTEL_NESTED], Nested), "");
        assert!(lack(&[DEVICE, INTEL, INTEL_NESTED], NestedSvm).contains("needs SVM"));
        assert!(lack(&[DEVICE, INTEL, INTEL_NOT], Nested).contains("pass"));
        assert!(lack(&[DEVICE, AMD], NestedSvm).contains("pass"));
        let closed = KvmFacts {
            has_device: true,
            refusal: Some("Permission denied".into()),
            ..KvmFacts::default()
        };
        assert!(closed.lack(Plain).unwrap().contains("Permission denied"));
    }

    #[test]
    fn auto_falls_back_and_says_why_and_kvm_refuses() {
        let decide = |choice, files: &[_]| decide(choice, &facts(files), AccelNeed::Nested);
        let able = [DEVICE, AMD, AMD_NESTED];
        for choice in [AccelChoice::Auto, AccelChoice::Kvm] {
            assert_eq!(decide(choice, &able).unwrap(), (Accel::Kvm, None));
        }
        assert_eq!(decide(AccelChoice::Tcg, &able).unwrap().0, Accel::Tcg);
        let (accel, note) = decide(AccelChoice::Auto, &[DEVICE, NEITHER]).unwrap();
        assert_eq!(accel, Accel::Tcg);
        assert!(note.unwrap().contains("neither SVM nor VMX"));
        // Where nobody expects it nothing is said.
        assert_eq!(
            decide(AccelChoice::Auto, &[NEITHER]).unwrap(),
            (Accel::Tcg, None)
        );
        let refusal = decide(AccelChoice::Kvm, &[DEVICE, NEITHER]).unwrap_err();
        assert!(refusal.to_string().contains("neither SVM nor VMX"));
    }
}
