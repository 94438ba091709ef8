// SPDX-License-Identifier: GPL-2.0

//! A client of QEMU's debugger stub, which stops an emulated machine at an instruction whatever runs there: hypervisor,
//! guest, or a program. The protocol is GDB's remote serial protocol, its appendix in GDB's manual; of it here is what a
//! machine with one processor needs.
//!
//! While the machine is stopped, its clocks are, too.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How long the stub may take to answer what it answers at once.
const ANSWER: Duration = Duration::from_secs(60);

/// How many bytes an answer may have: registers take some 2,000.
const MAX_PACKET: usize = 1 << 16;

/// The general registers by the stub's numbers, of those that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// RAX.
    Rax = 0,
    /// RDI.
    Rdi = 5,
    /// RIP.
    Rip = 16,
}

/// The general registers of x86-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// RAX.
    pub rax: u64,
    /// RSI.
    pub rsi: u64,
    /// RDI.
    pub rdi: u64,
    /// RSP.
    pub rsp: u64,
    /// RIP.
    pub rip: u64,
    /// The flags' lower half.
    pub eflags: u32,
}

impl Registers {
    /// Takes them from the answer to `g`: RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8 to R15, RIP, 8 bytes each, then EFLAGS
    /// of 4 bytes; hexadecimal, the lowest byte first.
    fn parse(answer: &[u8]) -> Result<Self> {
        let at = |register: usize| number(answer, register * 16, 8);
        Ok(Self {
            rax: at(0)?,
            rsi: at(4)?,
            rdi: at(5)?,
            rsp: at(7)?,
            rip: at(16)?,
            eflags: u32::try_from(number(answer, 17 * 16, 4)?)?,
        })
    }
}

/// A connection to the stub.
pub struct Client {
    stream: UnixStream,
    /// What came and is not yet understood.
    pending: Vec<u8>,
}

