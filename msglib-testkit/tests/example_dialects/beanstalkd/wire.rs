//! beanstalkd's protocol: what a client's bytes mean, in any pieces.

use super::command::{Command, MAX_LINE, MAX_NAME, Wrong};
use super::dialect::Beanstalk;
use crate::chunking::{assert_any_chunking_decodes_the_same, cuts, decode};
use proptest::prelude::*;

const MAX_JOB: u32 = 20;

fn commands(bytes: &[u8]) -> Vec<String> {
    decode(&Beanstalk { max_job: MAX_JOB }, &[bytes]).0
}

fn shown(commands: &[Command<'_>]) -> Vec<String> {
    commands.iter().map(|command| format!("{command:?}")).collect()
}

#[test]
fn what_greenstalk_sends_means_what_it_means() {
    use Command::*;
    let body = b"hello";
    let cases: [(&str, Command<'_>); 26] = [
        ("put 65536 0 60 5\r\nhello", Put { priority: 65536, delay: 0, ttr: 60, body }),
        ("put 4294967295 1 2 0\r\n", Put { priority: u32::MAX, delay: 1, ttr: 2, body: b"" }),
        ("use default", Use { tube: "default" }),
        ("reserve", Reserve { timeout: None }),
        ("reserve-with-timeout 0", Reserve { timeout: Some(0) }),
        ("reserve-job 7", ReserveJob { id: 7 }),
        ("delete 18446744073709551615", Delete { id: u64::MAX }),
        ("release 7 1 2", Release { id: 7, priority: 1, delay: 2 }),
        ("bury 7 1", Bury { id: 7, priority: 1 }),
        ("touch 7", Touch { id: 7 }),
        ("watch a-b+c/d;e.f$g_h()", Watch { tube: "a-b+c/d;e.f$g_h()" }),
        ("ignore x", Ignore { tube: "x" }),
        ("peek 7", Peek { id: 7 }),
        ("peek-ready", PeekReady),
        ("peek-delayed", PeekDelayed),
        ("peek-buried", PeekBuried),
        ("kick 10", Kick { bound: 10 }),
        ("kick-job 7", KickJob { id: 7 }),
        ("stats", Stats),
        ("stats-job 7", StatsJob { id: 7 }),
        ("stats-tube x", StatsTube { tube: "x" }),
        ("list-tubes", ListTubes),
        ("list-tube-used", ListTubeUsed),
        ("list-tubes-watched", ListTubesWatched),
        ("pause-tube x 3", PauseTube { tube: "x", delay: 3 }),
        ("quit", Quit),
    ];
    let all: String = cases.iter().map(|(line, _)| format!("{line}\r\n")).collect();
    assert_eq!(commands(all.as_bytes()), shown(&cases.map(|(_, command)| command)));
}

#[test]
fn what_makes_no_sense_is_told_apart_and_the_next_command_is_understood() {
    use Wrong::*;
    let name = "x".repeat(MAX_NAME);
    let cases: Vec<(Vec<u8>, Wrong)> = vec![
        (b"gimme\r\n".to_vec(), UnknownCommand),
        (b"\r\n".to_vec(), UnknownCommand),
        (b"reserve 1\r\n".to_vec(), BadFormat),
        (b"reserve-with-timeout\r\n".to_vec(), BadFormat),
        (b"delete -1\r\n".to_vec(), BadFormat),
        (b"delete +1\r\n".to_vec(), BadFormat),
        (b"delete 18446744073709551616\r\n".to_vec(), BadFormat),
        (b"put 4294967296 0 1 1\r\nx\r\n".to_vec(), BadFormat),
        (b"put 1 0 1\r\n".to_vec(), BadFormat),
        (b"use -x\r\n".to_vec(), BadFormat),
        (b"use x,y\r\n".to_vec(), BadFormat),
        (format!("use {name}x\r\n").into_bytes(), BadFormat),
        (b"use \xff\r\n".to_vec(), BadFormat),
        (b"put 1 0 1 3\r\nabcde".to_vec(), ExpectedCrlf),
        (b"put 1 0 1 21\r\n123456789012345678901\r\n".to_vec(), JobTooBig),
        ([&b"x".repeat(MAX_LINE), &b"y\r\r\n"[..]].concat(), BadFormat),
        ([&b"x".repeat(MAX_LINE - 1), &b"\r\n"[..]].concat(), BadFormat),
        ([&b"x".repeat(5 * MAX_LINE), &b"\n\r\n"[..]].concat(), BadFormat),
    ];
    for (bytes, wrong) in cases {
        let expected = shown(&[Command::Senseless(wrong), Command::Quit]);
        assert_eq!(commands(&[&bytes[..], b"quit\r\n"].concat()), expected, "{}", bytes.escape_ascii());
    }
    let longest = format!("pause-tube {name} 4294967295\r\n");
    assert_eq!(longest.len(), MAX_LINE);
    assert_eq!(commands(longest.as_bytes()), shown(&[Command::PauseTube { tube: &name, delay: u32::MAX }]));
    let largest = commands(b"put 1 0 1 20\r\n12345678901234567890\r\n");
    assert!(largest[0].starts_with("Put"), "{largest:?}");
}

proptest! {
    #[test]
    fn any_pieces_decode_the_same(
        lines in prop::collection::vec(
            prop_oneof![
                "(reserve|stats|quit|peek-ready|list-tubes)",
                "(delete|touch|kick|use|watch) [0-9a-z-]{1,5}",
                "put [0-9]{1,3} [0-9] [0-9] ([0-9]|1[0-9]|2[0-9])\r\n[a-z\r\n]{0,25}",
                "[a-z \r\n]{0,300}",
            ],
            0..8,
        ),
        cuts in cuts(),
    ) {
        let bytes: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        assert_any_chunking_decodes_the_same(&Beanstalk { max_job: MAX_JOB }, bytes.as_bytes(), &cuts);
    }
}
