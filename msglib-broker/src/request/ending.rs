//! All the ways in which a request ends: each takes it out of what is pending, once, and that is why there is one outcome.

use super::caller::KeptOutcome;
use super::{Asked, CallerId, Key, Late, OVERHEAD, Pending, Place, Requests, ResponderId};
use crate::queue::Store;
use msglib_proto::{ErrorCode, Instant, Payload};
use std::collections::VecDeque;

impl<K> Requests<K> {
    /// A responder's reply to the request with this tag.
    ///
    /// # Errors
    ///
    /// [`Late`]; the reply has no effect.
    pub fn reply<'p>(
        &mut self,
        store: &mut Store,
        responder: ResponderId,
        tag: u64,
        payload: impl Into<Payload<'p>>,
    ) -> Result<(), Late> {
        let asked = self.take_answered(store, responder, tag)?;
        let payload = payload.into();
        match self.has_room_for(asked, payload.len()) {
            true => {
                self.ledger.replied += 1;
                let reply = KeptOutcome::Reply(store.put(payload));
                self.tell(store, asked, reply);
            }
            false => self.tell_too_slow(store, asked),
        }
        Ok(())
    }

    /// A responder's refusal of the request with this tag.
    ///
    /// # Errors
    ///
    /// [`Late`]; the refusal has no effect.
    pub fn refuse(
        &mut self,
        store: &mut Store,
        responder: ResponderId,
        tag: u64,
        code: ErrorCode,
        text: &str,
    ) -> Result<(), Late> {
        let asked = self.take_answered(store, responder, tag)?;
        self.tell_refused(store, asked, code, text);
        Ok(())
    }

    /// A responder cannot take it.
    pub(super) fn refuse_too_large(&mut self, store: &mut Store, request: Key) {
        if let Some(asked) = self.take(store, request) {
            let text = "the request is larger than the responder takes";
            self.tell_refused(store, asked, ErrorCode::MESSAGE_TOO_LARGE, text);
        }
    }

    /// Ends the requests that are due, at most `budget` of them, and returns how many those were.
    pub fn expire(&mut self, store: &mut Store, now: Instant, budget: usize) -> usize {
        for expired in 0..budget {
            let Some(key) = self.deadlines.pop(now, &self.pending) else { return expired };
            self.time_out(store, key);
        }
        budget
    }

    /// The responder is gone: what it had in hand has an outcome, and if it was the last one, what waits has one too. Returns whether it
    /// was there.
    pub fn remove_responder(&mut self, store: &mut Store, ResponderId(id): ResponderId) -> bool {
        let Some(gone) = self.responders.remove(id) else { return false };
        for key in gone.in_hand.into_requests() {
            if let Some(asked) = self.take(store, key) {
                self.ledger.responder_gone += 1;
                self.tell(store, asked, KeptOutcome::ResponderGone);
            }
        }
        if self.responders.len() == 0 {
            for key in core::mem::take(&mut self.waiting) {
                if let Some(asked) = self.take(store, key) {
                    self.ledger.no_responder += 1;
                    self.tell(store, asked, KeptOutcome::NoResponder);
                }
            }
        }
        forget(&mut self.eligible, self.responders.len(), |key| self.responders.get(key).is_some());
        true
    }

    /// The caller is gone: its requests end without a word, and what still waited for it is dropped. Returns whether it was there.
    pub fn remove_caller(&mut self, store: &mut Store, CallerId(id): CallerId) -> bool {
        let Some(gone) = self.callers.remove(id) else { return false };
        for key in &gone.pending {
            self.ledger.abandoned += u64::from(self.take(store, *key).is_some());
        }
        let (unheard, bytes) = gone.clear(store);
        self.ledger.untold -= unheard as u64;
        self.ledger.unheard += unheard as u64;
        self.reply_bytes -= bytes;
        forget(&mut self.to_tell, self.callers.len(), |key| self.callers.get(key).is_some());
        true
    }

    /// The end of the service: drops every request and every outcome.
    pub fn discard(mut self, store: &mut Store) {
        for key in core::mem::take(&mut self.waiting) {
            self.take(store, key);
        }
        for caller in self.callers.into_values() {
            caller.clear(store);
        }
    }

    /// The deadline has come first.
    pub(super) fn time_out(&mut self, store: &mut Store, request: Key) {
        if let Some(asked) = self.take(store, request) {
            self.ledger.timed_out += 1;
            self.tell(store, asked, KeptOutcome::TimedOut);
        }
    }

    /// Leaves an outcome with a caller.
    pub(super) fn tell(&mut self, store: &mut Store, Asked { caller, number }: Asked, outcome: KeptOutcome) {
        // One that is gone has taken its requests with it.
        let Some(told) = self.callers.get_mut(caller) else { return outcome.remove(store) };
        self.reply_bytes += told.put(number, outcome);
        self.ledger.untold += 1;
        self.list_caller(caller);
    }

    fn tell_refused(&mut self, store: &mut Store, asked: Asked, code: ErrorCode, text: &str) {
        match self.has_room_for(asked, text.len()) {
            true => {
                self.ledger.refused += 1;
                let refusal = KeptOutcome::Refused(code, store.put(text.into()));
                self.tell(store, asked, refusal);
            }
            false => self.tell_too_slow(store, asked),
        }
    }

    fn tell_too_slow(&mut self, store: &mut Store, asked: Asked) {
        self.ledger.caller_too_slow += 1;
        self.tell(store, asked, KeptOutcome::CallerTooSlow);
    }

    fn has_room_for(&self, asked: Asked, payload: usize) -> bool {
        let most = if self.is_tight { 0 } else { self.config.max_replies };
        let caller = self.callers.get(asked.caller);
        caller.is_some_and(|caller| caller.has_room(payload + OVERHEAD, most))
    }

    fn take_answered(&mut self, store: &mut Store, ResponderId(id): ResponderId, tag: u64) -> Result<Asked, Late> {
        let key = self.responders.get_mut(id).and_then(|responder| responder.in_hand.take(tag));
        let asked = key.and_then(|key| self.take(store, key));
        self.list_responder(id);
        asked.ok_or_else(|| {
            self.ledger.late += 1;
            Late
        })
    }

    /// Takes a request out of all that knows it.
    fn take(&mut self, store: &mut Store, request: Key) -> Option<Asked> {
        let Pending { asked, place, .. } = self.pending.remove(request)?;
        if let Some(caller) = self.callers.get_mut(asked.caller) {
            caller.pending.remove(&request);
        }
        match place {
            Place::InHand { responder, tag } => {
                self.ledger.in_hand -= 1;
                if let Some(holder) = self.responders.get_mut(responder) {
                    holder.in_hand.take(tag);
                }
                self.list_responder(responder);
            }
            waiting => {
                self.stop_waiting(store, waiting);
                let alive = self.ledger.waiting as usize;
                forget(&mut self.waiting, alive, |request| self.pending.get(request).is_some());
            }
        }
        Some(asked)
    }

    /// What a request had while it waited goes.
    pub(super) fn stop_waiting(&mut self, store: &mut Store, place: Place) {
        if let Place::Waiting(stored) = place {
            self.bytes -= stored.len() + OVERHEAD;
            self.ledger.waiting -= 1;
            store.remove(stored);
        }
    }
}

/// What is over must not pile up in a list from which it is taken only in its turn.
fn forget(list: &mut VecDeque<Key>, alive: usize, is_alive: impl Fn(Key) -> bool) {
    const FEW: usize = 64;
    if list.len() > FEW + 2 * alive {
        list.retain(|key| is_alive(*key));
    }
}
