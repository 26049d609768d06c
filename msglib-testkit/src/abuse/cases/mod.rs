//! The cases, one function each; the name begins with what is abused.
//!
//! Each takes a new fixture, panics when the broker or its backend does not bear the abuse, and returns
//! [`Skipped`](crate::conformance::Skipped) when the fixture cannot do what the case needs.

mod delivery;
mod flow;
mod frames;
mod framing;
mod handshake;
mod lifecycle;
mod names;

use crate::conformance::{Fixture, Outcome};

// Whole, since the list below has each name, and a test compares.
pub use delivery::*;
pub use flow::*;
pub use frames::*;
pub use framing::*;
pub use handshake::*;
pub use lifecycle::*;
pub use names::*;

/// The one list of the cases, as that of the conformance kit.
#[doc(hidden)]
#[macro_export]
macro_rules! __abuse_cases {
    ([$($then:tt)+] [$($arguments:tt)*]) => {
        $($then)+! { [$($arguments)*]
            handshake_silence_ends_at_the_deadline
            handshake_a_byte_at_a_time_ends_at_the_deadline
            handshake_all_but_one_byte_ends_at_the_deadline
            handshake_of_a_web_browser
            handshake_of_tls
            handshake_of_ssh
            handshake_of_nonsense
            handshake_with_another_magic
            handshake_without_a_common_version
            handshake_after_another_frame
            handshake_twice
            handshake_as_a_broker
            handshake_with_an_error
            handshake_with_every_bit_flipped
            framing_lengths_that_cannot_be
            framing_a_header_byte_by_byte
            framing_a_frame_in_small_pieces
            framing_types_that_nobody_knows
            framing_flags_that_nobody_knows
            framing_links_where_none_belong
            framing_fields_that_cannot_be
            framing_cut_at_every_byte
            framing_noise_between_good_frames
            framing_empty_frames_without_end
            framing_a_large_frame_in_segments_of_one_byte
            frames_cut_at_every_byte
            frames_of_the_connection_with_every_bit_flipped
            frames_of_links_with_every_bit_flipped
            frames_of_publishers_with_every_bit_flipped
            frames_of_consumers_with_every_bit_flipped
            frames_of_services_with_every_bit_flipped
            names_of_queues_are_any_bytes
            names_that_are_too_short_or_too_long
            names_of_clients_that_are_no_text
            names_of_topics_that_are_none
            names_of_settings_without_end
            names_with_nested_wildcards
            names_without_end
            flow_links_that_are_not_open
            flow_numbers_with_a_gap
            flow_credit_that_goes_back
            flow_more_than_the_credit
            flow_pings_with_the_pongs_unread
            flow_pings_before_the_welcome_is_read
            flow_acks_of_nothing
            flow_acks_of_anothers_deliveries
            flow_links_in_a_loop
            flow_the_same_message_refused_again_and_again
            flow_deliveries_unread
            flow_publishing_on_after_the_queue_is_full
            flow_publishing_on_after_the_link_is_closed
            flow_subscriptions_in_a_loop
            delivery_acks_twice_unknown_and_of_all
            delivery_hoarding_then_acking_after_the_lease
            delivery_leases_of_next_to_nothing_and_of_the_most
            delivery_times_to_live_of_nothing_and_for_ever
            delivery_delays_of_nothing_and_for_ever
            delivery_priorities_at_both_ends
            delivery_dead_letters_in_a_circle
            delivery_deadlines_of_nothing_and_of_the_most
            lifecycle_frames_after_goodbye
            lifecycle_frames_after_error
            lifecycle_more_connections_than_there_may_be
            lifecycle_idle_times_of_next_to_nothing_and_of_the_most
            lifecycle_a_crowd_that_comes_and_goes
            lifecycle_a_reset_inside_a_frame
            lifecycle_silence_ends_at_the_idle_time
            lifecycle_a_broker_that_waits_for_seven_weeks
            lifecycle_a_storm_of_connects_and_resets
            lifecycle_a_fan_out_of_ten_thousand
        }
    };
}

/// Stamps the abuse suite over a [`Fixture`](crate::conformance::Fixture): one `#[test]` for each case.
///
/// Each use wants a module of its own, since the names of the tests are always the same.
///
/// ```no_run
/// # use msglib_io_memory::{InMemoryConnectionManager, MemoryStream};
/// # use msglib_testkit::conformance::{Fixture, RawPeer};
/// # struct MyFixture;
/// # struct Peer;
/// # impl Fixture for MyFixture {
/// #     type Manager = InMemoryConnectionManager;
/// #     type Peer = Peer;
/// #     fn new() -> MyFixture { unimplemented!() }
/// #     fn manager(&mut self) -> &mut InMemoryConnectionManager { unimplemented!() }
/// #     fn connect(&mut self) -> Peer { unimplemented!() }
/// # }
/// # impl RawPeer for Peer {
/// #     fn try_read(&mut self, _: &mut [u8]) -> std::io::Result<usize> { unimplemented!() }
/// #     fn try_write(&mut self, _: &[u8]) -> std::io::Result<usize> { unimplemented!() }
/// #     fn shutdown_write(&mut self) -> std::io::Result<()> { unimplemented!() }
/// # }
/// mod abuse {
///     msglib_testkit::abuse!(super::MyFixture);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! abuse {
    ($fixture:ty) => {
        $crate::__abuse_cases! { [$crate::__abuse_stamp] [$fixture] }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __abuse_stamp {
    ([$fixture:ty] $($case:ident)+) => {
        $(
            #[test]
            fn $case() {
                $crate::conformance::run::<$fixture>(stringify!($case), $crate::abuse::cases::$case::<$fixture>);
            }
        )+
    };
}

macro_rules! names {
    ([] $($case:ident)+) => { &[$(stringify!($case)),+] };
}

macro_rules! listed {
    ([$fixture:ty] $($case:ident)+) => { vec![$((stringify!($case), $case::<$fixture> as Case<$fixture>)),+] };
}

/// A case over a fixture.
pub type Case<F> = fn(&mut F) -> Outcome;

/// Every case with its name, for a harness of one's own; [`abuse!`](crate::abuse!) is the usual way.
pub fn all<F: Fixture>() -> Vec<(&'static str, Case<F>)> {
    __abuse_cases! { [listed] [F] }
}

/// The name of each case.
pub const NAMES: &[&str] = __abuse_cases! { [names] [] };

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_case_is_in_the_list() {
        let sources = [
            include_str!("delivery.rs"),
            include_str!("flow.rs"),
            include_str!("frames.rs"),
            include_str!("framing.rs"),
            include_str!("handshake.rs"),
            include_str!("lifecycle.rs"),
            include_str!("names.rs"),
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
}
