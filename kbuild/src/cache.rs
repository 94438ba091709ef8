// SPDX-License-Identifier: GPL-2.0

//! The cache outside the work tree: folders made once, addressed by what they were made from.
//!
//! An entry appears under its final name only when it is complete (it is made in `.tmp` and renamed). Each
//! entry has a lock file: its maker holds it exclusively, its users hold it shared, so that two runs at the
//! same time share the work and `clean` never takes away what another run is using.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::branches;
use crate::fsutil;
use crate::ui::Ui;

/// The root folder of everything downloaded or built.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    ui: Option<Ui>,
}

/// How long a wait for a lock stays unmentioned.
const QUIET: Duration = Duration::from_secs(2);

/// How often a lock that another process holds is tried.
const POLL: Duration = Duration::from_millis(50);

/// How many are kept of what each change of a source makes anew.
const KEPT: usize = 8;

/// A complete entry, kept from `clean` while this value lives.
#[derive(Debug)]
pub struct CacheEntry {
    path: PathBuf,
    fresh: bool,
    _lock: File,
}

impl CacheEntry {
    /// The entry's folder, which nothing changes any more.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside the entry.
    pub fn join(&self, rest: impl AsRef<Path>) -> PathBuf {
        self.path.join(rest)
    }

    /// Whether this run made the entry, as opposed to finding it.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }
}

impl std::ops::Deref for CacheEntry {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.path
    }
}

/// One entry as `clean` shows it.
#[derive(Debug)]
pub struct Listed {
    /// What the entry holds, such as `sandbox`.
    pub kind: String,
    /// Name and key.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Size on disk in bytes.
    pub bytes: u64,
    /// When a run last used it, if known.
    pub used: Option<std::time::SystemTime>,
}

impl Cache {
    /// The cache the environment names: `$PARAVANE_CACHE`, else `$XDG_CACHE_HOME/paravane`, else
    /// `~/.cache/paravane`.
    pub fn from_env() -> Result<Self> {
        let var = |name| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let root = var("PARAVANE_CACHE")
            .or_else(|| var("XDG_CACHE_HOME").map(|dir| dir.join("paravane")))
            .or_else(|| var("HOME").map(|dir| dir.join(".cache/paravane")))
            .context(
                "no folder for the cache: set PARAVANE_CACHE to a folder with 15 GB of room",
            )?;
        Self::at(root)
    }

    /// A cache in the given folder, which is made when something is put there.
    pub fn at(root: PathBuf) -> Result<Self> {
        let root = std::path::absolute(root)?;
        let root = root.canonicalize().unwrap_or(root);
        Ok(Self { root, ui: None })
    }

    /// Shows on a terminal which locks are waited for.
    #[must_use]
    pub fn with_ui(self, ui: Ui) -> Self {
        let ui = Some(ui);
        Self { ui, ..self }
    }

    /// Makes the folder.
    fn prepare(&self) -> Result<()> {
        for dir in [".tmp", ".locks"] {
            fs::create_dir_all(self.root.join(dir)).with_context(|| {
                format!(
                    "cannot make the cache folder {}; set PARAVANE_CACHE to one you may write to",
                    self.root.display()
                )
            })?;
        }
        Ok(())
    }

    /// The cache's root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder for state that is changed in place (package lists, logs), not an entry. The caller is
    /// responsible for locking: see [`Cache::lock`].
    pub fn state_dir(&self, name: &str) -> Result<PathBuf> {
        self.prepare()?;
        let dir = self.root.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }

    /// Takes a named lock for as long as the returned file lives. Waits for another run if need be, and says so.
    ///
    /// # Errors
    ///
    /// Also when this branch of the work is to end meanwhile ([`branches::check`]).
    pub fn lock(&self, name: &str) -> Result<File> {
        let mut wait = Wait::new(self, name);
        loop {
            if let Some(file) = self.try_lock(name)? {
                return Ok(file);
            }
            wait.a_moment()?;
        }
    }

