// SPDX-License-Identifier: GPL-2.0

//! Disks of guests, and what is behind them in dom0.

/// A guest's disk.
#[derive(Clone, Debug)]
pub struct Disk {
    target: String,
    vdev: String,
    read_only: bool,
    mib: Option<u64>,
    options: Vec<String>,
}

impl Disk {
    /// A file below dom0's `/disks` (in memory), behind a loop device. `vdev` is the name the guest gives it.
    pub fn file(name: &str, vdev: &str) -> Self {
        Self::at(format!("/disks/{name}"), vdev)
    }

    /// A block device of dom0, such as `/dev/nullb0`.
    pub fn device(path: &str, vdev: &str) -> Self {
        Self::at(path.to_owned(), vdev)
    }

    fn at(target: String, vdev: &str) -> Self {
        Self {
            target,
            vdev: vdev.to_owned(),
            read_only: false,
            mib: None,
            options: vec![],
        }
    }

    /// Makes the file with this size, sparse, unless it exists.
    #[must_use]
    pub fn mib(mut self, mib: u64) -> Self {
        self.mib = Some(mib);
        self
    }

    /// The guest may not write.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Any other word of xl-disk-configuration(5), such as `no-discard` or `untrusted`.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// The path in dom0.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The name in the guest.
    pub fn vdev(&self) -> &str {
        &self.vdev
    }

    /// What `xl` calls a disk specification; for `disk=[…]` and for `xl block-attach`.
    pub fn spec(&self) -> String {
        let access = if self.read_only { "ro" } else { "rw" };
        let mut words = vec![
            "format=raw".to_owned(),
            format!("vdev={}", self.vdev),
            format!("access={access}"),
        ];
        words.extend(self.options.iter().cloned());
        // Has to be the last one, because it takes the rest of the text.
        words.push(format!("target={}", self.target));
        words.join(",")
    }

    /// The shell command that makes the file, or nothing.
    pub fn make(&self) -> String {
        match self.mib {
            Some(mib) => format!("[ -e {0} ] || truncate -s {mib}M {0}", self.target),
            None => "true".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_written_as_xl_wants_them() {
        let disk = Disk::file("a.img", "xvda").mib(64).option("no-discard");
        assert_eq!(
            disk.spec(),
            "format=raw,vdev=xvda,access=rw,no-discard,target=/disks/a.img"
        );
        assert_eq!(
            disk.make(),
            "[ -e /disks/a.img ] || truncate -s 64M /disks/a.img"
        );
        let disk = Disk::device("/dev/nullb0", "xvdb").read_only();
        assert!(disk.spec().contains("access=ro") && disk.spec().ends_with("target=/dev/nullb0"));
    }
}
