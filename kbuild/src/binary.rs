// SPDX-License-Identifier: GPL-2.0

//! Rust metadata for a distribution's binary kernel.
//!
//! The headers package of a stock kernel has its configuration and its exported symbols, but not the `.rmeta`
//! files rustc wants. Those come out of the kernel's own source with the kernel's own configuration and
//! compiler; that they match is seen when modules are linked ([`crate::symbols`]). No code of the kernel is built for this.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::cache::CacheEntry;
use crate::config::Profile;
use crate::deb;
use crate::digest::Digest;
use crate::fsutil::{self, read_text};
use crate::kconfig::KConfig;
use crate::kernel_packages;
use crate::process::{self, Running};
use crate::resolve::{self, KernelPackages};
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::symbols;
use crate::ui::Step;

/// Room for the trimmed source and the prepared build folder, in bytes.
const ROOM: u64 = 2_500_000_000;

/// Parts of the source that neither the preparation nor a module's build reads: drivers' code, other architectures, documentation,
/// and all tests but those of network devices, which run in machines ([`crate::image`]). Without them unpacking is three times
/// faster. Kconfig files stay, all of them are read; so do some drivers' headers, which the kernel's own Rust bindings read.
///
/// tar's patterns, below the source's top folder; a star matches slashes too.
const LEFT_OUT: &str = include_str!("../packaging/dkms/left-out");

/// Finds or makes the folder with `src` (trimmed) and `O` (prepared) for a kernel. The sandbox is only needed when
/// everything is unpacked.
pub fn metadata(
    session: &Session,
    profile: &Profile,
    packages: &KernelPackages,
) -> Result<CacheEntry> {
    let release = &packages.release;
    let suite = session.config.suite(&profile.suite)?;
    let tools = packages.tools.as_ref();
    let key = Digest::new("metadata", 5)
        .with("source", &packages.source.sha256)
        .with("headers", &packages.headers.sha256)
        .with("tools", tools.map_or("", |package| &package.sha256))
        .with("sandbox", Sandbox::name(session, suite)?)
        .with_all("left out", LEFT_OUT.lines())
        .hex();
    session.cache.get_or_make("devel", &format!("{release}-{key}"), ROOM, |dir| {
        let title = format!("Making Rust metadata for {release}");
        let step = session.ui.step_before(title, "our modules");
        let packed = tempfile::tempdir_in(dir)?;
        let fetched = kernel_packages::fetch(session, profile, packages)?;
        let [source, others @ ..] = fetched.as_slice() else { bail!("the download gave no files") };
        deb::unpack(others, packed.path())?;
        let headers = packed.path().join("usr/src").join(format!("linux-headers-{release}"));
        let config = read_text(&headers.join(".config"))?;
        let symvers = read_text(&headers.join("Module.symvers"))?;
        if !symbols::are_exported(&symvers) {
            bail!("the kernel {release} exports no Rust symbol: it cannot load Rust modules");
        }
        step.note("unpacking the source");
        unpack_source(source, dir, &LEFT_OUT.lines().collect::<Vec<_>>())?;

        let sandbox = Sandbox::open(session, suite)?;
        check_toolchain(&sandbox, release, &KConfig::parse(&config))?;
        let tree = Tree { session, sandbox: &sandbox, dir };
        tree.configure(&config)?;
        tree.take_tools(packed.path())?;
        tree.prepare(&step, resolve::local_version(release))?;
        let prepared = KConfig::parse(&read_text(&dir.join("O/.config"))?);
        if !prepared.is_set("RUST") {
            bail!("the configuration of {release} lost CONFIG_RUST in this sandbox; the log tells why");
        }
        fs::write(dir.join("O/Module.symvers"), symvers)?;
        step.done("");
        Ok(())
    })
}

/// Unpacks the tar archive inside a `linux-source-X.Y` package as `dir/src`.
pub fn unpack_source(deb: &Path, dir: &Path, left_out: &[&str]) -> Result<()> {
    let holder = tempfile::tempdir_in(dir)?;
    deb::unpack(&[deb.to_owned()], holder.path())?;
    let archive = fsutil::read_dir_sorted(&holder.path().join("usr/src"))?
        .into_iter()
        .find(|path| fsutil::name(path).contains(".tar."))
        .with_context(|| format!("{} holds no source archive", deb.display()))?;
    let src = dir.join("src");
    fs::create_dir(&src)?;
    let what = "unpacking the kernel's source";
    let mut xz = process::tied("xz");
    xz.args(["-dc", "-T0"]).arg(&archive).stdout(Stdio::piped());
    let mut xz = Running::start(what, &mut xz)?;
    let mut tar = process::tied("tar");
    tar.args([
        "-x",
        "--no-same-owner",
        "--strip-components=1",
        "--anchored",
        "--wildcards",
        "--wildcards-match-slash",
        "-C",
    ])
    .arg(&src);
    let name = fsutil::name(&archive);
    let top = name.split(".tar.").next().unwrap_or_default();
    tar.args(
        left_out
            .iter()
            .map(|pattern| format!("--exclude={top}/{pattern}")),
    );
    let unpacked = Running::start(what, tar.stdin(xz.stdout()?))?.wait()?;
    if !unpacked.success() || !xz.wait()?.success() {
        bail!("the source in {} cannot be unpacked", deb.display());
    }
    Ok(())
}

