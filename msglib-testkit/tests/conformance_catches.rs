//! The conformance kit catches what it is there for: each manager here is broken in one way, and the case that is about
//! that fails by the right rule, while it passes with the same manager unbroken.

#[path = "conformance_catches/announcing.rs"]
mod announcing;
#[path = "conformance_catches/broken.rs"]
mod broken;
#[path = "conformance_catches/faults.rs"]
mod faults;
#[path = "conformance_catches/stopping.rs"]
mod stopping;

use announcing::{AnnouncesNothing, AnnouncesOnce, KeepsTheFirstWaker};
use broken::{Broken, Fault, Limited};
use faults::*;
use msglib_testkit::conformance::{Fixture, Outcome, Rule, cases};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use stopping::{EndsAll, ForgetsWhoWaits, GoesOn};

#[track_caller]
fn assert_caught<B: Fault, H: Fault>(
    rule: Rule,
    with_fault: fn(&mut Broken<B>) -> Outcome,
    without: fn(&mut Broken<H>) -> Outcome,
) {
    assert_eq!(without(&mut Broken::new()), Ok(()), "the honest manager passes");
    let outcome = catch_unwind(AssertUnwindSafe(|| with_fault(&mut Broken::new())));
    let panic = outcome.expect_err("the case lets the fault pass");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.starts_with(&format!("{rule} is broken: ")), "not caught by {rule}, but so:\n{message}");
}

/// `Fault by case as Rule`: one test each, and a table of them all.
macro_rules! catches {
    ($($test:ident: $fault:ident by $case:ident as $rule:ident $(against $honest:ident)?;)+) => {
        $(
            #[test]
            fn $test() {
                assert_caught::<$fault, catches!(@honest $($honest)?)>(Rule::$rule, cases::$case, cases::$case);
            }
        )+

        #[test]
        fn a_fault_for_every_rule() {
            let broken = BTreeSet::from([$(Rule::$rule),+]);
            assert_eq!(broken, BTreeSet::from(Rule::ALL));
        }

        #[test]
        fn a_fault_for_every_case() {
            // The one that panics has a test of its own.
            let broken = BTreeSet::from([$(stringify!($case)),+, "t08_closing_twice_is_harmless"]);
            assert_eq!(broken, cases::NAMES.iter().copied().collect());
        }
    };
    (@honest) => { Honest };
    (@honest $honest:ident) => { $honest };
}

