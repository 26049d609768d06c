//! The messages of a queue by their ids.

use super::message::MessageId;
use super::messages::Ticket;
use std::collections::BTreeMap;

/// Ids that follow each other share an entry of the map, for most of a queue's do: each then takes 9 bytes, and not 34. One that is far
/// from all others takes 73.
#[derive(Debug, Default)]
pub(super) struct Index {
    pages: BTreeMap<u64, Page>,
}

/// How many ids share an entry.
const PAGE: u64 = 8;

/// Of each of them the number of the ticket, or [`NONE`].
type Page = [u32; PAGE as usize];

/// No ticket has this number: there are fewer messages.
const NONE: u32 = u32::MAX;

impl Index {
    pub(super) fn get(&self, id: MessageId) -> Option<Ticket> {
        let (page, place) = split(id);
        let index = self.pages.get(&page)?[place];
        (index != NONE).then_some(Ticket(index))
    }

    pub(super) fn insert(&mut self, id: MessageId, Ticket(index): Ticket) {
        let (page, place) = split(id);
        self.pages.entry(page).or_insert([NONE; PAGE as usize])[place] = index;
    }

    pub(super) fn remove(&mut self, id: MessageId) {
        let (number, place) = split(id);
        let Some(page) = self.pages.get_mut(&number) else { return };
        page[place] = NONE;
        if page.iter().all(|index| *index == NONE) {
            self.pages.remove(&number);
        }
    }
}

/// The page of an id, and its place there.
fn split(id: MessageId) -> (u64, usize) {
    (id.value() / PAGE, (id.value() % PAGE) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_until_they_are_taken_out_and_leave_nothing_behind() {
        let mut index = Index::default();
        let ids = || (1..=100).map(|number| MessageId::new(number * number));
        ids().for_each(|id| index.insert(id, Ticket(id.value() as u32 + 7)));
        for id in (0..=10_000).map(MessageId::new) {
            let is_there = ids().any(|other| other == id);
            assert_eq!(index.get(id), is_there.then(|| Ticket(id.value() as u32 + 7)), "{id}");
        }
        ids().step_by(2).for_each(|id| index.remove(id));
        assert_eq!(ids().filter(|id| index.get(*id).is_some()).count(), 50);
        ids().for_each(|id| index.remove(id));
        assert!(index.pages.is_empty());
    }
}
