// SPDX-License-Identifier: GPL-2.0

//! What a backend is going to do, as its seed says. The same seed makes the same plan; what becomes of it also depends on what
//! the frontend does meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use crate::values;

/// One kind of misbehaviour on a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// A field of a response is not what it should be.
    Field,
    /// A response is made of random bytes.
    Garbage,
    /// A response comes twice.
    Duplicate,
    /// Responses come in another order.
    Reorder,
    /// A response never comes.
    Withhold,
    /// A response comes long after it could.
    Late,
    /// A response comes before anything was done for it.
    Early,
    /// A response has no request.
    Unasked,
    /// The producer index jumps.
    Jump,
    /// The index from which on events are wanted makes no sense.
    EventIndex,
    /// Events come without a response.
    Storm,
    /// Responses and indices change while the frontend may be reading them.
    Tear,
    /// A page stays mapped after its response.
    Keep,
    /// A page that should not be written any more is.
    Scribble,
    /// What the device transports is not what it should be.
    Content,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Field,
        Self::Garbage,
        Self::Duplicate,
        Self::Reorder,
        Self::Withhold,
        Self::Late,
        Self::Early,
        Self::Unasked,
        Self::Jump,
        Self::EventIndex,
        Self::Storm,
        Self::Tear,
        Self::Keep,
        Self::Scribble,
        Self::Content,
    ];

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        let is_called = |lie: &Self| format!("{lie:?}").eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(is_called)
    }
}

/// How a backend ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It closes and lets go when the frontend has closed.
    Close,
    /// It closes and goes on using rings and pages until the device is removed.
    CloseAndUse,
    /// It unmaps everything and says nothing; then somebody closes the device for it.
    Die,
    /// Its folder vanishes from the xenstore.
    Vanish,
    /// The device is taken from the guest while the backend goes on.
    Removed,
    /// It is Closed without having been Closing, and InitWait again.
    Restart,
}

impl Ending {
    const ALL: [Self; 6] = [
        Self::Close,
        Self::CloseAndUse,
        Self::Die,
        Self::Vanish,
        Self::Removed,
        Self::Restart,
    ];
}

/// What a backend does to one of its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeLie {
    /// It is not there.
    Missing,
    /// It has this value.
    Value(Vec<u8>),
    /// It has one value after the other, all the time.
    Changing(Vec<Vec<u8>>),
}

/// A backend's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Nodes that are not as they should be.
    pub nodes: BTreeMap<String, NodeLie>,
    /// States that it has before those that are right, with the time that each lasts.
    pub states: Vec<(Vec<u8>, Duration)>,
    /// Whether the toolstack tells the guest that it is not to be trusted.
    pub trusted: bool,
    /// How it lies on its rings.
    pub lies: Vec<Lie>,
    /// How many responses are right before the first lie.
    pub calm: u32,
    /// Of so many responses that follow, one is a lie.
    pub interval: u32,
    /// How many responses it gives before it ends, if there is work for so many.
    pub serves: u32,
    /// How it ends.
    pub ending: Ending,
    /// Whether packets that are sent as they are stay mapped too, and not copies only.
    pub keeps_packets: bool,
    /// How long it sends events without work, as fast as it can, before it ends.
    pub storm: Duration,
    /// How long a frontend has for its offer that may refuse the device.
    pub patience: Option<Duration>,
}

impl Plan {
    /// The plan for a backend whose nodes are called `keys`.
    pub fn draw(rng: &mut Rng, keys: &[&str]) -> Self {
        let mut nodes = BTreeMap::new();
        // A backend that the frontend does not even connect to tells little about rings.
        if rng.u8(..3) == 0 {
            for _ in 0..rng.usize(1..4) {
                let key = keys[rng.usize(..keys.len())];
                let lie = match rng.u8(..6) {
                    0 => NodeLie::Missing,
                    1 | 2 => NodeLie::Changing((0..4).map(|_| values::malformed(rng)).collect()),
                    _ => NodeLie::Value(values::malformed(rng)),
                };
                nodes.insert(key.to_owned(), lie);
            }
        }
        let mut states = Vec::new();
        if rng.u8(..4) == 0 {
            for _ in 0..rng.usize(1..8) {
                let lasts = Duration::from_millis(rng.u64(0..60));
                states.push((values::state(rng), lasts));
            }
        }
        let mut lies = Lie::ALL.to_vec();
        rng.shuffle(&mut lies);
        lies.truncate([0, 1, 1, 1, 2, 2, 3, 5][rng.usize(..8)]);
        Self {
            nodes,
            states,
            trusted: rng.bool(),
            lies,
            calm: [0, 0, 0, 1, 8, 60][rng.usize(..6)],
            interval: [1, 2, 8][rng.usize(..3)],
            serves: rng.u32(1..200),
            ending: Ending::ALL[rng.usize(..Ending::ALL.len())],
            keeps_packets: false,
            storm: Duration::ZERO,
            patience: None,
        }
    }