catches! {
    readable_before_opened: ReadableFirst by t01_opened_comes_first as T1;
    opened_with_each_report: OpenedAgain by t01_opened_comes_once as T1;
    a_peer_that_left_is_not_opened: ForgetsTheGone by t01_a_peer_that_is_gone_already_is_opened as T1;
    ids_without_generations: ReusesIds by t02_ids_are_never_used_again as T2;
    old_ids_that_mean_new_connections: ReusesIds by t02_an_old_id_reaches_nobody as T2;
    reports_dropped_now_and_then: DropsReports by t03_each_of_many_is_reported as T3;
    reports_cleared_away: ClearsReady by t03_data_is_reported as T3;
    no_report_in_the_poll_that_opens: LosesEarlyReports by t03_data_from_before_the_first_poll_is_reported as T3;
    no_report_for_a_lone_end: HidesLoneEnds by t03_the_end_is_reported as T3;
    more_than_the_buffer: ReadsTooMuch by t04_read_fills_at_most_the_buffer as T4;
    zero_for_no_data: ZeroForNothing by t04_no_data_is_not_an_end as T4;
    an_end_that_is_told_once: EndOnce by t04_the_end_sticks as T4;
    an_empty_read_that_takes: EmptyReadTakes by t04_an_empty_buffer_changes_nothing as T4;
    one_wake_up_for_each_connection: OneWakeUp by t05_new_data_after_would_block_is_reported as T5;
    rearmed_by_would_block_alone: EdgesOnly by t05_new_data_after_a_short_count_is_reported as T5;
    an_end_that_shared_an_edge: ForgetsEnds by t05_an_end_behind_a_short_count_is_reported_again as T5;
    an_end_behind_a_budget: ForgetsEnds by t05_an_end_behind_a_full_buffer_is_reported_again as T5;
    an_end_that_is_reported_once: ForgetsEnds by t05_an_end_is_reported_until_it_is_read as T5;
    ends_left_behind: ForgetsEnds by t05_none_of_many_ends_is_forgotten as T5;
    everything_is_written: ClaimsAll by t06_write_takes_a_prefix as T6;
    more_than_was_offered: CountsTwice by t06_write_takes_a_prefix as T6;
    buffers_in_the_wrong_order: LastBufferFirst by t06_many_buffers_are_one_sequence as T7;
    an_empty_write_that_fails: EmptyWriteFails by t06_writing_nothing_changes_nothing as T6;
    bytes_swapped: SwapsBytes by t07_bytes_from_the_peer_arrive_in_order as T7;
    bytes_doubled: DoublesBytes by t07_bytes_to_the_peer_arrive_in_order as T7;
    bytes_changed: ChangesBytes by t07_both_directions_at_once as T7;
    bytes_of_another_connection: MixesConnections by t07_connections_do_not_mix as T7;
    a_drain_that_loses: DrainAborts by t08_a_drain_delivers_what_was_accepted as T8;
    a_drain_that_loses_after_a_half_close: DrainAborts by t08_a_drain_after_the_peers_half_close_delivers as T8;
    a_drain_that_loses_what_noise_meets: DrainAborts by t08_a_drain_throws_away_what_the_peer_still_sends as T8;
    a_second_drain_that_aborts: SecondCloseAborts by t08_a_second_drain_loses_nothing as T8;
    a_drain_that_cuts_off_a_sender: DrainAborts by t08_a_drain_lets_the_peer_finish_sending as T8;
    a_drain_that_never_begins: IgnoresDrains by t08_a_drain_of_nothing_ends as T8;
    a_drain_that_never_gives_up: EndlessDrain by t08_a_drain_gives_up_at_its_deadline as T8;
    a_drain_that_gives_up_at_once: DrainAborts by t08_a_drain_gives_up_at_its_deadline as T8;
    a_wait_beyond_the_deadline: WaitsUnwakeable by t08_a_deadline_ends_a_wait as T8;
    an_abort_that_drains: AbortDrains by t08_an_abort_ends_at_once as T8;
    an_abort_that_comes_too_late: FirstCloseWins by t08_an_abort_overrides_a_drain as T8;
    chatter_after_the_end: ReportsClosed by t08_nothing_is_reported_after_close as T8;
    deaf_and_dumb: EndEndsBoth by t09_an_answer_after_the_peers_half_close as T9;
    no_room_after_a_half_close: NoWritable by t09_a_long_answer_after_the_peers_half_close as T9;
    a_reset_that_stops_all: FailsPoll by t10_a_reset_does_not_fail_poll as T10;
    a_peer_that_takes_all_along: FailsPollForTheGone by t10_a_peer_that_vanishes_does_not_fail_poll as T10;
    zero_is_a_millisecond: ZeroWaits by t11_a_zero_timeout_never_blocks as T11;
    a_clock_that_goes_back: BackwardClock by t12_now_never_goes_back as T12;
    a_clock_that_stands: StoppedClock by t12_now_never_goes_back as T12;
    no_writable: NoWritable by t13_writable_follows_would_block as T13;
    no_writable_after_a_part: NoWritable by t13_writable_follows_a_partial_write as T13;
    another_error: WrongError by t14_an_unknown_id_is_not_found as T14;
    a_closed_id_that_would_block: WrongError by t14_a_closed_id_is_not_found as T14;
    an_error_that_heals: Heals by t14_a_reset_is_told_and_final as T14;
    writes_into_the_void: WritesIntoTheVoid by t14_writing_to_a_peer_that_is_gone_fails as T14;
    a_wait_without_a_waker: WaitsUnwakeable by t15_a_wake_ends_a_waiting_poll as T15;
    a_waker_that_does_nothing: DeafWaker by t15_a_wake_ends_a_waiting_poll as T15;
    a_wake_that_came_too_early:
        ForgetsEarlyWakes by t15_a_wake_while_nobody_waits_ends_the_next_poll as T15 against KeepsWakes;
    an_empty_promise: AnnouncesNothing by t16_news_are_announced as T16;
    announced_once: AnnouncesOnce by t16_news_are_announced as T16;
    the_first_who_asked: KeepsTheFirstWaker by t16_the_latest_waker_counts as T16;
    an_open_door: GoesOn by t17_who_comes_later_is_not_opened as T17;
    an_end_for_all: EndsAll by t17_open_connections_go_on as T17;
    nobody_at_the_door: ForgetsWhoWaits by t17_who_had_connected_is_opened_or_ended as T17;
}

/// A panic of the manager's own is no verdict of the kit, but fails the case as well.
#[test]
fn closing_twice_panics() {
    let case = cases::t08_closing_twice_is_harmless;
    assert!(catch_unwind(|| case(&mut Broken::<ClosesOnce>::new())).is_err());
    assert_eq!(cases::t08_closing_twice_is_harmless(&mut Broken::<Honest>::new()), Ok(()));
}

/// A backend without half-close and reset: the cases that need them say so, and are not counted as kept.
#[test]
fn what_a_backend_cannot_do_is_said() {
    let half_close = cases::t09_an_answer_after_the_peers_half_close(&mut Limited::new());
    assert_eq!(half_close.expect_err("skipped").to_string(), "no half-close in this transport");
    let reset = cases::t14_a_reset_is_told_and_final(&mut Limited::new());
    assert_eq!(reset.expect_err("skipped").to_string(), "no reset in this transport");
    assert_eq!(cases::t03_data_is_reported(&mut Limited::new()), Ok(()));
}

/// What a failure tells: the rule, what was expected and seen, and how it came to that.
#[test]
fn a_failure_can_be_read() {
    let outcome = catch_unwind(|| cases::t04_no_data_is_not_an_end(&mut Broken::<ZeroForNothing>::new()));
    let message = outcome.expect_err("caught").downcast::<String>().expect("a message");
    assert_eq!(
        *message,
        "T4 is broken: `read` fills at most `buf`; `Ok(0)` is the end of the stream, and sticks
  expected: WouldBlock: the peer is there, and silent
  seen:     Ok(0)
  the last calls:
    peer 0 connects
    poll(1ms) → c0 opened from memory:0
    read(c0, 16 bytes) → Ok(0)
"
    );
}
