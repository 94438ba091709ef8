// SPDX-License-Identifier: GPL-2.0

//! The queue of ports that have had an event and wait to be read.
//!
//! Two locks, taken in this order: that of the reader, which may be held while the process's memory
//! is paged in, and that of the events, which is taken with interrupts off.

use core::sync::atomic::AtomicU32;

use kernel::{
    iov::IovIterDest,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};
use kernel_ext::{
    chardev::{
        new_wait_queue,
        Poll,
        Ready,
        SignalQueue,
        Wait,
        WaitQueue, //
    },
    sync::{
        new_irq_spinlock,
        IrqSpinLock, //
    },
    user, //
};
use xen::page::PAGE_SIZE;
use xen_devfile::pending::{
    grow,
    reset,
    slots_for,
    Consumer,
    Indexes,
    Producer,
    Pushed, //
};

/// Bytes of a port's number.
const PORT: usize = size_of::<u32>();

/// Most bytes that a read or write transfers.
pub(crate) const MAX_BYTES: usize = PAGE_SIZE;

/// The memory of the queue, for both its sides.
#[derive(Clone)]
struct Slots(Arc<KVVec<AtomicU32>>);

impl Slots {
    fn new(count: usize) -> Result<Self> {
        let mut slots = KVVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..count {
            slots.push(AtomicU32::new(0), GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self(Arc::new(slots, GFP_KERNEL)?))
    }
}

impl AsRef<[AtomicU32]> for Slots {
    #[inline]
    fn as_ref(&self) -> &[AtomicU32] {
        &self.0
    }
}

/// The side of the queue that events change, under their lock.
struct Events {
    producer: Producer<Slots>,
    count: u64,
}

/// The queue of a file.
#[pin_data]
pub(crate) struct Pending {
    indexes: Indexes,
    /// The number of slots.
    room: Atomic<usize>,
    #[pin]
    consumer: Mutex<Consumer<Slots>>,
    #[pin]
    events: IrqSpinLock<Events>,
    #[pin]
    readers: WaitQueue,
    signals: SignalQueue,
}

impl Pending {
    /// An empty queue without slots. May sleep.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let slots = Slots::new(0)?;
        let events = Events {
            producer: Producer::new(slots.clone()),
            count: 0,
        };
        Arc::pin_init(
            pin_init!(Self {
                indexes: Indexes::new(),
                room: Atomic::new(0),
                consumer <- new_mutex!(Consumer::new(slots), "evtchn reader"),
                events <- new_irq_spinlock!(events, "evtchn events"),
                readers <- new_wait_queue!("evtchn readers"),
                signals: SignalQueue::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Queues a port that has had an event. Any context.
    #[inline]
    pub(crate) fn push(&self, port: u32) {
        let mut events = self.events.lock();
        events.count += 1;
        let pushed = events.producer.push(&self.indexes, port);
        drop(events);
        if pushed == Pushed::First {
            self.readers.wake(Ready::READ);
            self.signals.readable();
        }
    }

    /// Makes sure of a slot for each of `ports` ports. May sleep.
    pub(crate) fn make_room(&self, ports: usize) -> Result {
        let mut consumer = self.consumer.lock();
        let room = self.room.load(Relaxed);
        if ports <= room {
            return Ok(());
        }
        let room = slots_for(ports, room).ok_or(ENOMEM)?;
        let slots = Slots::new(room)?;
        let mut events = self.events.lock();
        let old = grow(&mut events.producer, &mut consumer, &self.indexes, slots);
        self.room.store(room, Relaxed);
        drop(events);
        // Not under the spin lock: freeing may sleep.
        drop(old);
        Ok(())
    }

    /// Reads the numbers of ports, as many as are queued and fit.
    ///
    /// # Errors
    ///
    /// `EFBIG` if events were lost, `EAGAIN` if it had to wait and must not, `EFAULT` if the
    /// process's buffer cannot be written, in which case the ports stay queued.
    pub(crate) fn read(&self, to: &mut IovIterDest<'_>, wait: Wait) -> Result<usize> {
        let max = to.len().min(MAX_BYTES) / PORT;
        if max == 0 {
            return Ok(0);
        }
        loop {
            let mut consumer = match wait {
                Wait::Never => self.consumer.try_lock().ok_or(EAGAIN)?,
                Wait::ForData | Wait::ForOthers => self.consumer.lock(),
            };
            if self.indexes.has_overflowed() {
                return Err(EFBIG);
            }
            if !self.indexes.is_empty() {
                return self.deliver(&mut consumer, to, max);
            }
            drop(consumer);
            if wait != Wait::ForData {
                return Err(EAGAIN);
            }
            self.readers.wait(|| !self.indexes.is_empty())?;
        }
    }

    fn deliver(
        &self,
        consumer: &mut Consumer<Slots>,
        to: &mut IovIterDest<'_>,
        max: usize,
    ) -> Result<usize> {
        let mut chunk = [0; 64];
        let mut done = 0;
        while done < max {
            let part = (max - done).min(chunk.len());
            let room = chunk.get_mut(..part).unwrap_or_default();
            let count = consumer.peek(&self.indexes, done as u32, room);
            if count == 0 {
                break;
            }
            user::copy_to_iter(to, room.get(..count).unwrap_or_default())?;
            done += count;
        }
        consumer.consume(&self.indexes, done as u32);
        Ok(done * PORT)
    }

    /// Empties the queue, after which no events count as lost.
    pub(crate) fn reset(&self) {
        let mut consumer = self.consumer.lock();
        let mut events = self.events.lock();
        reset(&mut events.producer, &mut consumer, &self.indexes);
    }

    /// What the file is ready for: writing always, unless events were lost.
    pub(crate) fn poll<'a>(&'a self, poll: Poll<'a>) -> Ready {
        poll.watch(&self.readers);
        if self.indexes.has_overflowed() {
            Ready::ERROR
        } else if self.indexes.is_empty() {
            Ready::WRITE
        } else {
            Ready::READ.and(Ready::WRITE)
        }
    }

    /// The processes that want a signal (`O_ASYNC`).
    pub(crate) fn signals(&self) -> &SignalQueue {
        &self.signals
    }

    /// Its figures, for debugfs.
    pub(crate) fn figures(&self) -> Figures {
        let events = self.events.lock().count;
        Figures {
            pending: self.indexes.len(),
            room: self.room.load(Relaxed),
            events,
            lost: self.indexes.has_overflowed(),
        }
    }
}

/// The figures of a queue.
pub(crate) struct Figures {
    /// Ports that wait to be read.
    pub(crate) pending: u32,
    /// Slots for such ports.
    pub(crate) room: usize,
    /// Events since the file was opened.
    pub(crate) events: u64,
    /// The queue has overflowed, and was not reset since.
    pub(crate) lost: bool,
}
