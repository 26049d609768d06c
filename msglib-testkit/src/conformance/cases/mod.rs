//! The cases, one function each; the name begins with the rule's number.
//!
//! Each takes a new fixture, panics when the rule is broken, and returns [`Skipped`](super::Skipped) when the
//! fixture cannot do what the case needs.

mod closing;
mod failing;
mod opening;
mod reading;
mod reporting;
mod stopping;
mod time;
mod waking;
mod writing;

// Whole, since the list below has each name, and a test compares.
pub use closing::*;
pub use failing::*;
pub use opening::*;
pub use reading::*;
pub use reporting::*;
pub use stopping::*;
pub use time::*;
pub use waking::*;
pub use writing::*;

/// The one list of the cases, for whatever is to be done with each: calls `$then!` with the arguments in the
/// brackets and all names.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ([$($then:tt)+] [$($arguments:tt)*]) => {
        $($then)+! { [$($arguments)*]
            t01_opened_comes_first
            t01_opened_comes_once
            t01_a_peer_that_is_gone_already_is_opened
            t02_ids_are_never_used_again
            t02_an_old_id_reaches_nobody
            t03_data_is_reported
            t03_data_from_before_the_first_poll_is_reported
            t03_each_of_many_is_reported
            t03_the_end_is_reported
            t04_read_fills_at_most_the_buffer
            t04_no_data_is_not_an_end
            t04_the_end_sticks
            t04_an_empty_buffer_changes_nothing
            t05_new_data_after_would_block_is_reported
            t05_new_data_after_a_short_count_is_reported
            t05_an_end_behind_a_short_count_is_reported_again
            t05_an_end_behind_a_full_buffer_is_reported_again
            t05_an_end_is_reported_until_it_is_read
            t05_none_of_many_ends_is_forgotten
            t06_write_takes_a_prefix
            t06_many_buffers_are_one_sequence
            t06_writing_nothing_changes_nothing
            t07_bytes_from_the_peer_arrive_in_order
            t07_bytes_to_the_peer_arrive_in_order
            t07_both_directions_at_once
            t07_connections_do_not_mix
            t08_a_drain_delivers_what_was_accepted
            t08_a_drain_of_nothing_ends
            t08_a_drain_throws_away_what_the_peer_still_sends
            t08_a_drain_lets_the_peer_finish_sending
            t08_a_drain_after_the_peers_half_close_delivers
            t08_a_drain_gives_up_at_its_deadline
            t08_a_deadline_ends_a_wait
            t08_a_second_drain_loses_nothing
            t08_an_abort_ends_at_once
            t08_an_abort_overrides_a_drain
            t08_closing_twice_is_harmless
            t08_nothing_is_reported_after_close
            t09_an_answer_after_the_peers_half_close
            t09_a_long_answer_after_the_peers_half_close
            t10_a_reset_does_not_fail_poll
            t10_a_peer_that_vanishes_does_not_fail_poll
            t11_a_zero_timeout_never_blocks
            t12_now_never_goes_back
            t13_writable_follows_would_block
            t13_writable_follows_a_partial_write
            t14_an_unknown_id_is_not_found
            t14_a_closed_id_is_not_found
            t14_a_reset_is_told_and_final
            t14_writing_to_a_peer_that_is_gone_fails
            t15_a_wake_ends_a_waiting_poll
            t15_a_wake_while_nobody_waits_ends_the_next_poll
            t16_news_are_announced
            t16_the_latest_waker_counts
            t17_who_comes_later_is_not_opened
            t17_open_connections_go_on
            t17_who_had_connected_is_opened_or_ended
        }
    };
}

/// Stamps the conformance kit over a [`Fixture`](crate::conformance::Fixture): one `#[test]` for each case.
///
/// Each use wants a module of its own, since the names of the tests are always the same. The documentation of
/// [`Fixture`](crate::conformance::Fixture) has a complete example.
#[macro_export]
macro_rules! conformance {
    ($fixture:ty) => {
        $crate::__conformance_cases! { [$crate::__conformance_stamp] [$fixture] }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_stamp {
    ([$fixture:ty] $($case:ident)+) => {
        $(
            #[test]
            fn $case() {
                $crate::conformance::run::<$fixture>(stringify!($case), $crate::conformance::cases::$case::<$fixture>);
            }
        )+
    };
}

macro_rules! names {
    ([] $($case:ident)+) => { &[$(stringify!($case)),+] };
}

/// The name of each case.
pub const NAMES: &[&str] = __conformance_cases! { [names] [] };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Rule;
    use std::collections::BTreeSet;

    #[test]
    fn every_case_is_in_the_list() {
        let sources = [
            include_str!("closing.rs"),
            include_str!("failing.rs"),
            include_str!("opening.rs"),
            include_str!("reading.rs"),
            include_str!("reporting.rs"),
            include_str!("stopping.rs"),
            include_str!("time.rs"),
            include_str!("waking.rs"),
            include_str!("writing.rs"),
        ];
        let written: BTreeSet<&str> = sources
            .iter()
            .flat_map(|source| source.lines())
            .filter_map(|line| line.strip_prefix("pub fn ")?.split('<').next())
            .collect();
        let listed: BTreeSet<&str> = NAMES.iter().copied().collect();
        assert_eq!(written, listed);
        assert_eq!(listed.len(), NAMES.len(), "none twice");
    }

    #[test]
    fn every_rule_has_a_case() {
        for rule in Rule::ALL {
            let prefix = format!("t{:02}_", rule as u8 + 1);
            assert!(NAMES.iter().any(|name| name.starts_with(&prefix)), "{rule}");
        }
    }
}
