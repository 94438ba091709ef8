// SPDX-License-Identifier: GPL-2.0

//! Keeping other programs of the machine out of the measurement, as far as that is permitted.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, setpriority_process};

/// As urgent as programs become without being real-time ones; the desktop stays usable.
const NICE: i32 = -15;

/// Raises the priority of this process and of all it has started, QEMU among them, and says whether it could.
///
/// The kernel weighs sessions before it weighs the processes in them (autogroups), and QEMU's sandbox is a session
/// of its own; so the nice value of each process's session has to be set too, where there is such a thing.
pub fn raise() -> &'static str {
    let mut raised = true;
    let mut waiting = vec!["self".to_owned()];
    while let Some(process) = waiting.pop() {
        let folder = PathBuf::from("/proc").join(process);
        let autogroup = folder.join("autogroup");
        if autogroup.exists() {
            raised &= fs::write(autogroup, NICE.to_string()).is_ok();
        }
        // To Linux a nice value belongs to a thread.
        for thread in fs::read_dir(folder.join("task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let id = thread.file_name().to_string_lossy().parse().ok();
            raised &= setpriority_process(id.and_then(Pid::from_raw), NICE).is_ok();
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            waiting.extend(children.split_whitespace().map(str::to_owned));
        }
    }
    if raised {
        "raised"
    } else {
        "normal, for raising it was not permitted"
    }
}
