//! Rest, and the end of the faults.

use super::World;
use crate::simulate::checker::Violation;
use crate::simulate::client::Client;
use msglib_broker::Handler;
use msglib_proto::transport::ConnectionManager;

/// Rounds in which something still moved before it is said that there is no rest.
const MOST_ROUNDS: usize = 200_000;

/// Rounds in which nothing moved before it is said that there is rest: what a fault held back comes some polls late.
const STILL: usize = 4;

impl<H: Handler + 'static> World<'_, H> {
    /// Everybody goes on, without new faults, until nothing moves any more; then the books are compared.
    pub(in crate::simulate) fn rest(&mut self) -> Result<(), Violation> {
        self.calm(true);
        self.is_resting = true;
        self.settle()?;
        self.is_resting = false;
        self.look(|checker, view| checker.at_rest(view))?;
        self.facts.rested();
        let is_healed = self.facts.is_healed;
        self.calm(is_healed);
        Ok(())
    }

    /// Until nothing moves any more.
    pub(in crate::simulate) fn settle(&mut self) -> Result<(), Violation> {
        let mut still = 0;
        for _ in 0..MOST_ROUNDS {
            still = if self.tick()? { 0 } else { still + 1 };
            if still == STILL {
                return self.is_everything_said();
            }
        }
        Err(Violation {
            checker: "liveness",
            words: format!("there is no rest: after {MOST_ROUNDS} steps something still moves").into(),
        })
    }

    /// Who reads is read from.
    fn is_everything_said(&self) -> Result<(), Violation> {
        let (facts, timeout) = (&self.facts, self.setup.broker.core.answer_timeout);
        let is_heard = |client: &&Client| {
            let number = client.connection;
            !client.is_stalled && !facts.own.is_waiting(number) && !facts.may_wait_for_a_place(number, timeout)
        };
        let waits = self.clients.iter().flatten().find(|client| !client.has_said_all() && is_heard(client));
        match waits {
            None => Ok(()),
            Some(client) => Err(Violation {
                checker: "liveness",
                words: format!("{} reads all, and the broker does not read what it says", client.connection).into(),
            }),
        }
    }

    /// The faults are over, for good: whoever was stalled goes on, and who vanished is gone.
    pub(in crate::simulate) fn heal(&mut self) -> Result<(), Violation> {
        self.facts.is_healed = true;
        self.calm(true);
        self.room.borrow_mut().fuse = None;
        while self.decide(0, true) {}
        self.lay_ghosts()?;
        (0..self.clients.len()).for_each(|client| self.stall(client, false));
        Ok(())
    }

    fn calm(&mut self, is_calm: bool) {
        let Some(broker) = &mut self.broker else { return };
        let manager = broker.connection_manager_mut();
        match is_calm {
            true => manager.heal(),
            false => manager.resume(),
        }
    }

    pub(in crate::simulate) fn connections(&self) -> usize {
        self.broker.as_ref().map_or(0, |broker| broker.connections() + broker.connection_manager().draining())
    }
}
