//! Messages that leave a queue other than by an ack: dead letters go to their queue, and the policy is told.

use super::ConnectionHandler;
use super::queues::QueueIndex;
use crate::core::Context;
use crate::owners::Who;
use crate::policy::Departure;
use crate::queue::Departed;
use msglib_proto::OwnedName;

/// How often a message that makes another one leave, which makes another one leave, and so on, may do so at once: as often as the most hops that a dead
/// letter can be allowed. So a policy that sends all that is dropped to a queue that drops comes to an end.
const MOST_ROUNDS: u32 = 255;

impl ConnectionHandler {
    /// Sees off those that have left a queue, and those that had to make room for them elsewhere.
    pub(super) fn see_off(&mut self, cx: &mut Context<'_>, index: QueueIndex) {
        let mut from = vec![(index, 0)];
        while let Some((index, round)) = from.pop() {
            let queue = &mut self.queues.get_mut(index).0;
            let all: Vec<Departed> = core::iter::from_fn(|| queue.take_departed()).collect();
            if all.is_empty() {
                continue;
            }
            // It does not make room for the queue where they go.
            self.queues.link(index);
            for departed in all {
                // Hops of dead letters are counted and bounded; where a policy sends what has left is not.
                match round < MOST_ROUNDS {
                    true => from.extend(self.send_on(cx, index, departed).map(|index| (index, round + 1))),
                    false => self.lose_on_the_way(index, departed),
                }
            }
            self.queues.unlink(index, self.clock.now());
        }
    }

    /// A message of a queue that was deleted: a policy may keep it in another one.
    pub(super) fn see_off_deleted(&mut self, cx: &mut Context<'_>, name: &OwnedName, departed: Departed) {
        let Some(target) = self.ask_policy(name, None, &departed) else {
            return departed.discard(self.queues.store_mut());
        };
        let now = self.clock.now();
        let lost = match self.open_queue(cx, target.borrow(), None, Who::Host) {
            Err(_) => departed,
            Ok(goes_to) => {
                let (queue, store) = self.queues.get_mut(goes_to);
                let admitted = queue.admit(store, now, departed);
                self.changed(cx, goes_to);
                self.queues.used(goes_to, now);
                match admitted {
                    Ok(_) => return,
                    Err((_, departed)) => departed,
                }
            }
        };
        let _ = self.ask_policy(name, None, &lost);
        lost.discard(self.queues.store_mut());
    }

    fn lose_on_the_way(&mut self, index: QueueIndex, departed: Departed) {
        match self.queues.slot(index).name.clone() {
            Some(name) => self.lose(index, &name, departed),
            None => departed.discard(self.queues.store_mut()),
        }
    }

    /// Sends one of them on; to which queue, if it has gone to one.
    fn send_on(&mut self, cx: &Context<'_>, index: QueueIndex, mut departed: Departed) -> Option<QueueIndex> {
        let slot = self.queues.slot(index);
        let Some(name) = slot.name.clone() else {
            departed.discard(self.queues.store_mut());
            return None;
        };
        let dead_letter = slot.queue.config().redelivery.dead_letter.clone().filter(|_| departed.is_dead_letter());
        if let Some(cause) = departed.cause_mut().filter(|_| dead_letter.is_some()) {
            cause.source = Some(name.clone());
        }
        let by_policy = self.ask_policy(&name, dead_letter.as_ref(), &departed);
        let who = if by_policy.is_some() { Who::Host } else { self.queues.owner(index) };
        let Some(target) = by_policy.or(dead_letter) else {
            departed.discard(self.queues.store_mut());
            return None;
        };
        let now = self.clock.now();
        let lost = match self.open_queue(cx, target.borrow(), None, who) {
            Err(_) => departed,
            Ok(goes_to) => {
                let (queue, store) = self.queues.get_mut(goes_to);
                let admitted = queue.admit(store, now, departed);
                self.queues.used(goes_to, now);
                match admitted {
                    Ok(_) => {
                        self.mark_dirty(goes_to);
                        self.alarms.touch(&mut self.queues, goes_to);
                        return Some(goes_to);
                    }
                    Err((_, departed)) => departed,
                }
            }
        };
        self.lose(index, &name, lost);
        None
    }

    /// There is no room for a dead letter.
    fn lose(&mut self, index: QueueIndex, name: &OwnedName, mut departed: Departed) {
        if departed.is_dead_letter() {
            self.queues.get_mut(index).0.lost_dead_letter(&mut departed);
        }
        let _ = self.ask_policy(name, None, &departed);
        departed.discard(self.queues.store_mut());
    }

    fn ask_policy(
        &mut self,
        queue: &OwnedName,
        dead_letter: Option<&OwnedName>,
        departed: &Departed,
    ) -> Option<OwnedName> {
        let policy = self.policy.as_mut()?;
        policy.departed(&Departure {
            queue: queue.borrow(),
            id: departed.id(),
            payload: departed.payload(self.queues.store()),
            priority: departed.priority(),
            key: departed.key(),
            deliveries: departed.deliveries(),
            fate: departed.fate(),
            dead_letter_to: dead_letter.map(OwnedName::borrow),
            cause: departed.cause(),
        })
    }
}
