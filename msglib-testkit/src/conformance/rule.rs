//! The rules of the transport contract, in the words of a failure report.

use core::fmt;

/// One rule of [`msglib_proto::transport`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "their text is `Rule::text`")]
pub enum Rule {
    T1,
    T2,
    T3,
    T4,
    T5,
    T6,
    T7,
    T8,
    T9,
    T10,
    T11,
    T12,
    T13,
    T14,
    T15,
    T16,
    T17,
}

impl Rule {
    /// Every rule, in order.
    pub const ALL: [Rule; 17] = [
        Rule::T1,
        Rule::T2,
        Rule::T3,
        Rule::T4,
        Rule::T5,
        Rule::T6,
        Rule::T7,
        Rule::T8,
        Rule::T9,
        Rule::T10,
        Rule::T11,
        Rule::T12,
        Rule::T13,
        Rule::T14,
        Rule::T15,
        Rule::T16,
        Rule::T17,
    ];

    /// What the rule asks for, in one sentence.
    pub const fn text(self) -> &'static str {
        match self {
            Rule::T1 => "`Opened` is the first report about a connection, and comes exactly once",
            Rule::T2 => "an id is never used again for another connection",
            Rule::T3 => "what arrives is reported at least once",
            Rule::T4 => "`read` fills at most `buf`; `Ok(0)` is the end of the stream, and sticks",
            Rule::T5 => {
                "after `WouldBlock` or a short count new data is reported anew; a known end is reported until it is read"
            }
            Rule::T6 => "`write` accepts a prefix and says how long it was",
            Rule::T7 => "bytes arrive once, in order, unchanged",
            Rule::T8 => {
                "a drain delivers what was accepted or gives up at its deadline; an abort ends at once and overrides \
                 it; closing twice is harmless; a closed connection is silent"
            }
            Rule::T9 => "after the peer has closed its sending side the broker can still write",
            Rule::T10 => "the failure of one connection never fails `poll`",
            Rule::T11 => "`poll` with a time-out of zero never blocks",
            Rule::T12 => "`now` never goes back",
            Rule::T13 => "after `WouldBlock` or a partial write `Writable` follows when there is room",
            Rule::T14 => "an error ends its connection for good; an unknown or closed id is `NotFound`",
            Rule::T15 => "a wake from another thread ends a waiting `poll`, or the next one",
            Rule::T16 => "what `announce` has promised: its waker is called when there is something new to report",
            Rule::T17 => {
                "after `stop_accepting` nobody who connects later is opened, nobody is left waiting, and open connections go on"
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}", *self as u8 + 1)
    }
}
