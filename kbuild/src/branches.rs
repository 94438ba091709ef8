// SPDX-License-Identifier: GPL-2.0

//! Work in branches that run side by side. The first branch that fails ends the whole at once: the commands of
//! the others are stopped, and its error is the one that is reported.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Error, Result};
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a command may take to end when it is asked to, before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The whole program, in which everything runs that no branch started.
static PROGRAM: Mutex<Option<Arc<Fork>>> = Mutex::new(None);

thread_local! {
    /// The fork that this thread is a branch of.
    static CURRENT: RefCell<Option<Arc<Fork>>> = const { RefCell::new(None) };
}

/// Why work ended that did not fail itself: another branch did, or the user interrupted the program.
#[derive(Clone, Copy, Debug)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped, because something else failed")
    }
}

impl std::error::Error for Stopped {}

/// Several branches and what they run.
#[derive(Default)]
struct Fork {
    parent: Option<Arc<Fork>>,
    stopped: AtomicBool,
    /// The process groups of the commands that run in it, in the branches of its branches too.
    running: Mutex<BTreeSet<i32>>,
    /// The error that ended it.
    first: Mutex<Option<Error>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fork {
    fn current() -> Arc<Self> {
        let own = CURRENT.with_borrow(Clone::clone);
        own.unwrap_or_else(|| lock(&PROGRAM).get_or_insert_default().clone())
    }

    fn lineage(self: &Arc<Self>) -> impl Iterator<Item = Arc<Self>> + use<> {
        std::iter::successors(Some(self.clone()), |fork| fork.parent.clone())
    }

    fn is_stopped(self: &Arc<Self>) -> bool {
        self.lineage()
            .any(|fork| fork.stopped.load(Ordering::SeqCst))
    }

    fn signal(&self, signal: Signal) {
        // The lock is held meanwhile: a group that is in the set has not been waited for, so its number is still its own.
        for group in lock(&self.running).iter() {
            if let Some(group) = Pid::from_raw(*group) {
                // It may have ended by itself.
                let _ = kill_process_group(group, signal);
            }
        }
    }

    fn stop(self: &Arc<Self>) {
        if self.stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        self.signal(Signal::TERM);
        let fork = self.clone();
        thread::spawn(move || {
            thread::sleep(PATIENCE);
            fork.signal(Signal::KILL);
        });
    }

    fn fail(self: &Arc<Self>, error: Error) {
        // What was only stopped is not the reason.
        if !error.is::<Stopped>() {
            lock(&self.first).get_or_insert(error);
        }
        self.stop();
    }
}

/// An error if this branch is to end, because another one failed.
pub fn check() -> Result<()> {
    match Fork::current().is_stopped() {
        true => Err(Stopped.into()),
        false => Ok(()),
    }
}

/// Stops the commands of the whole program and gives them a moment to clean up: for an interrupt by the user. Returns
/// whether there were any, so that the threads that wait for them end by themselves.
pub fn stop_everything() -> bool {
    let program = lock(&PROGRAM).get_or_insert_default().clone();
    let any = !lock(&program.running).is_empty();
    program.stop();
    for _ in 0..PATIENCE.as_millis() / 20 {
        if lock(&program.running).is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    any
}

/// Whether [`stop_everything`] was called.
pub fn is_everything_stopped() -> bool {
    let program = lock(&PROGRAM).clone();
    program.is_some_and(|program| program.stopped.load(Ordering::SeqCst))
}

/// A command's process group, which ends when its branch is to end; taken out of that list when dropped, which has to
/// be before the process is waited for.
pub(crate) struct Group {
    fork: Arc<Fork>,
    number: i32,
}

impl Group {
    /// Puts a process group that was just made into the list of this thread's branch.
    pub(crate) fn of(child: &std::process::Child) -> Self {
        let number = i32::try_from(child.id()).unwrap_or(i32::MAX);
        let fork = Fork::current();
        for each in fork.lineage() {
            lock(&each.running).insert(number);
        }
        // The branch may have been stopped after the process was made and before it was in the list.
        if fork.is_stopped() {
            fork.signal(Signal::TERM);
        }
        Self { fork, number }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for each in self.fork.lineage() {
            lock(&each.running).remove(&self.number);
        }
    }
}

/// Branches that are being started.
pub struct Branches<'scope, 'env: 'scope> {
    scope: &'scope Scope<'scope, 'env>,
    fork: Arc<Fork>,
}

/// A branch that was started.
pub struct Branch<'scope, T>(ScopedJoinHandle<'scope, Option<T>>);

