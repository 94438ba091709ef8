// SPDX-License-Identifier: GPL-2.0

//! Commands, files and time limits, with the agent itself at the other end of a socket.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use agent::message::Exit;

use crate::health::Health;
use crate::pace::Pace;

use super::{DEFAULT_LIMIT, Place};

/// A place served by the real agent on the other end of a socket.
fn here() -> Place {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let answers = theirs.try_clone().unwrap();
    thread::spawn(move || agent::serve::serve(theirs, answers, false));
    let log = Path::new("/no/console");
    Place::connect("dom0", ours, &Health::default(), &Pace::default(), log).unwrap()
}

#[test]
fn commands_files_and_background_jobs() {
    let place = here();
    place.hello(DEFAULT_LIMIT).unwrap();
    assert_eq!(place.sh("echo a; echo b >&2").unwrap(), "a");
    let failed = place.run("echo why >&2; exit 4").unwrap();
    assert!(failed.clone().fails().is_ok());
    assert!(failed.ok().unwrap_err().to_string().contains("! why"));
    let job = place.spawn("sleep 60").unwrap();
    job.kill(15).unwrap();
    assert_eq!(job.wait_for(DEFAULT_LIMIT).unwrap().exit, Exit::Signal(15));
    let path = std::env::temp_dir().join(format!("vmtest-{}", std::process::id()));
    let path = path.to_str().unwrap();
    let content: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    place.put(path, 0o600, &content).unwrap();
    assert!(place.get(path).unwrap() == content);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_death_ends_the_wait() {
    let place = here();
    let job = place.spawn("sleep 5").unwrap();
    place.health().died("the machine burns");
    let error = job.wait().unwrap_err();
    assert!(format!("{error:#}").contains("burns"));
}

#[test]
fn time_limits_are_kept_inside() {
    let output = here()
        .run_for(Duration::from_millis(300), "sleep 20")
        .unwrap();
    assert_eq!(output.exit, Exit::TimedOut);
    assert!(output.stderr.contains("reference machine"), "{output}");
    assert!(output.took < Duration::from_secs(10), "{output}");
}

#[test]
fn on_a_fast_machine_xl_has_one_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let tries = dir.path().join("tries");
    let script = format!(
        "echo >> {}; echo killing because of timeout >&2; exit 3",
        tries.display()
    );
    assert!(!here().run_xl(&script).unwrap().succeeded());
    assert_eq!(std::fs::read_to_string(tries).unwrap(), "\n");
}

#[test]
fn who_writes_for_ever_is_stopped_too() {
    let limit = Duration::from_millis(300);
    let output = here()
        .run_for(limit, "while :; do echo more; done")
        .unwrap();
    assert_eq!(output.exit, Exit::TimedOut);
}

#[test]
fn a_place_without_signs_of_life_hangs() {
    // Nobody reads at the other end, but it is open.
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let (pace, log) = (Pace::default(), Path::new("/no/console"));
    let place = Place::connect("dom0", ours, &Health::default(), &pace, log).unwrap();
    let limit = Duration::from_millis(300);
    let error = format!("{:#}", place.hello(limit).unwrap_err());
    assert!(error.contains("dom0 did not answer for 0."), "{error}");
    assert!(error.contains("see /no/console"), "{error}");
}

#[test]
fn scripts_know_by_how_much_the_machine_is_slower() {
    assert_eq!(here().sh("echo $PACE").unwrap(), "1");
}
