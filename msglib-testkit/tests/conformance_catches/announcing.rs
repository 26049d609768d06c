//! Faults of `announce`: promises that are not kept (T16).

use super::broken::{Fault, Memory};
use msglib_proto::transport::{ConnectionManager, Waker};
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Default)]
pub(crate) struct AnnouncesNothing;
impl Fault for AnnouncesNothing {
    fn announce(&mut self, _: &mut Memory, _: Waker) -> bool {
        true
    }
}

/// Takes the waker for something that is used up.
#[derive(Default)]
pub(crate) struct AnnouncesOnce;
impl Fault for AnnouncesOnce {
    fn announce(&mut self, honest: &mut Memory, waker: Waker) -> bool {
        let done = AtomicBool::new(false);
        honest.announce(Waker::new(move || {
            if !done.swap(true, Ordering::AcqRel) {
                waker.wake();
            }
        }))
    }
}

#[derive(Default)]
pub(crate) struct KeepsTheFirstWaker(bool);
impl Fault for KeepsTheFirstWaker {
    fn announce(&mut self, honest: &mut Memory, waker: Waker) -> bool {
        if !self.0 {
            self.0 = honest.announce(waker);
        }
        true
    }
}
