// SPDX-License-Identifier: GPL-2.0

//! A Debian package of a built kernel: image, configuration, symbols and modules, installed the way Debian's own kernel
//! packages are, with the same hooks (initramfs, boot loader).
//!
//! The kernel's own packaging wants debhelper and more; `dpkg-deb`, which is in every sandbox, is enough for this.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::fsutil;
use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::ui::Step;

/// The maintainer scripts, which run the hooks that belong to them. `linux-base` and initramfs tools live there.
const SCRIPTS: [&str; 4] = ["preinst", "postinst", "prerm", "postrm"];

/// Packs the kernel whose files are in `files` (with `usr/lib/modules/RELEASE`); returns the package.
pub fn make(
    session: &Session,
    step: &Step,
    sandbox: &Sandbox,
    files: &Path,
    release: &str,
    to: &Path,
) -> Result<PathBuf> {
    let tree = tempfile::tempdir_in(to)?;
    let root = tree.path().join("package");
    let modules = files.join("usr/lib/modules").join(release);
    for (from, name) in [
        ("vmlinuz", "vmlinuz"),
        ("config", "config"),
        ("System.map", "System.map"),
    ] {
        let target = root.join("boot").join(format!("{name}-{release}"));
        copy(&modules.join(from), &target)?;
    }
    for entry in walkdir::WalkDir::new(&modules) {
        let entry = entry?;
        let relative = entry.path().strip_prefix(&modules)?;
        let name = relative.to_string_lossy();
        // depmod's lists are made where the package is installed.
        let made_there = name.starts_with("modules.")
            && ![
                "modules.order",
                "modules.builtin",
                "modules.builtin.modinfo",
            ]
            .contains(&name.as_ref());
        let elsewhere = ["vmlinuz", "config", "System.map"].contains(&name.as_ref());
        if entry.file_type().is_file() && !made_there && !elsewhere {
            let target = root.join("usr/lib/modules").join(release).join(relative);
            copy(entry.path(), &target)?;
        }
    }
    let control = root.join("DEBIAN");
    fs::create_dir_all(&control)?;
    fs::write(
        control.join("control"),
        control_file(release, fsutil::size_on_disk(&root) / 1024),
    )?;
    for name in SCRIPTS {
        fsutil::write_script(&control.join(name), &maintainer_script(name, release))?;
    }
    let name = format!("linux-image-{}_amd64.deb", package_version(release));
    let mut pack = sandbox
        .command("dpkg-deb")
        .args(["--root-owner-group", "-Zzstd", "--build", "/in/package"])
        .arg(format!("/in/{name}"))
        .bind(tree.path(), "/in")
        .build()?;
    process::run(
        step,
        "making the package",
        &mut pack,
        &session.log("kernel-package"),
    )?;
    let package = to.join(&name);
    fs::rename(tree.path().join(&name), &package)?;
    Ok(package)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o644))?;
    Ok(())
}

/// `RELEASE_VERSION`, the two parts of a package's file name that differ from kernel to kernel.
fn package_version(release: &str) -> String {
    format!("{release}_{}-1", crate::resolve::base_version(release))
}

fn control_file(release: &str, kib: u64) -> String {
    let version = crate::resolve::base_version(release);
    format!(
        "Package: linux-image-{release}\nVersion: {version}-1\nArchitecture: amd64\nSection: kernel\nPriority: optional\n\
         Maintainer: Paravane <root@localhost>\nInstalled-Size: {kib}\nDepends: kmod, linux-base\n\
         Recommends: initramfs-tools | dracut\nDescription: Linux {release} with Paravane's overlay\n \
         The kernel with objects of its Xen code replaced by ones that are written\n in Rust, and Xen drivers in Rust \
         as modules.\n"
    )
}

/// What Debian's scripts do: `linux-base` sees to the links to the newest kernel, the hooks to initramfs and boot loader, and what
/// depmod made is nobody's but ours to remove.
fn maintainer_script(name: &str, release: &str) -> String {
    let image = format!("/boot/vmlinuz-{release}");
    let modules = format!("/usr/lib/modules/{release}");
    let (before, after) = match name {
        "postinst" => (
            format!("depmod {release}\nlinux-update-symlinks install {release} {image}\n"),
            String::new(),
        ),
        "prerm" => (
            format!("[ \"$1\" = remove ] || exit 0\nlinux-check-removal {release}\n"),
            String::new(),
        ),
        "postrm" => (
            format!(
                "case \"$1\" in remove|purge) ;; *) exit 0 ;; esac\n\
                 if command -v linux-update-symlinks >/dev/null; then\n    \
                 linux-update-symlinks remove {release} {image}\nfi\n"
            ),
            format!(
                "if [ -d {modules} ]; then\n    rm -f {modules}/modules.*\n    \
                 rmdir --ignore-fail-on-non-empty {modules}\nfi\n"
            ),
        ),
        _ => Default::default(),
    };
    format!(
        "#!/bin/sh\nset -e\nexport DEB_MAINT_PARAMS=\"$*\" INITRD=Yes\n{before}\
         if [ -d /etc/kernel/{name}.d ]; then\n    run-parts --arg={release} --arg={image} \
         /etc/kernel/{name}.d\nfi\n{after}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_debians() {
        assert_eq!(package_version("7.2.12-overlay"), "7.2.12-overlay_7.2.12-1");
        let control = control_file("7.2.12-overlay", 1000);
        assert!(control.contains("Package: linux-image-7.2.12-overlay\nVersion: 7.2.12-1\n"));
        assert!(control.lines().all(|line| !line.is_empty()));
        assert!(maintainer_script("postinst", "7.2.12-overlay").contains("depmod"));
        assert!(!maintainer_script("prerm", "7.2.12-overlay").contains("depmod"));
    }

    #[test]
    fn removing_takes_away_what_installing_made() {
        let script = maintainer_script("postrm", "7.2.12-overlay");
        assert!(script.contains("rm -f /usr/lib/modules/7.2.12-overlay/modules.*"));
        assert!(script.contains("linux-update-symlinks remove 7.2.12-overlay"));
    }
}
