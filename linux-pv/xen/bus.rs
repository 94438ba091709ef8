// SPDX-License-Identifier: GPL-2.0

//! The xenbus: drivers, devices, their states, and the xenstore they talk through.
//!
//! - [`Driver`] is what a driver of a kind of devices implements.
//! - [`FrontendDriver`] is what is left of that for a front end, whose states [`Frontend`] goes
//!   through.
//! - [`Device`] is one device; as [`Device<Bound>`] it is in one of its driver's callbacks.
//! - [`Dir`] reads and writes keys of one folder of the xenstore, [`Transaction`] makes several
//!   such steps one.
//! - [`Failure`] is an error together with the answer that the other end is to get.
//!
//! C header: `include/xen/xenbus.h`.

mod device;
mod driver;
mod failure;
mod frontend;
mod ids;
mod path;
mod ready;
mod registration;
mod state;
mod store;
mod transaction;
mod unusable;
mod value;

pub use device::{
    Bound,
    Device,
    Normal, //
};
pub use driver::Driver;
pub use failure::{
    Answer,
    Failure,
    OrFail, //
};
pub use frontend::{
    Frontend,
    FrontendDriver,
    FrontendHandle, //
};
pub use ids::{
    DeviceId,
    IdTable,
    Ids, //
};
pub use path::{
    Key,
    Path, //
};
pub use ready::{
    OnReady,
    WhenReady, //
};
pub use registration::Registration;
use state::state_of;
pub use state::State;
pub use store::Dir;
pub use transaction::{
    transact,
    Transaction, //
};
pub(crate) use unusable::Unbinder;
pub use value::{
    FromStore,
    Integer,
    Problem,
    StoreError,
    Value, //
};
pub use xen_ring::xenbus::Protocol;

pub use crate::device_ids;
