//! Who is on the site now: a fixed number of visits, each of one user and some events.

use crate::rng::{Rng, mix};
use crate::zipf::Zipf;

/// One event's visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visitor {
    pub(crate) user: u32,
    pub(crate) session: u64,
}

#[derive(Clone, Copy, Debug)]
struct Visit {
    visitor: Visitor,
    events_left: u32,
}

/// The visits going on. When one has sent its last event, another user's begins in its place; a user has at most one
/// visit at a time (when there are enough users), and every visit has its own session id.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    visits: Vec<Visit>,
    users: Zipf,
    /// Per user: the visits begun so far, and in the lowest bit whether one is going on.
    begun: Vec<u32>,
    seed: u64,
}

/// Makes the most active of 100,000 users about 0.3 % of all visits instead of 8 %.
const USER_FLATTEN: u32 = 50;

impl Sessions {
    pub(crate) fn new(users: u32, visits: u32, seed: u64, rng: &mut Rng) -> Self {
        let mut sessions = Self {
            visits: Vec::with_capacity(visits as usize),
            users: Zipf::new(users, USER_FLATTEN),
            begun: vec![0; users as usize],
            seed: mix(seed ^ 0x5e55_1045),
        };
        for _ in 0..visits {
            let mut visit = sessions.begin(rng);
            // Whoever is there at the start is somewhere within a visit.
            visit.events_left = 1 + rng.below(visit.events_left);
            sessions.visits.push(visit);
        }
        sessions
    }

    /// The visitor of the next event.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> Visitor {
        let at = rng.below(self.visits.len() as u32) as usize;
        let visit = &mut self.visits[at];
        let visitor = visit.visitor;
        visit.events_left -= 1;
        if visit.events_left == 0 {
            self.begun[visitor.user as usize] &= !1;
            self.visits[at] = self.begin(rng);
        }
        visitor
    }

    fn begin(&mut self, rng: &mut Rng) -> Visit {
        let mut user = self.users.draw(rng);
        for _ in 0..8 {
            if self.begun[user as usize] & 1 == 0 {
                break;
            }
            user = self.users.draw(rng);
        }
        let begun = &mut self.begun[user as usize];
        *begun = (*begun | 1).wrapping_add(2);
        let session = mix(self.seed ^ (u64::from(user) << 32) ^ u64::from(*begun >> 1));
        Visit {
            visitor: Visitor { user, session },
            events_left: visit_length(rng),
        }
    }
}

/// 2 to 40 events, 9 on average: two events, and each further one follows with 7 of 8 chances.
fn visit_length(rng: &mut Rng) -> u32 {
    let mut length = 2;
    while length < 40 && rng.next() >> 61 != 0 {
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn sessions_have_several_events_end_and_never_return() {
        let mut rng = Rng::new(3);
        let mut sessions = Sessions::new(1_000, 50, 3, &mut rng);
        let (mut current, mut over, mut events) = (HashMap::new(), HashSet::new(), HashMap::new());
        for _ in 0..20_000 {
            let visitor = sessions.next(&mut rng);
            *events.entry(visitor.session).or_insert(0_u32) += 1;
            if let Some(before) = current.insert(visitor.user, visitor.session)
                && before != visitor.session
            {
                over.insert(before);
            }
            assert!(
                !over.contains(&visitor.session),
                "a session that was over came back"
            );
        }
        assert!(over.len() > 500, "sessions end: {}", over.len());
        let mean = 20_000.0 / events.len() as f64;
        assert!((7.0..11.0).contains(&mean), "mean length {mean}");
    }
}
