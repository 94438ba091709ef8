// SPDX-License-Identifier: GPL-2.0

//! The machine we run on: which programs it has, which it lacks, and whether it lets us make sandboxes.

mod needs;
mod prerequisites;
mod secure_boot;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, bail};

use crate::process;
use crate::session::Session;

pub use needs::{Memory, Needs};
pub use secure_boot::Signatures;

/// Programs needed on the machine itself, with the Debian packages that bring them. Everything else is in the
/// sandbox.
const NEEDED: [(&str, &str); 7] = [
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("bwrap", "bubblewrap"),
    ("setpriv", "util-linux"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
];

/// Needed for a Debian whose packages are configured, as the scenarios of fresh machines and of the guides have it.
const NEEDED_TO_CONFIGURE: [(&str, &str); 2] = [
    ("mmdebstrap", "mmdebstrap"),
    // A bare root lacks it, and mmdebstrap then makes a system without /proc for the packages' scripts.
    ("mount", "mount"),
];

/// The same when we are not root: it maps the many user ids of a root file system.
const NEEDED_ROOTLESS: [(&str, &str); 1] = [("newuidmap", "uidmap")];

/// Whether we run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where a program is, looking at the places of administration tools too.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Debian packages that are missing here.
pub fn missing_packages() -> Vec<&'static str> {
    let mut missing = missing_of(&NEEDED);
    if crate::mirror::keyring().is_err() {
        missing.push("debian-archive-keyring");
    }
    if !Path::new("/etc/ssl/certs/ca-certificates.crt").exists() {
        missing.push("ca-certificates");
    }
    missing
}

/// Debian packages that are missing here for [`prepare_to_configure`].
pub fn missing_to_configure() -> Vec<&'static str> {
    let mut missing = missing_of(&NEEDED_TO_CONFIGURE);
    if !is_root() {
        missing.extend(missing_of(&NEEDED_ROOTLESS));
    }
    missing
}

fn missing_of(needed: &[(&str, &'static str)]) -> Vec<&'static str> {
    let missing = needed
        .iter()
        .filter(|(program, _)| find_program(program).is_none());
    missing.map(|(_, package)| *package).collect()
}

/// Makes sure that the machine has what we need: as root by installing it, otherwise by saying what to install.
pub fn prepare(session: &Session) -> Result<()> {
    install(session, &missing_packages)
}

/// Makes sure that a Debian with configured packages can be made, in the same way.
pub fn prepare_to_configure(session: &Session) -> Result<()> {
    install(session, &missing_to_configure)?;
    if is_root() { Ok(()) } else { subordinate_ids() }
}

fn install(
    session: &Session,
    what_is_missing: &(dyn Fn() -> Vec<&'static str> + Sync),
) -> Result<()> {
    let missing = what_is_missing();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if find_program("apt-get").is_none() {
        bail!(
            "this machine lacks {list} and has no apt-get: Paravane's sandbox needs a Debian machine or container"
        );
    }
    if !is_root() {
        bail!(
            "this machine lacks some packages. As root, run:\n    apt-get update && apt-get install {list}"
        );
    }
    prerequisites::Prerequisites {
        missing: what_is_missing,
        apt: &prerequisites::apt_get,
        patience: prerequisites::patience(),
    }
    .install(session)
}

/// How bubblewrap works on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Containment {
    /// A user namespace can be made.
    pub user_namespace: bool,
    /// A new /proc can be mounted; some containers forbid that.
    pub fresh_proc: bool,
}

/// Finds out how bubblewrap works here, or says what forbids it. Asked once a run.
pub fn containment() -> Result<Containment> {
    static FOUND: OnceLock<std::result::Result<Containment, String>> = OnceLock::new();
    FOUND
        .get_or_init(|| probe().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(anyhow::Error::msg)
}

fn probe() -> Result<Containment> {
    let mut first_error = String::new();
    for user_namespace in [true, false] {
        for fresh_proc in [true, false] {
            let mut command = Command::new("bwrap");
            command.args([
                "--ro-bind",
                "/",
                "/",
                "--unshare-pid",
                "--unshare-net",
                "--unshare-ipc",
            ]);
            if user_namespace {
                command.args(["--unshare-user", "--uid", "0", "--gid", "0"]);
            } else if !is_root() {
                continue;
            }
            if fresh_proc {
                command.args(["--proc", "/proc"]);
            } else {
                command.args(["--ro-bind", "/proc", "/proc"]);
            }
            command.args(["--dev", "/dev", "--die-with-parent", "true"]);
            match process::output("bwrap", &mut command) {
                Ok(_) => {
                    return Ok(Containment {
                        user_namespace,
                        fresh_proc,
                    });
                }
                Err(error) if first_error.is_empty() => first_error = format!("{error:#}"),
                Err(_) => (),
            }
        }
    }
    let mut advice = String::new();
    if read_number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        advice += "\n  as root: sysctl kernel.unprivileged_userns_clone=1";
    }
    if read_number("/proc/sys/user/max_user_namespaces") == Some(0) {
        advice += "\n  as root: sysctl user.max_user_namespaces=10000";
    }
    if read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        advice += "\n  as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0";
    }
    if advice.is_empty() {
        advice = "\n  in a container: start it with --privileged, or with --cap-add=SYS_ADMIN --security-opt seccomp=unconfined \
                  --security-opt apparmor=unconfined"
            .into();
    }
    bail!(
        "bubblewrap cannot make namespaces here:\n{first_error}\nWhat to do:{advice}\n  or run this as root"
    )
}

fn read_number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Whether this user may use the many ids that a root file system's owners need (see subuid(5)).
pub fn subordinate_ids() -> Result<()> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let name = process::output("looking up the user's name", Command::new("id").arg("-un"))
        .unwrap_or_default();
    let name = name.trim();
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if !has_range(&text, &[name, &uid]) {
            let user = if name.is_empty() { &uid } else { name };
            bail!(
                "{file} has no range of 65536 ids for this user. As root: usermod --add-subuids 100000-165535 \
                 --add-subgids 100000-165535 {user}"
            );
        }
    }
    Ok(())
}

/// Whether lines `NAME:FIRST:COUNT` give one of the names a range that covers a system's ids.
fn has_range(text: &str, names: &[&str]) -> bool {
    text.lines().any(|line| {
        let mut fields = line.split(':');
        let (Some(name), Some(_first), Some(count)) = (fields.next(), fields.next(), fields.next())
        else {
            return false;
        };
        names.contains(&name)
            && count
                .trim()
                .parse::<u64>()
                .is_ok_and(|count| count >= 65_536)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_or_number() {
        let text = "root:100000:65536\nann:165536:65536\n1001:231072:65536\nbob:1:10\n";
        assert!(has_range(text, &["ann", "1000"]) && has_range(text, &["cleo", "1001"]));
        assert!(!has_range(text, &["bob", "1002"]) && !has_range("", &["ann"]));
    }
}