    /// The plan of a backend that does nothing wrong.
    pub fn honest() -> Self {
        Self {
            nodes: BTreeMap::new(),
            states: Vec::new(),
            trusted: true,
            lies: Vec::new(),
            calm: 0,
            interval: 1,
            serves: 0,
            ending: Ending::Close,
            keeps_packets: false,
            storm: Duration::ZERO,
            patience: None,
        }
    }

    /// The plan of a backend that tells these lies and no others, all the time.
    pub fn only(trusted: bool, lies: Vec<Lie>) -> Self {
        Self {
            trusted,
            lies,
            interval: 2,
            serves: 150,
            ..Self::honest()
        }
    }

    /// The plan of a backend that answers for packets and keeps them mapped.
    pub fn keeping() -> Self {
        Self {
            lies: vec![Lie::Keep],
            serves: 50,
            keeps_packets: true,
            ..Self::honest()
        }
    }

    /// The plan of a backend that does nothing wrong but to send events all the time for so long.
    pub fn storming(lasts: Duration) -> Self {
        Self {
            storm: lasts,
            ..Self::honest()
        }
    }

    /// The plan of a device that is taken away again, perhaps while the frontend makes its offer.
    pub fn leaving(after: Duration) -> Self {
        Self {
            patience: Some(after),
            ..Self::honest()
        }
    }

    /// The plan of an honest backend of a guest that may be short of grant references, event channels or memory.
    pub fn to_a_guest_in_need() -> Self {
        Self {
            serves: 50,
            patience: Some(Duration::from_secs(4)),
            ..Self::honest()
        }
    }

    /// Whether the frontend has every reason to connect.
    pub fn is_honest_at_first(&self) -> bool {
        self.nodes.is_empty() && self.states.is_empty()
    }

    /// Which lie comes next, after `answered` responses, if one does.
    pub fn lie(&self, answered: u32, rng: &mut Rng) -> Option<Lie> {
        if self.lies.is_empty() || answered < self.calm || rng.u32(..self.interval) != 0 {
            return None;
        }
        Some(self.lies[rng.usize(..self.lies.len())])
    }

    /// Whether a lie is among those that are told.
    pub fn has(&self, lie: Lie) -> bool {
        self.lies.contains(&lie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seed: u64) -> Plan {
        Plan::draw(&mut Rng::with_seed(seed), &["sectors", "info"])
    }

    #[test]
    fn a_seed_makes_one_plan() {
        assert_eq!(of(7), of(7));
        assert!((0..20).any(|seed| of(seed) != of(7)));
    }

    #[test]
    fn lies_have_names() {
        assert_eq!(Lie::named("tear"), Some(Lie::Tear));
        assert_eq!(Lie::named("eventindex"), Some(Lie::EventIndex));
        assert_eq!(Lie::named("truth"), None);
    }

    #[test]
    fn every_lie_and_every_ending_is_drawn() {
        let plans: Vec<_> = (0..200).map(of).collect();
        for lie in Lie::ALL {
            assert!(plans.iter().any(|plan| plan.has(lie)), "{lie:?}");
        }
        for ending in Ending::ALL {
            assert!(plans.iter().any(|plan| plan.ending == ending), "{ending:?}");
        }
        assert!(plans.iter().any(Plan::is_honest_at_first));
        assert!(plans.iter().any(|plan| plan.lies.is_empty()));
    }

    #[test]
    fn no_lie_is_told_before_its_time() {
        let mut rng = Rng::with_seed(1);
        let plan = Plan {
            lies: vec![Lie::Jump],
            calm: 3,
            interval: 1,
            ..of(1)
        };
        let lies: Vec<_> = (0..5).map(|count| plan.lie(count, &mut rng)).collect();
        assert_eq!(lies, [None, None, None, Some(Lie::Jump), Some(Lie::Jump)]);
    }
}