impl<'scope> Branches<'scope, '_> {
    /// Starts a branch. Its error ends all the others.
    pub fn spawn<T: Send + 'scope>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'scope,
    ) -> Branch<'scope, T> {
        let fork = self.fork.clone();
        Branch(self.scope.spawn(move || {
            CURRENT.set(Some(fork.clone()));
            work().map_err(|error| fork.fail(error)).ok()
        }))
    }

    /// Starts a branch with a low priority, which its commands inherit: the others get the processors first.
    pub fn spawn_behind<T: Send + 'scope>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'scope,
    ) -> Branch<'scope, T> {
        self.spawn(|| {
            // On Linux this is the priority of the calling thread alone. If it cannot be changed, the branch only runs faster.
            let _ = rustix::process::nice(10);
            work()
        })
    }
}

impl<T> Branch<'_, T> {
    /// Waits for what the branch makes.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if this branch or another one failed. [`fork`] reports why.
    pub fn join(self) -> Result<T> {
        let made = self.0.join().unwrap_or_else(|panic| resume_unwind(panic));
        made.ok_or_else(|| Stopped.into())
    }
}

/// Runs `work`, which starts branches and waits for them; it is a branch itself.
///
/// # Errors
///
/// That of the branch that failed first. By then all of them have ended.
pub fn fork<'env, T>(
    work: impl for<'scope> FnOnce(&Branches<'scope, 'env>) -> Result<T>,
) -> Result<T> {
    let parent = Fork::current();
    let fork = Arc::new(Fork {
        parent: Some(parent),
        ..Fork::default()
    });
    let outer = CURRENT.replace(Some(fork.clone()));
    let made = thread::scope(|scope| {
        let branches = Branches {
            scope,
            fork: fork.clone(),
        };
        let made = work(&branches);
        made.map_err(|error| fork.fail(error)).ok()
    });
    CURRENT.set(outer);
    match (lock(&fork.first).take(), made) {
        (Some(error), _) => Err(error),
        (None, Some(made)) => Ok(made),
        (None, None) => Err(Stopped.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ui;
    use crate::process;
    use anyhow::bail;
    use std::process::Command;
    use std::time::Instant;

    fn sleep(log: &std::path::Path) -> Result<()> {
        let step = Ui::new(false).step("test");
        let mut command = Command::new("sh");
        // The shell has a child, which has to end with it.
        command.args(["-c", "sleep 60; true"]);
        process::run(&step, "sleeping", &mut command, log)
    }

    #[test]
    fn results_come_back_in_order() {
        let sum = fork(|branches| {
            let one = branches.spawn(|| Ok(1));
            let two = branches.spawn(|| Ok(2));
            Ok((one.join()?, two.join()?))
        });
        assert_eq!(sum.unwrap(), (1, 2));
    }

    #[test]
    fn the_first_failure_stops_the_commands_of_all_branches_and_is_the_one_reported() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let started = Instant::now();
        let failed: Result<()> = fork(|branches| {
            let long = branches.spawn(|| fork(|inner| inner.spawn(|| sleep(&log)).join()));
            let short = branches.spawn(|| -> Result<()> {
                thread::sleep(Duration::from_millis(300));
                bail!("the reason")
            });
            long.join()?;
            short.join()
        });
        assert_eq!(failed.unwrap_err().to_string(), "the reason");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_failure_of_the_work_itself_stops_the_branches() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let failed: Result<()> = fork(|branches| {
            let long = branches.spawn(|| sleep(&log));
            thread::sleep(Duration::from_millis(200));
            if log.exists() {
                bail!("no need for it");
            }
            long.join()
        });
        assert_eq!(failed.unwrap_err().to_string(), "no need for it");
    }

    #[test]
    fn nothing_new_is_started_in_a_branch_that_was_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let failed: Result<()> = fork(|branches| {
            let late = branches.spawn(|| {
                while check().is_ok() {
                    thread::sleep(Duration::from_millis(5));
                }
                assert!(sleep(&log).unwrap_err().is::<Stopped>());
                Ok(())
            });
            branches
                .spawn(|| -> Result<()> { bail!("the reason") })
                .join()?;
            late.join()
        });
        assert_eq!(failed.unwrap_err().to_string(), "the reason");
        assert!(check().is_ok(), "what comes after goes on");
    }
}
