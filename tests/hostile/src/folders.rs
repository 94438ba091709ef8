// SPDX-License-Identifier: GPL-2.0

//! A device in the xenstore: the frontend's folder, and the backend's, which is not where Linux looks for its own backends to
//! drive (`/local/domain/0/backend`), so that no honest one takes the device.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use xenstore::Xenstore;

use crate::plan::NodeLie;

/// How often a node is looked at that is waited for.
const INTERVAL: Duration = Duration::from_millis(5);

/// States of a device (`enum xenbus_state`).
pub mod state {
    /// The backend waits for the frontend.
    pub const INIT_WAIT: u32 = 2;
    /// The frontend has made its offer.
    pub const INITIALISED: u32 = 3;
    /// In service.
    pub const CONNECTED: u32 = 4;
    /// About to close.
    pub const CLOSING: u32 = 5;
    /// Closed.
    pub const CLOSED: u32 = 6;
}

/// Which device of which domain.
#[derive(Clone, Debug)]
pub struct Device {
    /// The guest.
    pub domid: u16,
    /// `vbd` or `vif`.
    pub class: &'static str,
    /// Its number there.
    pub number: u32,
}

impl Device {
    fn front(&self) -> String {
        let Self {
            domid,
            class,
            number,
        } = self;
        format!("/local/domain/{domid}/device/{class}/{number}")
    }

    fn back(&self) -> String {
        let Self {
            domid,
            class,
            number,
        } = self;
        format!("/local/domain/0/hostile/{class}/{domid}/{number}")
    }
}

/// Both folders of a device, which are removed at the end.
pub struct Folders {
    store: Xenstore,
    device: Device,
    changing: Vec<Changing>,
}

/// A thread that writes one value after the other into a node.
struct Changing {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Folders {
    /// Makes both folders, with nothing in the backend's yet. The frontend's is not known to the guest before [`Self::announce`].
    pub fn make(device: &Device) -> io::Result<Self> {
        let mut store = Xenstore::dom0()?;
        let (guest, back) = (device.domid, device.back());
        store.remove(&device.front())?;
        store.remove(&back)?;
        store.mkdir(&back)?;
        // Nodes that are made below it are the same.
        store.set_perms(&back, &["n0", &format!("r{guest}")])?;
        Ok(Self {
            store,
            device: device.clone(),
            changing: Vec::new(),
        })
    }

    /// Tells the guest about the device.
    pub fn announce(&mut self, nodes: &[(&str, String)]) -> io::Result<()> {
        let (front, back) = (self.device.front(), self.device.back());
        self.store.mkdir(&front)?;
        let owner = format!("n{}", self.device.domid);
        self.store.set_perms(&front, &[&owner, "r0"])?;
        for (key, value) in nodes {
            self.store
                .write(&format!("{front}/{key}"), value.as_bytes())?;
        }
        self.store.write(&format!("{front}/backend-id"), b"0")?;
        self.store
            .write(&format!("{front}/backend"), back.as_bytes())?;
        // The guest takes the folder for a device when this is there.
        self.store.write(&format!("{front}/state"), b"1")
    }

    /// Writes a node of the backend, honestly or not.
    pub fn write(&mut self, key: &str, value: &str, lie: Option<&NodeLie>) -> io::Result<()> {
        let path = format!("{}/{key}", self.device.back());
        match lie {
            None => self.store.write(&path, value.as_bytes()),
            Some(NodeLie::Missing) => Ok(()),
            Some(NodeLie::Value(value)) => self.store.write(&path, value),
            Some(NodeLie::Changing(values)) => {
                self.store.write(&path, value.as_bytes())?;
                let mut values = values.clone();
                values.push(value.as_bytes().to_vec());
                self.changing.push(Changing::start(path, values)?);
                Ok(())
            }
        }
    }

    /// Sets the backend's state, which may be none.
    pub fn set_state(&mut self, state: &[u8]) -> io::Result<()> {
        let path = format!("{}/state", self.device.back());
        self.store.write(&path, state)
    }

    /// A node of the frontend.
    pub fn front(&mut self, key: &str) -> io::Result<Option<String>> {
        let path = format!("{}/{key}", self.device.front());
        let value = self.store.read(&path)?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }

    /// A node of the frontend that is a number.
    pub fn front_number(&mut self, key: &str) -> io::Result<Option<u32>> {
        Ok(self.front(key)?.and_then(|value| value.trim().parse().ok()))
    }

    /// A node of the frontend that has to be a number.
    pub fn needed(&mut self, key: &str) -> io::Result<u32> {
        self.front_number(key)?
            .ok_or_else(|| io::Error::other(format!("the frontend has no {key}")))
    }

    /// The frontend's state; 0 if it has none.
    pub fn front_state(&mut self) -> io::Result<u32> {
        Ok(self.front_number("state")?.unwrap_or(0))
    }

    /// Waits until the frontend's state is one of these, and returns it; `None` if it has not come in time.
    pub fn await_front(&mut self, wanted: &[u32], limit: Duration) -> io::Result<Option<u32>> {
        let end = Instant::now() + limit;
        loop {
            let state = self.front_state()?;
            if wanted.contains(&state) {
                return Ok(Some(state));
            }
            if Instant::now() > end {
                return Ok(None);
            }
            sleep(INTERVAL);
        }
    }

    /// Nothing changes any more by itself.
    pub fn settle(&mut self) {
        self.changing.clear();
    }

    /// Removes the backend's folder.
    pub fn remove_back(&mut self) -> io::Result<()> {
        self.settle();
        self.store.remove(&self.device.back())
    }

    /// Removes the frontend's folder: the device is no more.
    pub fn remove_front(&mut self) -> io::Result<()> {
        self.store.remove(&self.device.front())
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        // What is left is removed when the next device is made.
        let _ = self.remove_front();
        let _ = self.remove_back();
    }
}

impl Changing {
    fn start(path: String, values: Vec<Vec<u8>>) -> io::Result<Self> {
        let mut store = Xenstore::dom0()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            for value in values.iter().cycle() {
                if stopped.load(Ordering::Relaxed) || store.write(&path, value).is_err() {
                    return;
                }
                sleep(Duration::from_millis(1));
            }
        });
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A thread that panicked has nothing to tell.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