/// Programs of the kernel's build that its package of tools has, below its top folder and below the build folder, with the
/// targets of the kernel's Makefile that build them. They take half a minute, and are the very ones that the kernel was built
/// with.
const TOOLS: [(&str, &str); 2] = [
    ("tools/objtool", "objtool"),
    ("tools/bpf/resolve_btfids", "resolve_btfids"),
];

/// The Makefile, below the entry's folder, that says which tools are there.
const HAVE: &str = "have.mk";

/// The compiler that stands in for rustc, below the entry's folder.
const COMPILER: &str = "rustc";

/// It leaves the kernel's code out: see the file.
const WITHOUT_CODE: &str = include_str!("../packaging/dkms/rustc-without-code");

/// A source and its build folder on the way.
struct Tree<'a> {
    session: &'a Session,
    sandbox: &'a Sandbox,
    dir: &'a Path,
}

impl Tree<'_> {
    fn configure(&self, config: &str) -> Result<()> {
        fs::create_dir(self.dir.join("O"))?;
        Ok(fs::write(self.dir.join("O/.config"), config)?)
    }

    /// Takes what the package of tools below `from` has. What it has not is built.
    fn take_tools(&self, from: &Path) -> Result<()> {
        let mut have = String::new();
        for top in fsutil::read_dir_sorted(&from.join("usr/lib")).unwrap_or_default() {
            for (folder, program) in TOOLS {
                let built = top.join(folder);
                if built.join(program).is_file() {
                    let to = self.dir.join("O").join(folder);
                    fs::create_dir_all(&to)?;
                    // Debian's is a script that picks the program for the kernel's processor, which lies beside it.
                    for file in fsutil::read_dir_sorted(&built)? {
                        if file.is_file() {
                            fs::copy(&file, to.join(fsutil::name(&file)))?;
                        }
                    }
                    // An explicit rule comes before the pattern rule of the kernel's Makefile.
                    have += &format!("{folder}: ;\n");
                }
            }
        }
        Ok(fs::write(self.dir.join(HAVE), have)?)
    }

    /// Brings `O` to the state in which modules can be built against it.
    fn prepare(&self, step: &Step, local_version: &str) -> Result<()> {
        self.hasten()?;
        fsutil::write_script(&self.dir.join(COMPILER), WITHOUT_CODE)?;
        let log = self.session.log("metadata");
        let jobs = format!("-j{}", self.session.jobs());
        for target in ["olddefconfig", "modules_prepare"] {
            let mut make = self
                .sandbox
                .command("make")
                .args(["-C", "/kernel/src", "O=/kernel/O", &jobs, target])
                .arg(format!("LOCALVERSION={local_version}"))
                .arg(format!("RUSTC=/kernel/{COMPILER}"))
                .env("MAKEFILES", format!("/kernel/{HAVE}"))
                .bind(self.dir, "/kernel")
                .build()?;
            process::run(step, "making the kernel's Rust metadata", &mut make, &log)?;
        }
        Ok(())
    }

    /// The libraries of the procedural macros are the largest crates of all and run only here: they are not optimised,
    /// which saves a fifth of all the work. Where the line looks different nothing changes.
    fn hasten(&self) -> Result<()> {
        let file = self.dir.join("src/rust/Makefile");
        let text = read_text(&file)?;
        let text = text.replace(
            "--crate-type rlib -O \\",
            "--crate-type rlib -Copt-level=0 \\",
        );
        Ok(fs::write(&file, text)?)
    }
}

/// The kernel has to be built by the sandbox's compilers. This is checked before a minute of work, not after.
fn check_toolchain(sandbox: &Sandbox, release: &str, config: &KConfig) -> Result<()> {
    if !config.is_set("RUST") {
        bail!("the kernel {release} is built without CONFIG_RUST; it cannot load Rust modules");
    }
    let of = |program: &str, arg: &str| -> Result<String> {
        Ok(
            process::output(program, &mut sandbox.command(program).arg(arg).build()?)?
                .trim()
                .to_owned(),
        )
    };
    let rustc = of("rustc", "--version")?;
    if let Some(theirs) = config.text("RUSTC_VERSION_TEXT") {
        if theirs != rustc {
            bail!(
                "the kernel {release} was built with \"{theirs}\", but Debian {} now has \"{rustc}\": Rust modules need the very same compiler. \
                 The archive may be between two kernels: try again with --refresh after its next upload",
                sandbox.suite()
            );
        }
    }
    let gcc = of("gcc", "-dumpversion")?;
    if let Some(theirs) = config
        .text("GCC_VERSION")
        .and_then(|v| v.parse::<u32>().ok())
    {
        let theirs = theirs / 10_000;
        if theirs > 0 && gcc.split('.').next() != Some(theirs.to_string().as_str()) {
            bail!(
                "the kernel {release} was built with gcc {theirs}, but the sandbox of Debian {} has gcc {gcc}",
                sandbox.suite()
            );
        }
    }
    Ok(())
}
