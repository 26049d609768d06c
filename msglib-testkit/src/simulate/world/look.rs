//! What the checkers of a world are shown.

use super::World;
use crate::simulate::checker::{Checker, Seen, View, Violation};
use crate::simulate::featured::job_queue;
use crate::simulate::setup::queue_name;
use msglib_broker::Handler;

impl<H: Handler + 'static> World<'_, H> {
    pub(super) fn seen(&mut self, seen: &Seen<'_>) -> Result<(), Violation> {
        for checker in &mut self.checkers {
            let result = checker.sees(&self.facts, seen);
            result.map_err(|words| Violation { checker: checker.name(), words })?;
        }
        Ok(())
    }

    pub(super) fn look_after_step(&mut self) -> Result<(), Violation> {
        self.look(|checker, view| checker.after_step(view))
    }

    /// Shows the whole of it to each checker.
    pub(in crate::simulate) fn look(
        &mut self,
        look: impl Fn(&mut dyn Checker<H>, &View<'_, H>) -> Result<(), std::borrow::Cow<'static, str>>,
    ) -> Result<(), Violation> {
        let connections = self.connections();
        let Some(broker) = &self.broker else { return Ok(()) };
        let room = self.room.borrow();
        if let Some(books) = self.parts.books {
            for (queue, account) in self.accounts.iter_mut().enumerate() {
                *account = books(&room.handler, queue_name(queue));
            }
            let queues = if self.has_host() && self.setup.featured > 0 { self.setup.jobs.len() } else { 0 };
            self.job_accounts.clear();
            self.job_accounts.extend((0..queues).map(|queue| books(&room.handler, job_queue(queue))));
        }
        let view = View {
            facts: &self.facts,
            setup: &self.setup,
            handler: &room.handler,
            accounts: &self.accounts,
            jobs: &self.job_accounts,
            counters: broker.counters(),
            counters_before: &self.counters_before,
            connections,
        };
        for checker in &mut self.checkers {
            let result = look(checker.as_mut(), &view);
            result.map_err(|words| Violation { checker: checker.name(), words })?;
        }
        Ok(())
    }
}
