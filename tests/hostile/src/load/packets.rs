// SPDX-License-Identifier: GPL-2.0

//! Datagrams of all lengths by an interface that comes and goes, and settings of it that backends are asked for.

use std::io;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;

/// The other end's address; its Ethernet address need not be asked for.
const PEER: &str = "10.9.0.2:9";

/// Everything that the interface needs, and what is asked of its backend.
const SETUP: &str = "ip addr add 10.9.0.1/24 dev eth0; ip link set eth0 up; \
    ip neigh replace 10.9.0.2 lladdr 00:16:3e:66:66:66 dev eth0 nud permanent";

const SETTINGS: [&str; 6] = [
    "ethtool -X eth0 equal 2",
    "ethtool -L eth0 combined 1",
    "ethtool -L eth0 combined 2",
    "ip maddr add 01:00:5e:01:02:03 dev eth0",
    "ip maddr del 01:00:5e:01:02:03 dev eth0",
    "ethtool -K eth0 sg off; ethtool -K eth0 sg on tso on",
];

/// Sends packets for ever.
pub fn send_for_ever() -> io::Result<()> {
    let mut rng = Rng::with_seed(1);
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_nonblocking(true)?;
    let data = vec![0xa5; 9000];
    loop {
        if socket.send_to(&data[..18], PEER).is_err() {
            run(SETUP);
            sleep(Duration::from_millis(20));
        }
        for _ in 0..50 {
            // Up to a few fragments.
            let len = [100, 700, 1400, 4000, 9000][rng.usize(..5)];
            // What cannot be sent is lost.
            let _ = socket.send_to(&data[..rng.usize(..len)], PEER);
        }
        if rng.u8(..20) == 0 {
            run(SETTINGS[rng.usize(..SETTINGS.len())]);
        }
        sleep(Duration::from_millis(5));
    }
}

/// Runs a command that may fail.
fn run(script: &str) {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null());
    let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
}