impl Client {
    /// The stub stops the machine when a debugger connects.
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            pending: Vec::new(),
        }
    }

    /// Stops the machine before each execution of the instruction at this address, in whatever address space.
    pub fn set_breakpoint(&mut self, address: u64) -> Result<()> {
        self.done(&format!("Z1,{address:x},1"))
    }

    /// The registers; the machine is stopped.
    pub fn registers(&mut self) -> Result<Registers> {
        let answer = self.ask("g")?;
        Registers::parse(&answer)
    }

    /// Changes a register; the machine is stopped.
    pub fn set_register(&mut self, register: Register, value: u64) -> Result<()> {
        let bytes = hex::encode(value.to_le_bytes());
        self.done(&format!("P{:x}={bytes}", register as u32))
    }

    /// Executes one instruction with interrupts held off; a breakpoint at it is passed. If the instruction exits to a
    /// hypervisor, the machine stops there.
    pub fn step(&mut self) -> Result<()> {
        self.send("s")?;
        stopped(
            &self
                .answer(ANSWER)?
                .context("the machine does not stop after an instruction")?,
        )
    }

    /// Lets the machine run. It stops at a breakpoint: see [`Self::stops_within`]. Before one is left behind,
    /// [`Self::step`] has to pass it.
    pub fn resume(&mut self) -> Result<()> {
        self.send("c")
    }

    /// Waits for the machine to stop, after [`Self::resume`] or [`Self::interrupt`].
    pub fn stops_within(&mut self, limit: Duration) -> Result<bool> {
        match self.answer(limit)? {
            Some(packet) => stopped(&packet).map(|()| true),
            None => Ok(false),
        }
    }

    /// Stops the running machine.
    pub fn interrupt(&mut self) -> Result<()> {
        self.stream.write_all(&[3])?;
        ensure!(self.stops_within(ANSWER)?, "the machine cannot be stopped");
        Ok(())
    }

    /// Forgets all breakpoints and lets the machine run on, without a debugger.
    pub fn detach(mut self) -> Result<()> {
        self.done("D")
    }

    fn done(&mut self, command: &str) -> Result<()> {
        let answer = self.ask(command)?;
        ensure!(
            answer == b"OK",
            "QEMU's debugger stub answers {command} by {:?}",
            String::from_utf8_lossy(&answer)
        );
        Ok(())
    }

    fn ask(&mut self, command: &str) -> Result<Vec<u8>> {
        self.send(command)?;
        self.answer(ANSWER)?
            .with_context(|| format!("QEMU's debugger stub does not answer {command}"))
    }

    fn send(&mut self, command: &str) -> Result<()> {
        self.stream.write_all(&packet(command))?;
        Ok(())
    }

    /// The next packet, unless there is none in time.
    fn answer(&mut self, limit: Duration) -> Result<Option<Vec<u8>>> {
        self.stream.set_read_timeout(Some(limit))?;
        loop {
            if let Some((packet, used)) = first_packet(&self.pending)? {
                self.pending.drain(..used);
                self.stream.write_all(b"+")?;
                return Ok(Some(packet));
            }
            ensure!(
                self.pending.len() < MAX_PACKET,
                "an endless packet from QEMU's debugger stub"
            );
            let mut part = [0; 4096];
            match self.stream.read(&mut part) {
                Ok(0) => bail!("QEMU's debugger stub is gone"),
                Ok(len) => self.pending.extend_from_slice(&part[..len]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What the stub says when the machine stops: a signal, and which thread.
fn stopped(packet: &[u8]) -> Result<()> {
    match packet.first() {
        Some(b'T' | b'S') => Ok(()),
        _ => bail!(
            "the machine did not stop but says {:?}",
            String::from_utf8_lossy(packet)
        ),
    }
}

/// A command as it is sent.
fn packet(command: &str) -> Vec<u8> {
    format!("${command}#{:02x}", checksum(command.as_bytes())).into_bytes()
}

fn checksum(content: &[u8]) -> u8 {
    content.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// The content of the first packet, and how many bytes it took with all before it; none if it is not all there.
/// Acknowledgements before it are of no interest: the socket loses nothing.
fn first_packet(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let Some(start) = bytes.iter().position(|byte| *byte == b'$') else {
        return Ok(None);
    };
    let content = &bytes[start + 1..];
    let Some(len) = content.iter().position(|byte| *byte == b'#') else {
        return Ok(None);
    };
    let Some(sum) = content.get(len + 1..len + 3) else {
        return Ok(None);
    };
    let content = &content[..len];
    ensure!(
        number(sum, 0, 1)? == u64::from(checksum(content)),
        "a packet from QEMU's debugger stub is damaged"
    );
    Ok(Some((expand(content)?, start + len + 4)))
}

/// Replaces `x*n` by as many more `x` as `n` stands for, which is its code less 29.
fn expand(content: &[u8]) -> Result<Vec<u8>> {
    let mut out: Vec<u8> = Vec::with_capacity(content.len());
    let mut bytes = content.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'*' {
            out.push(*byte);
            continue;
        }
        let more = bytes.next().and_then(|count| count.checked_sub(29));
        let (last, more) = out
            .last()
            .copied()
            .zip(more)
            .context("a packet repeats nothing")?;
        out.extend(std::iter::repeat_n(last, usize::from(more)));
    }
    Ok(out)
}

/// A number of so many bytes, eight at most, the lowest first, each as two digits.
fn number(digits: &[u8], at: usize, bytes: usize) -> Result<u64> {
    let digits = digits
        .get(at..at + 2 * bytes)
        .context("a short answer from QEMU's debugger stub")?;
    let mut number = [0; 8];
    hex::decode_to_slice(digits, &mut number[..bytes])
        .context("an answer from QEMU's debugger stub that is no number")?;
    Ok(u64::from_le_bytes(number))
}

/// A stub that is not there, for tests.
#[cfg(test)]
pub mod fake {
    use std::thread::{self, JoinHandle};

    use super::*;

    /// Packets that the client sends and the stub's answers. To an empty text there is no answer.
    pub type Script = Vec<(String, String)>;

    /// Plays a stub; its end of the connection is returned when everything was said.
    pub fn stub(
        script: Script,
        silent: impl Fn() + Send + 'static,
    ) -> (Client, JoinHandle<UnixStream>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let played = thread::spawn(move || {
            let mut said = Vec::new();
            for (expected, answer) in script {
                let command = loop {
                    if said.first() == Some(&b'+') {
                        said.remove(0);
                    } else if said.first() == Some(&3) {
                        said.remove(0);
                        break vec![3];
                    } else if let Some((command, used)) = first_packet(&said).unwrap() {
                        said.drain(..used);
                        break command;
                    } else {
                        let mut part = [0; 64];
                        let len = theirs.read(&mut part).unwrap();
                        assert!(len > 0, "nobody says {expected}");
                        said.extend_from_slice(&part[..len]);
                    }
                };
                assert_eq!(String::from_utf8(command).unwrap(), expected);
                if answer.is_empty() {
                    silent();
                } else {
                    theirs.write_all(b"+").unwrap();
                    theirs.write_all(&packet(&answer)).unwrap();
                }
            }
            theirs
        });
        (Client::new(ours), played)
    }

    /// Registers as a stub writes them.
    pub fn registers(registers: &Registers) -> String {
        let mut all = [0; 17];
        all[0] = registers.rax;
        all[4] = registers.rsi;
        all[5] = registers.rdi;
        all[7] = registers.rsp;
        all[16] = registers.rip;
        let all = all.map(|register| hex::encode(register.to_le_bytes()));
        all.concat() + &hex::encode(registers.eflags.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::fake::Script;
    use super::*;

    fn script(steps: &[(&str, &str)]) -> Script {
        let step = |(said, answer): &(&str, &str)| (said.to_string(), answer.to_string());
        steps.iter().map(step).collect()
    }

    #[test]
    fn packets_are_written_with_their_sum() {
        assert_eq!(packet("g"), b"$g#67");
        assert_eq!(
            packet("Z1,ffffffff82176e10,1"),
            b"$Z1,ffffffff82176e10,1#12"
        );
    }

    #[test]
    fn packets_are_read_when_they_are_whole() {
        let whole = b"++$T05thread:01;#07$OK#9a";
        for cut in 0..19 {
            assert_eq!(first_packet(&whole[..cut]).unwrap(), None, "{cut}");
        }
        let (content, used) = first_packet(whole).unwrap().unwrap();
        assert_eq!((content.as_slice(), used), (&b"T05thread:01;"[..], 19));
        assert_eq!(
            first_packet(&whole[used..]).unwrap(),
            Some((b"OK".to_vec(), 6))
        );
        assert!(first_packet(b"$OK#9b").is_err());
        assert!(first_packet(b"$OK#xy").is_err());
    }

    #[test]
    fn repetitions_are_written_out() {
        assert_eq!(expand(b"0* 12").unwrap(), b"000012");
        assert!(expand(b"* ").is_err());
        assert!(expand(b"0*").is_err());
        assert!(expand(b"0*\x01").is_err());
    }

    #[test]
    fn registers_are_at_their_places() {
        let numbered = (0u64..17).map(|register| (register << 32 | 0x1234).to_le_bytes());
        let answer = numbered.map(hex::encode).collect::<String>() + "46020400";
        let expected = Registers {
            rax: 0x1234,
            rsi: 4 << 32 | 0x1234,
            rdi: 5 << 32 | 0x1234,
            rsp: 7 << 32 | 0x1234,
            rip: 16 << 32 | 0x1234,
            eflags: 0x4_0246,
        };
        assert_eq!(Registers::parse(answer.as_bytes()).unwrap(), expected);
        let written = fake::registers(&expected);
        assert_eq!(Registers::parse(written.as_bytes()).unwrap(), expected);
        assert!(Registers::parse(b"E14").is_err());
    }

    #[test]
    fn a_machine_is_stopped_and_changed() {
        let steps = script(&[
            ("Z1,1000,1", "OK"),
            ("c", "T05thread:01;"),
            ("P10=0010000000000000", "OK"),
            ("s", "T05thread:01;"),
            ("c", ""),
            ("\x03", "T02thread:01;"),
            ("D", "OK"),
        ]);
        let (mut client, played) = fake::stub(steps, || {});
        client.set_breakpoint(0x1000).unwrap();
        client.resume().unwrap();
        assert!(client.stops_within(ANSWER).unwrap());
        client.set_register(Register::Rip, 0x1000).unwrap();
        client.step().unwrap();
        client.resume().unwrap();
        client.interrupt().unwrap();
        client.detach().unwrap();
        played.join().unwrap();
    }

    #[test]
    fn refusals_and_silence_are_no_success() {
        let steps = script(&[("Z1,0,1", "E22"), ("s", "OK")]);
        let (mut client, played) = fake::stub(steps, || {});
        assert!(client.set_breakpoint(0).is_err());
        assert!(client.step().is_err());
        let silent = played.join().unwrap();
        assert!(!client.stops_within(Duration::from_millis(20)).unwrap());
        drop(silent);
        assert!(client.registers().is_err());
    }
}
