// SPDX-License-Identifier: GPL-2.0

//! Connecting the user's terminal with a shell inside.

use std::io::{self, IsTerminal, Read, Write};
use std::thread;

use agent::message::Exit;
use anyhow::{Result, bail};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::remote::Place;

/// What a user types to leave when the shell does not end: the key of xl's console.
const LEAVE: u8 = 0x1d;

/// Runs a command on a terminal in some place and connects it with ours until it ends. Returns how it ended.
pub fn attach(place: &Place, argv: &[&str]) -> Result<Exit> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        bail!("a console needs a terminal, but standard input is none");
    }
    let size = tcgetwinsize(&stdin).map_or((24, 80), |size| (size.ws_row, size.ws_col));
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    let job = place.start_argv(argv, None, true, Some(size), "an interactive shell")?;
    let raw = Raw::enter()?;
    let send = job.input_handle();
    // Reads until the process ends or the place does not take input any more; there is no way to interrupt it.
    thread::spawn(move || {
        let mut buffer = [0u8; 1024];
        while let Ok(count) = io::stdin().lock().read(&mut buffer) {
            let bytes = &buffer[..count];
            if count == 0 || send(bytes.to_vec()).is_err() {
                return;
            }
        }
    });
    let mut out = io::stdout();
    let result = job.follow(|bytes| {
        // A terminal that went away ends us by a signal.
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    });
    drop(raw);
    println!();
    result
}

/// The key to leave `xl console`, for the hint.
pub fn leave_hint() -> String {
    format!("Ctrl-{} leaves", char::from(LEAVE + 0x40))
}

/// The terminal in raw mode; dropping it restores what was before.
struct Raw(Termios);

impl Raw {
    fn enter() -> Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // If the terminal is gone there is nothing to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
