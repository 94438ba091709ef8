// SPDX-License-Identifier: GPL-2.0

//! Reads, writes, flushes and discards, to disks that come and go.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::Duration;

use fastrand::Rng;
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open};
use rustix::io::Errno;

/// Programs that use one disk at a time.
const USERS: u64 = 3;

/// The longest transfer in bytes.
const LONGEST: usize = 256 << 10;

/// What direct transfers have to be aligned to.
const ALIGN: usize = 4096;

/// Uses each disk from when it comes until it goes.
pub fn use_for_ever() -> io::Result<()> {
    let in_use: Arc<Mutex<BTreeSet<PathBuf>>> = Arc::default();
    loop {
        for entry in fs::read_dir("/sys/block")?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = Path::new("/dev").join(&name);
            if !name.starts_with("xvd") || !path.exists() {
                continue;
            }
            if !lock(&in_use).insert(path.clone()) {
                continue;
            }
            let in_use = in_use.clone();
            thread::spawn(move || {
                thread::scope(|scope| {
                    for user in 0..USERS {
                        let path = &path;
                        scope.spawn(move || use_disk(path, user));
                    }
                });
                lock(&in_use).remove(&path);
            });
        }
        sleep(Duration::from_millis(30));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Uses a disk until it is gone.
fn use_disk(path: &Path, user: u64) {
    let mut rng = Rng::with_seed(user);
    loop {
        match use_once(path, user, &mut rng) {
            // To open it once more would have the kernel look for another driver.
            Err(error) if is_gone(&error) => return,
            // A disk that fails is used on, as programs do.
            _ => sleep(Duration::from_millis(2)),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::NOENT, Errno::NXIO, Errno::NODEV].contains(&errno))
}

fn use_once(path: &Path, user: u64, rng: &mut Rng) -> io::Result<()> {
    let flags = match user {
        // One goes through the page cache.
        0 => OFlags::RDWR,
        _ => OFlags::RDWR | OFlags::DIRECT,
    };
    let mut file = File::from(open(path, flags, Mode::empty())?);
    let mut memory = vec![0xa5; LONGEST + ALIGN];
    let start = memory.as_ptr().align_offset(ALIGN);
    for _ in 0..20 {
        let at = rng.u64(..480) * ALIGN as u64;
        let len = ALIGN << rng.u8(..7);
        let buffer = &mut memory[start..start + len.min(LONGEST)];
        file.seek(SeekFrom::Start(at))?;
        match rng.u8(..10) {
            0..=3 => file.read_exact(buffer)?,
            4..=6 => file.write_all(buffer)?,
            7 => file.sync_data()?,
            8 => fallocate(
                &file,
                FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                at,
                len as u64,
            )?,
            _ => fallocate(
                &file,
                FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE,
                at,
                len as u64,
            )?,
        }
    }
    Ok(())
}
