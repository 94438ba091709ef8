// SPDX-License-Identifier: GPL-2.0

//! The folder that the Debian source package is made of: `linux-pv` with links followed, so that nothing else of the work tree
//! is needed, what DKMS runs, settings, and `debian`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::version::TreeVersion;
use crate::fsutil::{read_text, write_script};
use crate::own;
use crate::resolve;
use crate::stage;

/// Below the work tree's root.
const PACKAGING: &str = "kbuild/packaging";

/// What of it belongs into the source package.
const FOLDERS: [&str; 3] = ["config", "debian", "dkms"];

/// What the packages' scripts share, below `kbuild/packaging`.
const SHARED: &str = "debian/remake-initramfs.in";

/// Scripts, which everybody may run.
const SCRIPTS: [&str; 5] = [
    "debian/rules",
    "dkms/build",
    "dkms/metadata",
    "dkms/rustc-without-code",
    "debian/xen-rs-common.initramfs-hook",
];

/// Who answers for the packages: as Debian's own tools, by two variables. A packager has both set.
fn maintainer() -> String {
    let variable = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let name = variable("DEBFULLNAME", "Paravane maintainers");
    format!("{name} <{}>", variable("DEBEMAIL", "paravane@example.org"))
}

/// Which source package.
pub struct Tree<'a> {
    /// The work tree.
    pub workspace: &'a Path,
    /// The version of all packages.
    pub version: &'a TreeVersion,
    /// The kernel whose modules get a package, as `uname -r` says it.
    pub release: &'a str,
    /// The oldest series that modules are built for, as `7.2`.
    pub min_series: &'a str,
    /// The modules' names.
    pub modules: &'a [String],
}

