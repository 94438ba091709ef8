// SPDX-License-Identifier: GPL-2.0

//! The first hour: README's commands on a machine that has nothing, and the message when something is in the way.
//! Each ends well or in one message, with nothing left behind.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::fresh::{Ended, Fresh, Root, System, User};
use crate::matrix::Cell;
use crate::scenario::Scenario;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::on_host(
        "fresh.what_a_user_lacks_is_named",
        what_a_user_lacks_is_named,
    ),
    Scenario::on_host("fresh.apt_lock_is_waited_for", apt_lock_is_waited_for),
    Scenario::on_host("fresh.without_network_is_said", without_network_is_said),
    Scenario::on_host("fresh.small_disk_is_said", small_disk_is_said),
    Scenario::on_host("fresh.small_memory_is_said", small_memory_is_said),
    Scenario::on_host("fresh.kvm_that_opens_is_no_kvm", kvm_that_opens_is_no_kvm),
    Scenario::on_host("fresh.doctor_changes_nothing", doctor_changes_nothing),
    Scenario::on_host("fresh.empty_apt_lists", empty_apt_lists).full(),
    Scenario::on_host("fresh.two_commands_prepare_once", two_commands_prepare_once).full(),
    Scenario::on_host("fresh.boot_on_{system}_as_{user}", boot)
        .on_each(SYSTEMS)
        .full(),
    Scenario::on_host("fresh.test_on_{system}_as_{user}", test)
        .on_each(SYSTEMS)
        .full(),
];

/// The systems and users that README's commands are for.
const SYSTEMS: &[Cell] = &[
    Cell::fresh(System::Debian12, User::Root),
    Cell::fresh(System::Debian12, User::Ordinary),
    Cell::fresh(System::Debian13, User::Root),
    Cell::fresh(System::Debian13, User::Ordinary),
];

/// A command that installs the prerequisites and then finds that there is no mirror: nothing else is as short and still prepares
/// the machine. It is the tool of this run that does it, so that it need not be compiled there.
const PREPARE: [&str; 6] = [
    "xtask",
    "--mirror",
    "file:///no-mirror",
    "shell",
    "--",
    "true",
];

/// Within what time a command has to print something, on a machine that others use too.
const SOON: Duration = Duration::from_secs(20);

/// What it says once the prerequisites are there.
const NO_MIRROR: &[&str] = &["no-mirror", "--mirror"];

/// Holds files locked as apt does, by fcntl, and says so: `SECONDS FILE…`. Every Debian has perl.
const HOLD: &str = r#"
use Fcntl;
my $seconds = shift;
for my $path (@ARGV) {
    # The kernel's struct flock: type, whence, start, length, process.
    my $lock = pack('s s x4 q q i x4', F_WRLCK, 0, 0, 0, 0);
    open(my $file, '+>>', $path) || die "$path: $!\n";
    fcntl($file, F_SETLK, $lock) || die "$path: $!\n";
    push(@held, $file);
}
open(my $said, '>', '/run/held');
close($said);
sleep($seconds);
"#;

/// As an ordinary user: what is missing is named with the command that installs it; root runs that, and it was all.
fn what_a_user_lacks_is_named(fresh: &mut Fresh<'_>) -> Result<()> {
    let root = fresh.root(System::Bare)?;
    let first = root.call(User::Ordinary, PREPARE).run()?;
    first.is_refused(&["As root", "bubblewrap"])?;
    if fresh.full {
        install_what_is_named(&root, &first)?;
        root.call(User::Ordinary, PREPARE)
            .run()?
            .is_refused(NO_MIRROR)?;
    }
    Ok(())
}

/// Runs the command that a message tells root to run.
fn install_what_is_named(root: &Root, refused: &Ended) -> Result<()> {
    let mut lines = refused.message()?.lines().map(str::trim);
    let command = lines.find(|line| line.starts_with("apt-get "));
    let command = command.context("the message has no line that begins with apt-get")?;
    root.call(User::Root, ["sh", "-c", command])
        .input("y\n")
        .run()?
        .ends_well()
}

