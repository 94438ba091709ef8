// SPDX-License-Identifier: GPL-2.0

//! Running the user's command in a place, with this program's standard input as its own.

use std::io::{self, Read};
use std::thread;

use agent::message::Exit;
use anyhow::Result;

use super::{Options, Sink};
use crate::remote::Place;
use crate::terminal;

/// Runs the command to its end, or a shell on this program's terminal if there is none. `enter` are words in front of
/// either, which lead to where it is to run. Fails if the place dies or hangs meanwhile.
pub fn run_in(
    place: &Place,
    options: &Options,
    enter: &[String],
    shell: &str,
    sink: &mut Sink<'_>,
) -> Result<Exit> {
    if options.command.is_empty() && !options.input {
        let enter = enter.iter().map(String::as_str);
        let words: Vec<_> = enter.chain([shell, "-l"]).collect();
        return terminal::attach(place, &words);
    }
    let argv = [enter, &argv(&options.command, shell)].concat();
    let job = place.start_argv(argv, None, options.input, None, "the command")?;
    if options.input {
        let send = job.input_handle();
        // Reads until the input ends or the place takes no more; there is no way to interrupt it.
        thread::spawn(move || {
            let mut buffer = [0u8; 16 << 10];
            loop {
                let count = io::stdin().lock().read(&mut buffer).unwrap_or(0);
                if send(buffer[..count].to_vec()).is_err() || count == 0 {
                    return;
                }
            }
        });
    }
    job.stream(sink)
}

/// A single text is a shell's, as in virtme-ng; several words are a program and its arguments, as they are.
fn argv(command: &[String], shell: &str) -> Vec<String> {
    match command {
        [] => vec![shell.to_owned()],
        [script] => ["sh", "-c", script].map(str::to_owned).to_vec(),
        words => {
            // The shell says 126 and 127 where the program cannot be run.
            let exec = ["sh", "-c", "exec \"$@\"", "sh"].map(str::to_owned);
            exec.into_iter().chain(words.iter().cloned()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words_and_one_text_is_a_script() {
        let run = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            let argv = argv(&words, "ash");
            let output = std::process::Command::new(&argv[0])
                .args(&argv[1..])
                .output()
                .unwrap();
            (
                String::from_utf8(output.stdout).unwrap(),
                output.status.code(),
            )
        };
        assert_eq!(run(&["echo a; exit 3"]), ("a\n".into(), Some(3)));
        assert_eq!(
            run(&["echo", "a  b", "$HOME"]),
            ("a  b $HOME\n".into(), Some(0))
        );
        assert_eq!(run(&["/nowhere/program", "x"]).1, Some(127));
        assert_eq!(argv(&[], "ash"), ["ash"]);
    }
}
