// SPDX-License-Identifier: GPL-2.0

//! What commands need of the machine: the list that they check before they start, that `doctor` shows, and that the README
//! has.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::fsutil;

/// What a command needs besides programs, user namespaces and an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Room for the cache when nothing is there yet, in bytes.
    pub disk: u64,
    /// Memory in bytes, the virtual machine's and its emulator's own.
    pub memory: u64,
}

impl Needs {
    /// `build` and `shell`: they boot nothing.
    pub const BUILD: Self = Self {
        disk: 10_000_000_000,
        memory: 2 << 30,
    };
    /// `boot`: one machine with two guests.
    pub const BOOT: Self = Self {
        disk: 15_000_000_000,
        memory: 6 << 30,
    };
    /// `test` and `bench`: the largest machine is one with real devices.
    pub const TEST: Self = Self {
        disk: 15_000_000_000,
        memory: 8 << 30,
    };
    /// `kernel`: a kernel's source and its build.
    pub const KERNEL: Self = Self {
        disk: 20_000_000_000,
        memory: 4 << 30,
    };

    /// Says what the machine lacks, before any work.
    ///
    /// # Errors
    ///
    /// Too little room for what is not in the cache yet, or too little memory.
    pub fn check(&self, cache: &Cache) -> Result<()> {
        self.check_room(cache)?;
        let memory = Memory::read(Path::new("/"));
        if memory.total < self.memory {
            bail!(
                "this machine (or the container's limit) has {} of memory; this command needs {}",
                fsutil::human(memory.total),
                fsutil::human(self.memory)
            );
        }
        Ok(())
    }

    /// The part of [`Needs::check`] about the disk.
    fn check_room(&self, cache: &Cache) -> Result<()> {
        let room = self.disk.saturating_sub(made(cache));
        fsutil::require_space(cache.root(), room)
    }
}

/// The parts of a preparation with the room in bytes that they take at most while they are made.
const PARTS: [(&str, u64); 6] = [
    ("sandbox", 6_000_000_000),
    ("devel", 3_000_000_000),
    ("kernel", 1_500_000_000),
    ("userland", 1_500_000_000),
    ("machine-kernel", 1_500_000_000),
    ("payload", 1_500_000_000),
];

/// The room for what need not be made any more.
fn made(cache: &Cache) -> u64 {
    let has = |kind: &str| {
        let entries = fsutil::read_dir_sorted(&cache.root().join(kind));
        entries.is_ok_and(|entries| !entries.is_empty())
    };
    let parts = PARTS.iter().filter(|(kind, _)| has(kind));
    parts.map(|(_, room)| room).sum()
}

/// The memory of the machine, or of the container, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What is free or can be freed.
    pub available: u64,
}

impl Memory {
    /// Reads it below a root folder. What cannot be read is taken to be plenty: this is advice, not accounting.
    pub fn read(root: &Path) -> Self {
        let text = fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kib = line.trim().trim_end_matches("kB").trim().parse::<u64>();
            Some(kib.ok()? << 10)
        };
        // Version 2 of cgroups, and version 1.
        let limits = [
            "sys/fs/cgroup/memory.max",
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
        ];
        let limit = limits.iter().find_map(|file| {
            let text = fs::read_to_string(root.join(file)).ok()?;
            text.trim().parse::<u64>().ok()
        });
        let limit = limit.unwrap_or(u64::MAX);
        let total = field("MemTotal:").unwrap_or(u64::MAX).min(limit);
        let available = field("MemAvailable:").unwrap_or(total).min(total);
        Self { total, available }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_containers_limit_counts() {
        let root = tempfile::tempdir().unwrap();
        let meminfo = "MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:   12000000 kB\n";
        write(root.path(), "proc/meminfo", meminfo);
        let whole = Memory::read(root.path());
        assert_eq!(whole.total, 16_000_000 << 10);
        assert_eq!(whole.available, 12_000_000 << 10);
        write(root.path(), "sys/fs/cgroup/memory.max", "max\n");
        assert_eq!(Memory::read(root.path()), whole);
        write(root.path(), "sys/fs/cgroup/memory.max", "4294967296\n");
        assert_eq!(Memory::read(root.path()).total, 4 << 30);
        assert_eq!(Memory::read(root.path()).available, 4 << 30);
    }

    #[test]
    fn what_is_in_the_cache_needs_no_more_room() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("cache")).unwrap();
        let all: u64 = PARTS.iter().map(|(_, room)| room).sum();
        assert_eq!(all, Needs::BOOT.disk, "the parts of a first boot");
        let huge = Needs {
            disk: u64::MAX / 2,
            ..Needs::BOOT
        };
        let error = huge.check(&cache).unwrap_err().to_string();
        assert!(
            error.contains("room") && error.contains("PARAVANE_CACHE"),
            "{error}"
        );
        assert!(!cache.root().exists(), "a check changes nothing");
        for (kind, _) in PARTS {
            fs::create_dir_all(cache.root().join(kind).join("entry")).unwrap();
        }
        assert_eq!(made(&cache), all);
        Needs::BOOT.check_room(&cache).unwrap();
    }

    #[test]
    fn the_readme_has_what_is_checked() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let readme = fs::read_to_string(workspace.join("README.md")).unwrap();
        for (command, needs) in [
            ("build", Needs::BUILD),
            ("boot", Needs::BOOT),
            ("test", Needs::TEST),
            ("kernel", Needs::KERNEL),
        ] {
            let line = format!(
                "| `{command}` | {} GB | {} GiB |",
                needs.disk / 1_000_000_000,
                needs.memory >> 30
            );
            assert!(readme.contains(&line), "README lacks {line:?}");
        }
        for (_, package) in super::super::NEEDED {
            assert!(readme.contains(package), "README does not name {package}");
        }
    }
}