/// Another process, such as the unattended upgrade of a machine that was just started, has apt's locks for a while.
fn apt_lock_is_waited_for(fresh: &mut Fresh<'_>) -> Result<()> {
    let root = fresh.root(System::Bare)?;
    fs::write(root.path("/usr/local/bin/hold"), HOLD)?;
    let seconds = fresh.rounds(6, 20).to_string();
    let script = "perl /usr/local/bin/hold \"$0\" /var/lib/apt/lists/lock /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock & \
                  while [ ! -e /run/held ]; do kill -0 $! || exit 9; sleep 0.1; done; \"$@\"";
    let words = ["sh", "-c", script, seconds.as_str()];
    let ended = root.call(User::Root, words.iter().chain(&PREPARE)).run()?;
    ended.is_refused(NO_MIRROR)?;
    ensure!(
        ended.stderr.contains("perl"),
        "nobody was told who holds the lock:\n{}",
        ended.stderr
    );
    fresh.note(format!(
        "prerequisites were there {:.0} s after a command that waited {seconds} s for the lock",
        ended.took.as_secs_f32()
    ));
    Ok(())
}

/// Without the network the first thing that needs it says so.
fn without_network_is_said(fresh: &mut Fresh<'_>) -> Result<()> {
    let root = fresh.root(System::Bare)?;
    let shell = ["xtask", "shell", "--", "true"];
    let alone = || root.call(User::Root, shell).without_network().run();
    alone()?.is_refused(&["network"])?;
    if fresh.full {
        root.call(User::Root, PREPARE)
            .run()?
            .is_refused(NO_MIRROR)?;
        alone()?.is_refused(&["network"])?;
    }
    Ok(())
}

/// A disk on which a first `boot` has no room is noticed before anything is downloaded or installed.
fn small_disk_is_said(fresh: &mut Fresh<'_>) -> Result<()> {
    let root = fresh.root(System::Bare)?;
    let installed = || fs::read(root.path("/var/lib/dpkg/status"));
    let before = installed()?;
    let ended = root
        .call(User::Root, ["xtask", "boot"])
        .cache_disk(256)
        .run()?;
    ended.is_refused(&["/mnt/disk", "GB", "PARAVANE_CACHE"])?;
    ensure!(
        installed()? == before,
        "packages were installed before the disk was found to be too small"
    );
    let doctor = root
        .call(User::Root, ["xtask", "doctor"])
        .cache_disk(256)
        .run()?;
    ensure!(
        doctor.status == 1 && doctor.stdout.contains("LACK  cache"),
        "doctor does not see that the disk is too small:\n{}",
        doctor.stdout
    );
    Ok(())
}

/// A machine whose memory the virtual machine does not fit into.
fn small_memory_is_said(fresh: &mut Fresh<'_>) -> Result<()> {
    let root = fresh.root(System::Bare)?;
    let file = root.path("/run/meminfo");
    let kib = "MemTotal:  2000000 kB\nMemFree:  1500000 kB\nMemAvailable:  1800000 kB\n";
    fs::write(&file, kib)?;
    let boot = root.call(User::Root, ["xtask", "boot"]);
    let ended = boot.bind(&file, "/proc/meminfo").run()?;
    ended.is_refused(&["memory", "2.0 GB"])
}