    /// The lock, unless another process holds it.
    fn try_lock(&self, name: &str) -> Result<Option<File>> {
        let file = self.open_lock(name)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // Processes that wait for the lock print it. A full disk is no reason to stop.
                let _ = file.set_len(0);
                let _ = write!(&file, "{}", std::process::id());
                Ok(Some(file))
            }
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot lock {name}")),
        }
    }

    fn open_lock(&self, name: &str) -> Result<File> {
        self.prepare()?;
        let path = self.lock_path(name);
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open the lock file {}", path.display()))
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.root.join(".locks").join(name.replace('/', "_"))
    }

    /// The complete entry, if there is one.
    pub fn find(&self, kind: &str, name: &str) -> Result<Option<CacheEntry>> {
        let path = self.root.join(kind).join(name);
        if !path.exists() {
            return Ok(None);
        }
        let lock = self.open_lock(&format!("{kind}.{name}"))?;
        flock(&lock, FlockOperation::LockShared)?;
        if !path.exists() {
            return Ok(None);
        }
        // The lock file's time tells `clean` when the entry was last used.
        let _ = lock.set_modified(std::time::SystemTime::now());
        Ok(Some(CacheEntry {
            path,
            fresh: false,
            _lock: lock,
        }))
    }

    /// Finds the entry or has `make` fill an empty folder that becomes the entry.
    ///
    /// `need` is the room in bytes the work takes at its peak; it is checked before `make` starts. When
    /// `make` fails, what it left is removed. `name` should hold the key, for example `trixie-1a2b…`.
    pub fn get_or_make(
        &self,
        kind: &str,
        name: &str,
        need: u64,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<CacheEntry> {
        let lock_name = format!("{kind}.{name}");
        let mut wait = Wait::new(self, &lock_name);
        // The maker holds the lock exclusively, users share it: to wait for it exclusively would be to wait until all users
        // of the entry have ended.
        let lock = loop {
            if let Some(entry) = self.find(kind, name)? {
                return Ok(entry);
            }
            if let Some(lock) = self.try_lock(&lock_name)? {
                break lock;
            }
            wait.a_moment()?;
        };
        let path = self.root.join(kind).join(name);
        let mut fresh = false;
        if !path.exists() {
            let tmp = self.root.join(".tmp").join(format!("{kind}.{name}"));
            // We hold the entry's lock, so whatever is here was left by a run that was killed.
            fsutil::remove_all(&tmp)?;
            fsutil::require_space(&self.root, need)?;
            fs::create_dir_all(&tmp)?;
            if let Err(error) = make(&tmp) {
                let _ = fsutil::remove_all(&tmp);
                return Err(error);
            }
            fs::create_dir_all(self.root.join(kind))?;
            fs::rename(&tmp, &path)
                .with_context(|| format!("cannot move {} into place", path.display()))?;
            fresh = true;
        }
        flock(&lock, FlockOperation::LockShared)?;
        let _ = lock.set_modified(std::time::SystemTime::now());
        Ok(CacheEntry {
            path,
            fresh,
            _lock: lock,
        })
    }

    /// As [`get_or_make`](Self::get_or_make), for what each change of a source makes anew: a new entry replaces the one that was not used for longest,
    /// once there are eight. Otherwise a day's work fills the disk.
    pub fn get_or_make_latest(
        &self,
        kind: &str,
        name: &str,
        need: u64,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<CacheEntry> {
        let entry = self.get_or_make(kind, name, need, make)?;
        if entry.is_fresh() {
            self.keep_newest(kind, KEPT)?;
        }
        Ok(entry)
    }

    /// Every entry, half-made leftovers included (as kind `.tmp`).
    pub fn list(&self) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        if !self.root.exists() {
            return Ok(found);
        }
        for kind in fsutil::read_dir_sorted(&self.root)? {
            let kind_name = fsutil::name(&kind);
            if kind.is_dir() && kind_name != ".locks" {
                found.extend(self.list_kind(&kind_name)?);
            }
        }
        Ok(found)
    }

    fn list_kind(&self, kind: &str) -> Result<Vec<Listed>> {
        let entries = fsutil::read_dir_sorted(&self.root.join(kind))?.into_iter();
        let listed = entries.map(|path| {
            let name = fsutil::name(&path);
            let lock = self.root.join(".locks").join(format!("{kind}.{name}"));
            Listed {
                bytes: fsutil::size_on_disk(&path),
                used: fs::metadata(lock).and_then(|m| m.modified()).ok(),
                kind: kind.to_owned(),
                name,
                path,
            }
        });
        Ok(listed.collect())
    }

    /// Removes entries of a kind but for so many that were used last, and those in use.
    fn keep_newest(&self, kind: &str, count: usize) -> Result<()> {
        let mut listed = self.list_kind(kind)?;
        listed.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        for old in listed.iter().skip(count) {
            // Another run may be using it.
            let _ = self.remove(old);
        }
        Ok(())
    }

    /// Removes one listed entry; an entry in use by another run is refused.
    pub fn remove(&self, listed: &Listed) -> Result<()> {
        let lock_name = match listed.kind.as_str() {
            ".tmp" => listed.name.clone(),
            kind => format!("{kind}.{}", listed.name),
        };
        let lock = self.open_lock(&lock_name)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!(
                "{} is in use by another run; nothing was removed",
                listed.path.display()
            );
        }
        // Out of sight first: a run that dies during the removal leaves no half entry.
        let grave = self.root.join(".tmp").join(format!("gone.{}", listed.name));
        if listed.kind != ".tmp" {
            fsutil::remove_all(&grave)?;
            fs::rename(&listed.path, &grave)?;
            fsutil::remove_all(&grave)
        } else {
            fsutil::remove_all(&listed.path)
        }
    }
}