impl Tree<'_> {
    /// Writes the folder.
    pub fn write(&self, to: &Path) -> Result<()> {
        stage::sync(&self.workspace.join("linux-pv"), &to.join("linux-pv"))?;
        fs::remove_file(to.join("linux-pv").join(stage::MANIFEST))?;
        let packaging = self.workspace.join(PACKAGING);
        let shared = read_text(&packaging.join(SHARED))?;
        let all = FOLDERS.map(|folder| walkdir::WalkDir::new(packaging.join(folder)));
        for entry in all
            .into_iter()
            .flat_map(|folder| folder.sort_by_file_name())
        {
            let entry = entry.context("the work tree has no kbuild/packaging")?;
            let name = entry.path().strip_prefix(&packaging)?;
            if entry.file_type().is_file() {
                let text = read_text(entry.path())?.replace("@REMAKE_INITRAMFS@\n", &shared);
                self.write_file(to, &name.to_string_lossy(), &text)?;
            }
        }
        self.write_control(to)?;
        fs::write(to.join("debian/changelog"), self.changelog())?;
        Ok(())
    }

    /// Writes a file as it is, or what is to be made of it.
    fn write_file(&self, to: &Path, name: &str, text: &str) -> Result<()> {
        let file = match name {
            // Where debhelper looks for it.
            "config/initramfs-hook" => "debian/xen-rs-common.initramfs-hook".to_owned(),
            "debian/control.in" | "debian/modules.control.in" | SHARED => return Ok(()),
            _ => match name.strip_prefix("debian/modules.") {
                Some(script) => format!(
                    "debian/xen-rs-modules-{}.{}",
                    self.release,
                    script.trim_end_matches(".in")
                ),
                None => name.to_owned(),
            },
        };
        let mut text = self.fill_in(text);
        if file == "dkms/dkms.conf" {
            text += &self.built_modules();
        }
        let path = to.join(&file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        match SCRIPTS.contains(&file.as_str()) {
            true => write_script(&path, &text),
            false => Ok(fs::write(path, text)?),
        }
    }

    fn fill_in(&self, text: &str) -> String {
        text.replace("@MAINTAINER@", &maintainer())
            .replace("@RELEASE@", self.release)
            .replace("@MIN_SERIES@", self.min_series)
            .replace("@OPTIONS@", &own::all_options().join(" "))
    }

    /// The names that dkms.conf has of the modules: DKMS fails if one is not built.
    fn built_modules(&self) -> String {
        let line = |(number, name): (usize, &String)| {
            format!(
                "BUILT_MODULE_NAME[{number}]=\"{name}\"\nBUILT_MODULE_LOCATION[{number}]=\"linux-pv\"\n\
                 DEST_MODULE_LOCATION[{number}]=\"/updates\"\n"
            )
        };
        self.modules.iter().enumerate().map(line).collect()
    }

    fn write_control(&self, to: &Path) -> Result<()> {
        let from = self.workspace.join(PACKAGING).join("debian");
        let control = ["control.in", "modules.control.in"]
            .map(|name| read_text(&from.join(name)))
            .into_iter()
            .collect::<Result<Vec<_>>>()?
            .concat();
        let control = self
            .fill_in(&control)
            .replace("@SERIES@", &resolve::series_of(self.release));
        Ok(fs::write(to.join("debian/control"), control)?)
    }

    fn changelog(&self) -> String {
        format!(
            "xen-rs ({}) UNRELEASED; urgency=medium\n\n  * Built from Paravane's work tree.\n\n \
             -- {}  {}\n",
            self.version.text,
            maintainer(),
            self.version.date
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guide;
    use crate::process;
    use std::process::Command;

    const RELEASE: &str = "7.3.4+deb13-amd64";

    fn workspace() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// A source package's folder for two modules.
    fn written() -> (tempfile::TempDir, TreeVersion) {
        let dir = tempfile::tempdir().unwrap();
        let version = TreeVersion {
            text: "1.2+git20261130".into(),
            date: "Mon, 30 Nov 2026 12:00:00 +0000".into(),
        };
        let tree = Tree {
            workspace: &workspace(),
            version: &version,
            release: RELEASE,
            min_series: "7.2",
            modules: &["xen_blkfront_rs".into(), "xen_rs".into()],
        };
        tree.write(dir.path()).unwrap();
        (dir, version)
    }

    #[test]
    fn nothing_is_left_to_be_filled_in() {
        let (dir, _) = written();
        let mut count = 0;
        for folder in FOLDERS {
            for entry in walkdir::WalkDir::new(dir.path().join(folder)) {
                let entry = entry.unwrap();
                if entry.file_type().is_file() {
                    let text = read_text(entry.path()).unwrap();
                    let name = entry.path().display();
                    for word in text.split_whitespace() {
                        let mark = word.split('@').nth(1).unwrap_or_default();
                        let is_mark = mark.len() > 2
                            && mark.chars().all(|c| c.is_ascii_uppercase() || c == '_');
                        assert!(!is_mark, "{name}: {word}");
                    }
                    assert!(!entry.path().to_string_lossy().ends_with(".in"), "{name}");
                    count += 1;
                }
            }
        }
        assert!(count > 15, "{count}");
    }

    #[test]
    fn the_packages_are_named_after_the_kernel_and_its_modules() {
        let (dir, version) = written();
        let text = |name: &str| read_text(&dir.path().join(name)).unwrap();
        let control = text("debian/control");
        assert!(control.contains(&format!("\nPackage: xen-rs-modules-{RELEASE}\n")));
        assert!(control.contains("linux-source-7.3,"));
        assert!(text("debian/changelog").starts_with(&format!("xen-rs ({}) ", version.text)));
        let script = text(&format!("debian/xen-rs-modules-{RELEASE}.postinst"));
        assert!(script.contains(&format!("depmod {RELEASE}\n")));
        for script in [
            "modules-7.3.4+deb13-amd64.postrm",
            "dkms.postinst",
            "dkms.prerm",
        ] {
            let script = text(&format!("debian/xen-rs-{script}"));
            assert!(script.contains("\nremake_initramfs() {\n"), "{script}");
        }
        let conf = text("dkms/dkms.conf");
        assert!(conf.contains("BUILT_MODULE_NAME[1]=\"xen_rs\"\n"));
        assert!(conf.contains("BUILD_EXCLUSIVE_KERNEL_MIN=\"7.2\"\n"));
        assert!(conf.contains("CONFIG_RUST CONFIG_XEN "));
        // DKMS reads it as bash does.
        let mut bash = Command::new("bash");
        bash.args([
            "-c",
            ". ./dkms.conf && echo ${#BUILT_MODULE_NAME[@]} ${MAKE[0]}",
        ]);
        bash.current_dir(dir.path().join("dkms"));
        bash.env("kernelver", "K").env("kernel_source_dir", "D");
        let said = process::output("reading dkms.conf", &mut bash).unwrap();
        assert_eq!(said, "2 sh dkms/build K D\n");
    }

    #[test]
    fn the_source_needs_nothing_outside_of_its_folder() {
        let (dir, _) = written();
        for file in [
            "linux-pv/Kbuild",
            "linux-pv/abi/xen_abi.rs",
            "dkms/left-out",
        ] {
            assert!(dir.path().join(file).is_file(), "{file}");
        }
        let links = walkdir::WalkDir::new(dir.path()).into_iter().flatten();
        assert_eq!(links.filter(|entry| entry.path_is_symlink()).count(), 0);
        for script in SCRIPTS {
            let path = dir.path().join(script);
            assert!(path.is_file(), "{script}");
            if !script.ends_with("rules") {
                let mut sh = Command::new("sh");
                process::output(script, sh.arg("-n").arg(path)).unwrap();
            }
        }
    }

    #[test]
    fn the_settings_are_those_of_the_guide() {
        let recipe = guide::recipe("modprobe").unwrap();
        let (_, rest) = recipe.split_once("for m in ").unwrap();
        let (modules, rest) = rest.split_once("; do").unwrap();
        let line = rest.split('"').nth(1).unwrap();
        let wanted: Vec<_> = modules
            .split(' ')
            .map(|module| line.replace("${m}", module).replace("$m", module))
            .collect();
        let settings = read_text(&workspace().join("kbuild/packaging/config/xen-rs.conf")).unwrap();
        let lines: Vec<_> = settings
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert_eq!(lines, wanted);
        let dracut = guide::recipe("dracut").unwrap();
        let ours = read_text(&workspace().join("kbuild/packaging/config/50-xen-rs.conf")).unwrap();
        let line = ours.lines().last().unwrap();
        assert!(dracut.contains(line), "{line}");
    }
}