/// Some machines have a /dev/kvm that opens although their processors lack what KVM needs.
fn kvm_that_opens_is_no_kvm(fresh: &mut Fresh<'_>) -> Result<()> {
    let root = fresh.root(System::Bare)?;
    let without = |line: &str| -> String {
        let words = line
            .split(' ')
            .filter(|word| !["svm", "vmx"].contains(word));
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let file = root.path("/run/cpuinfo");
    fs::write(&file, processors.lines().map(without).collect::<String>())?;
    let doctor = root
        .call(User::Root, ["xtask", "doctor"])
        .bind("/dev/null".as_ref(), "/dev/kvm")
        .bind(&file, "/proc/cpuinfo")
        .run()?;
    doctor.ends_well()?;
    let line = doctor.stdout.lines().find(|line| line.contains("KVM:"));
    let line = line.context("doctor says nothing about KVM")?;
    ensure!(
        !line.contains("KVM: there"),
        "doctor says \"{}\"",
        line.trim()
    );
    Ok(())
}

/// `doctor` reports what is missing and leaves everything as it is.
fn doctor_changes_nothing(fresh: &mut Fresh<'_>) -> Result<()> {
    let root = fresh.root(System::Bare)?;
    for user in [User::Root, User::Ordinary] {
        let doctor = root.call(user, ["xtask", "doctor"]).run()?;
        ensure!(
            doctor.stdout.contains("Kernels:"),
            "doctor does not come to its end:\n{}{}",
            doctor.stdout,
            doctor.stderr
        );
        let cache = format!("{}/.cache", user.home());
        ensure!(!root.path(&cache).exists(), "doctor has made {cache}");
    }
    Ok(())
}

/// A machine whose image was made small: apt's lists and the folder's own files are gone.
fn empty_apt_lists(fresh: &mut Fresh<'_>) -> Result<()> {
    let root = fresh.root(System::Bare)?;
    let lists = root.path("/var/lib/apt/lists");
    fs::remove_dir_all(&lists)?;
    fs::create_dir(&lists)?;
    let _ = fs::remove_dir_all(root.path("/var/cache/apt"));
    root.call(User::Root, PREPARE).run()?.is_refused(NO_MIRROR)
}

/// Two commands that start at the same moment: one installs the prerequisites, the other waits for it.
fn two_commands_prepare_once(fresh: &mut Fresh<'_>) -> Result<()> {
    let root = fresh.root(System::Bare)?;
    let script = "\"$@\" 2>/run/other & \"$@\"; status=$?; wait; exit $status";
    let words = ["sh", "-c", script, "both"];
    let ended = root.call(User::Root, words.iter().chain(&PREPARE)).run()?;
    ended.is_refused(NO_MIRROR)?;
    let other = fs::read_to_string(root.path("/run/other"))?;
    ensure!(
        other.contains("no-mirror"),
        "the other command says:\n{other}"
    );
    let installs = |text: &str| text.matches("ok Installing").count();
    let count = installs(&ended.stderr) + installs(&other);
    ensure!(count == 1, "the prerequisites were installed {count} times");
    Ok(())
}

/// README's first command, from an empty cache.
fn boot(fresh: &mut Fresh<'_>) -> Result<()> {
    let (_root, ended) = readme(fresh, "boot", Duration::from_secs(3 * 3600))?;
    ensure!(
        ended.stdout.contains("dom0"),
        "there is no report:\n{}",
        ended.stdout
    );
    Ok(())
}

/// README's second command, from an empty cache.
fn test(fresh: &mut Fresh<'_>) -> Result<()> {
    let (_root, ended) = readme(fresh, "test", Duration::from_secs(8 * 3600))?;
    let last = ended.stdout.lines().last().unwrap_or_default();
    ensure!(last.contains("0 failed"), "the last line is \"{last}\"");
    fresh.note(last);
    Ok(())
}

/// Runs one of README's commands, which has to end well; what a user lacks is installed when it has been named.
fn readme(fresh: &mut Fresh<'_>, command: &str, limit: Duration) -> Result<(Root, Ended)> {
    let (system, user) = fresh.system_and_user();
    let root = fresh.root(system)?;
    if let Some(toolchain) = root.toolchain() {
        fresh.note(format!(
            "its own cargo is too old, it uses {}",
            toolchain.file_name().unwrap_or_default().to_string_lossy()
        ));
    }
    let run = || {
        root.call(user, ["cargo", "xtask", command])
            .limit(limit)
            .run()
    };
    let mut ended = run()?;
    // Compiling the tool counts: the user has to see that something happens. Two seconds are meant.
    let first = ended.first.unwrap_or(ended.took);
    ensure!(
        first < SOON,
        "nothing was printed for {} s",
        first.as_secs()
    );
    if user == User::Ordinary {
        ended.is_refused(&["As root"])?;
        install_what_is_named(&root, &ended)?;
        ended = run()?;
    }
    ended.ends_well()?;
    fresh.note(format!(
        "{:.0} s from an empty cache; something was printed after {:.1} s, and at least every {:.0} s",
        ended.took.as_secs_f32(),
        first.as_secs_f32(),
        ended.silence.as_secs_f32()
    ));
    Ok((root, ended))
}