/// Waiting for a lock.
struct Wait<'c> {
    cache: &'c Cache,
    name: &'c str,
    since: Instant,
    told: bool,
}

impl<'c> Wait<'c> {
    fn new(cache: &'c Cache, name: &'c str) -> Self {
        Self {
            cache,
            name,
            since: Instant::now(),
            told: false,
        }
    }

    fn a_moment(&mut self) -> Result<()> {
        branches::check()?;
        if !self.told && self.since.elapsed() > QUIET {
            self.told = true;
            let path = self.cache.lock_path(self.name);
            let holder = fs::read_to_string(path).unwrap_or_default();
            // Another branch of this run shows its progress itself.
            if let (Some(ui), true) = (&self.cache.ui, holder != std::process::id().to_string()) {
                let name = self.name;
                ui.line(&format!(
                    "    note: waiting for process {holder}, another run that makes or uses {name}"
                ));
            }
        }
        std::thread::sleep(POLL);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("c")).unwrap();
        (dir, cache)
    }

    #[test]
    fn an_entry_is_made_once() {
        let (_dir, cache) = scratch();
        let first = cache
            .get_or_make("k", "n", 0, |d| Ok(fs::write(d.join("f"), "one")?))
            .unwrap();
        assert!(first.is_fresh());
        let second = cache
            .get_or_make("k", "n", 0, |_| bail!("made twice"))
            .unwrap();
        assert!(!second.is_fresh());
        assert_eq!(fs::read_to_string(second.join("f")).unwrap(), "one");
    }

    #[test]
    fn whoever_comes_second_waits_for_the_making_and_not_for_the_use() {
        let (_dir, cache) = scratch();
        let (tell, told) = std::sync::mpsc::channel();
        let made = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                cache.get_or_make("k", "n", 0, |_| {
                    tell.send(()).unwrap();
                    std::thread::sleep(Duration::from_millis(200));
                    made.store(true, std::sync::atomic::Ordering::SeqCst);
                    Ok(())
                })
            });
            told.recv().unwrap();
            let second = cache.get_or_make("k", "n", 0, |_| bail!("made twice"));
            assert!(!second.unwrap().is_fresh());
            assert!(made.load(std::sync::atomic::Ordering::SeqCst));
            // It is in use while the second one gets it, and a third.
            let first = first.join().unwrap().unwrap();
            let third = cache.get_or_make("k", "n", 0, |_| bail!("made twice"));
            assert!(first.is_fresh() && !third.unwrap().is_fresh());
        });
    }

    #[test]
    fn a_cache_that_nobody_puts_anything_into_is_not_made() {
        let (dir, cache) = scratch();
        assert!(cache.find("k", "n").unwrap().is_none() && cache.list().unwrap().is_empty());
        assert!(!dir.path().join("c").exists());
        cache.state_dir("logs").unwrap();
        assert!(dir.path().join("c/logs").is_dir());
    }

    #[test]
    fn a_failed_making_leaves_nothing() {
        let (_dir, cache) = scratch();
        let made = cache.get_or_make("k", "n", 0, |d| {
            fs::write(d.join("f"), "half")?;
            bail!("no")
        });
        assert!(made.is_err());
        assert!(cache.find("k", "n").unwrap().is_none());
        assert!(cache.list().unwrap().is_empty());
    }

    #[test]
    fn of_a_kind_the_newest_and_those_in_use_are_kept() {
        let (_dir, cache) = scratch();
        let make = |name| cache.get_or_make("k", name, 0, |_| Ok(()));
        let pause = || std::thread::sleep(std::time::Duration::from_millis(20));
        let held = make("used").unwrap();
        pause();
        for name in ["old", "new", "newest"] {
            drop(make(name).unwrap());
            pause();
        }
        // What is found again is new again.
        drop(make("old").unwrap());
        cache.keep_newest("k", 2).unwrap();
        let left: Vec<_> = cache.list_kind("k").unwrap();
        let names: Vec<_> = left.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["newest", "old", "used"]);
        drop(held);
    }

    #[test]
    fn an_entry_in_use_is_not_removed() {
        let (_dir, cache) = scratch();
        let entry = cache.get_or_make("k", "n", 0, |_| Ok(())).unwrap();
        let listed = cache.list().unwrap();
        assert!(cache.remove(&listed[0]).is_err());
        drop(entry);
        cache.remove(&listed[0]).unwrap();
        assert!(cache.find("k", "n").unwrap().is_none());
    }

    #[test]
    fn too_little_room_is_said_before_the_work() {
        let (_dir, cache) = scratch();
        let made = cache.get_or_make("k", "n", u64::MAX / 2, |_| panic!("started"));
        assert!(made.unwrap_err().to_string().contains("room"));
    }
}
