//! Topics that somebody publishes on, and how many of them there may be.

use super::{TopicId, TopicName, Topics, TopicsFull};
use crate::owners::{OwnerKey, Who};

impl<S> Topics<S> {
    /// Opens a topic, to publish on it more than once. Whoever opens it has to [`close`](Topics::close) it.
    ///
    /// # Errors
    ///
    /// [`TopicsFull`]; nothing has changed.
    pub fn open(&mut self, name: TopicName<'_>) -> Result<TopicId, TopicsFull> {
        self.open_as(name, Who::Host).map(|(topic, _)| topic)
    }

    /// The same for somebody; whoever closes it also gives back whom it counts for.
    pub(crate) fn open_as(
        &mut self,
        name: TopicName<'_>,
        who: Who<'_>,
    ) -> Result<(TopicId, Option<OwnerKey>), TopicsFull> {
        if self.open >= self.config.max_topics {
            self.ledger.topics_turned_away += 1;
            return Err(TopicsFull::Topics { open: self.open });
        }
        self.check_owner(who)?;
        self.open += 1;
        let topic = self.runs.topics.find_or_make(name);
        self.runs.topics.hold(topic);
        Ok((TopicId(topic), self.owners.enter(who)))
    }

    /// Somebody who has opened the topic is done with it.
    pub fn close(&mut self, topic: TopicId) {
        self.close_as(topic, None);
    }

    pub(crate) fn close_as(&mut self, TopicId(topic): TopicId, owner: Option<OwnerKey>) {
        self.open -= 1;
        self.runs.topics.release(topic);
        owner.into_iter().for_each(|owner| self.owners.leave(owner));
    }

    pub(super) fn check_owner(&mut self, who: Who<'_>) -> Result<(), TopicsFull> {
        if self.owners.is_full(who) {
            self.ledger.identity_limits += 1;
            return Err(TopicsFull::Identity);
        }
        Ok(())
    }
}
