//! What the core is told from beside its connections: by other threads, or by its own driver between two steps.
//!
//! All of it goes through the driver as bytes, in a step ([`ConnectionManager::aside`](msglib_proto::transport::ConnectionManager::aside)), so
//! that a recording has it. Only brokers read what brokers have written, so there is no more to the bytes than that they can be told apart.

use super::answers::{AnswerId, Decision};
use core::time::Duration;
use msglib_proto::transport::Waker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// What was told and not been handed over yet.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// So that a step in which nothing was told takes no lock.
    has_news: AtomicBool,
    news: Mutex<Vec<Vec<u8>>>,
    waker: Mutex<Option<Waker>>,
}

/// One thing that was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum News {
    /// An answer that was put off.
    Answer(AnswerId, Decision),
    /// The broker is to go away.
    Drain { within: Duration },
}

impl Told {
    pub(crate) fn tell(&self, news: Vec<u8>) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(news);
        self.has_news.store(true, Ordering::Release);
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake();
        }
    }

    pub(crate) fn wake_with(&self, waker: Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
    }

    pub(crate) fn has_news(&self) -> bool {
        self.has_news.load(Ordering::Acquire)
    }

    /// Moves what was told into `news`.
    pub(crate) fn take_news(&self, news: &mut Vec<Vec<u8>>) {
        if self.has_news() {
            let mut told = self.news.lock().unwrap_or_else(PoisonError::into_inner);
            self.has_news.store(false, Ordering::Release);
            news.append(&mut told);
        }
    }
}

impl News {
    /// A drain as bytes: an id of zero, which no answer has, and the time in nanoseconds, u64.
    pub(crate) fn drain(within: Duration) -> Vec<u8> {
        let nanos = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        [0_u64.to_be_bytes(), nanos.to_be_bytes()].concat()
    }

    /// `None` for what no broker has written.
    pub(crate) fn decode(bytes: &[u8]) -> Option<News> {
        let (id, rest) = bytes.split_first_chunk::<8>()?;
        if u64::from_be_bytes(*id) > 0 {
            return Decision::decode(bytes).map(|(answer, decision)| News::Answer(answer, decision));
        }
        let nanos = u64::from_be_bytes(rest.try_into().ok()?);
        Some(News::Drain { within: Duration::from_nanos(nanos) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_read_back_and_told_apart_from_an_answer() {
        let within = Duration::from_millis(1500);
        assert_eq!(News::decode(&News::drain(within)), Some(News::Drain { within }));
        assert_eq!(
            News::decode(&News::drain(Duration::MAX)),
            Some(News::Drain { within: Duration::from_nanos(u64::MAX) })
        );
        let mut answer = 1_u64.to_be_bytes().to_vec();
        answer.push(0);
        assert!(matches!(News::decode(&answer), Some(News::Answer(..))));
        for length in 0..16 {
            assert_eq!(News::decode(&[0; 16][..length]), None);
        }
        assert_eq!(News::decode(&[0; 17]), None);
    }
}
