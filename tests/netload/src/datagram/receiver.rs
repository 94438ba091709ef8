// SPDX-License-Identifier: GPL-2.0

//! The books on datagrams that arrive.

use std::io;
use std::net::{TcpStream, UdpSocket};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use super::HEADER;
use crate::patience;
use crate::pattern::Pattern;
use crate::report::Line;
use crate::request::{self, Check};

/// What is counted, in the order it is printed; `rate` is datagrams a second.
pub const WORDS: [&str; 7] = [
    "sent", "received", "lost", "repeated", "late", "corrupt", "rate",
];

/// How many milliseconds a datagram may be under way after the last one was sent.
const LINGER: u64 = 700;

/// Numbers beyond this are taken for damage, not for datagrams.
const NUMBERS: u64 = 1 << 32;

/// One socket's books.
#[derive(Default)]
pub struct Receiver {
    warm: Duration,
    time: Duration,
    all: bool,
    /// One bit for each number that has come.
    seen: Vec<u64>,
    received: u64,
    repeated: u64,
    late: u64,
    corrupt: u64,
    counted: u64,
    newest: Option<u64>,
}

impl Receiver {
    /// For what a request describes.
    pub fn new(request: &Line) -> io::Result<Self> {
        Ok(Self {
            warm: request.get("warm").map(Duration::from_millis)?,
            time: request.get("time").map(Duration::from_millis)?,
            all: request.get::<Check>("check")? == Check::All,
            ..Self::default()
        })
    }

    /// Receives until all has come that the other end says over `control` it has sent, or nothing comes any more.
    pub fn run(mut self, socket: &UdpSocket, control: &mut TcpStream) -> io::Result<Line> {
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let announced = OnceLock::new();
        let linger = patience(LINGER);
        let mut datagram = vec![0; 1 << 16];
        let (mut started, mut last) = (None, Instant::now());
        thread::scope(|scope| {
            scope.spawn(|| {
                let line = request::receive(control).and_then(|line| line.get::<u64>("sent"));
                let _ = announced.set(line);
            });
            loop {
                match socket.recv(&mut datagram) {
                    Ok(len) => {
                        last = Instant::now();
                        let elapsed = last - *started.get_or_insert(last);
                        self.counted +=
                            u64::from(elapsed >= self.warm && elapsed < self.warm + self.time);
                        self.take(&datagram[..len]);
                    }
                    Err(error)
                        if matches!(
                            error.kind(),
                            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                        ) => {}
                    Err(error) => return Err(error),
                }
                match announced.get() {
                    Some(Ok(sent)) if self.received - self.repeated >= *sent => break,
                    Some(_) if last.elapsed() > linger => break,
                    _ => {}
                }
            }
            Ok(())
        })?;
        match announced.into_inner() {
            Some(Ok(sent)) => Ok(self.line(sent)),
            Some(Err(error)) => Err(error),
            None => Err(io::Error::other("the sender said nothing")),
        }
    }

    fn take(&mut self, datagram: &[u8]) {
        let Some(number) = self.number(datagram) else {
            self.corrupt += 1;
            return;
        };
        self.received += 1;
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit != 0 {
            self.repeated += 1;
        } else if self.newest.is_some_and(|newest| newest > number) {
            self.late += 1;
        }
        self.seen[word] |= bit;
        self.newest = self.newest.max(Some(number));
    }

    /// The number of a datagram in which all is as it should be.
    fn number(&self, datagram: &[u8]) -> Option<u64> {
        let (header, content) = datagram.split_at_checked(HEADER)?;
        let number = u64::from_le_bytes(*header.first_chunk()?);
        let len = u32::from_le_bytes(*header.last_chunk()?);
        let right = len as usize == datagram.len()
            && number < NUMBERS
            && (!self.all || Pattern::new(number).first_wrong(0, content).is_none());
        right.then_some(number)
    }

    fn line(&self, sent: u64) -> Line {
        let distinct = self.received - self.repeated;
        let rate = self.counted as f64 / self.time.as_secs_f64();
        let values = [
            sent,
            self.received,
            sent.saturating_sub(distinct),
            self.repeated,
            self.late,
            self.corrupt,
            rate as u64,
        ];
        WORDS
            .iter()
            .zip(values)
            .fold(Line::default(), |line, (name, value)| {
                line.with(name, value)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fill;
    use super::*;

    #[test]
    fn the_books_tell_every_kind_of_trouble() {
        let mut receiver = Receiver {
            time: Duration::from_secs(1),
            all: true,
            ..Receiver::default()
        };
        let datagram = |number| {
            let mut bytes = vec![0; 100];
            fill(&mut bytes, number, Check::All);
            bytes
        };
        // Number 1 is lost, 2 comes after 3, 0 comes twice.
        for number in [0, 3, 2, 0] {
            receiver.take(&datagram(number));
        }
        let mut changed = datagram(4);
        changed[99] ^= 1;
        receiver.take(&changed);
        receiver.take(&datagram(5)[..99]);
        receiver.take(b"short");
        let line = receiver.line(6);
        let all = WORDS.map(|word| line.get::<u64>(word).unwrap());
        assert_eq!(all, [6, 4, 3, 1, 1, 3, 0]);
    }
}
