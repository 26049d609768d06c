//! What a client of beanstalkd can say: one line of words, and behind a `put` the job itself.

/// A whole command line, with its end, has at most so many bytes: room for the longest name of a tube.
pub(crate) const MAX_LINE: usize = 224;
/// The longest name of a tube, in bytes.
pub(crate) const MAX_NAME: usize = 200;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Command<'a> {
    Put {
        priority: u32,
        delay: u32,
        ttr: u32,
        body: &'a [u8],
    },
    Use {
        tube: &'a str,
    },
    Reserve {
        timeout: Option<u32>,
    },
    ReserveJob {
        id: u64,
    },
    Delete {
        id: u64,
    },
    Release {
        id: u64,
        priority: u32,
        delay: u32,
    },
    Bury {
        id: u64,
        priority: u32,
    },
    Touch {
        id: u64,
    },
    Watch {
        tube: &'a str,
    },
    Ignore {
        tube: &'a str,
    },
    Peek {
        id: u64,
    },
    PeekReady,
    PeekDelayed,
    PeekBuried,
    Kick {
        bound: u32,
    },
    KickJob {
        id: u64,
    },
    Stats,
    StatsJob {
        id: u64,
    },
    StatsTube {
        tube: &'a str,
    },
    ListTubes,
    ListTubeUsed,
    ListTubesWatched,
    PauseTube {
        tube: &'a str,
        delay: u32,
    },
    Quit,
    /// Nothing that makes sense; the client is told so, and can go on.
    Senseless(Wrong),
}

impl Command<'_> {
    /// Its name, as in the server's statistics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Put { .. } => "put",
            Command::Use { .. } => "use",
            Command::Reserve { timeout: None } => "reserve",
            Command::Reserve { timeout: Some(_) } => "reserve-with-timeout",
            Command::ReserveJob { .. } => "reserve-job",
            Command::Delete { .. } => "delete",
            Command::Release { .. } => "release",
            Command::Bury { .. } => "bury",
            Command::Touch { .. } => "touch",
            Command::Watch { .. } => "watch",
            Command::Ignore { .. } => "ignore",
            Command::Peek { .. } => "peek",
            Command::PeekReady => "peek-ready",
            Command::PeekDelayed => "peek-delayed",
            Command::PeekBuried => "peek-buried",
            Command::Kick { .. } => "kick",
            Command::KickJob { .. } => "kick-job",
            Command::Stats => "stats",
            Command::StatsJob { .. } => "stats-job",
            Command::StatsTube { .. } => "stats-tube",
            Command::ListTubes => "list-tubes",
            Command::ListTubeUsed => "list-tube-used",
            Command::ListTubesWatched => "list-tubes-watched",
            Command::PauseTube { .. } => "pause-tube",
            Command::Quit | Command::Senseless(_) => "other",
        }
    }
}

/// What can be wrong with a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrong {
    UnknownCommand,
    BadFormat,
    ExpectedCrlf,
    JobTooBig,
}

/// A command line without its end, and with the body that belongs to it.
pub(crate) fn parse<'a>(line: &'a [u8], body: &'a [u8]) -> Command<'a> {
    let Ok(line) = std::str::from_utf8(line) else { return Command::Senseless(Wrong::BadFormat) };
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let arguments: Vec<&str> = words.take(5).collect();
    match command(name, &arguments, body) {
        Ok(command) => command,
        Err(wrong) => Command::Senseless(wrong),
    }
}

fn command<'a>(name: &str, arguments: &[&'a str], body: &'a [u8]) -> Result<Command<'a>, Wrong> {
    use Command::*;
    Ok(match (name, arguments) {
        ("put", &[priority, delay, ttr, _]) => {
            Put { priority: number(priority)?, delay: number(delay)?, ttr: number(ttr)?, body }
        }
        ("use", &[tube]) => Use { tube: tube_name(tube)? },
        ("reserve", []) => Reserve { timeout: None },
        ("reserve-with-timeout", &[timeout]) => Reserve { timeout: Some(number(timeout)?) },
        ("reserve-job", &[id]) => ReserveJob { id: number(id)? },
        ("delete", &[id]) => Delete { id: number(id)? },
        ("release", &[id, priority, delay]) => {
            Release { id: number(id)?, priority: number(priority)?, delay: number(delay)? }
        }
        ("bury", &[id, priority]) => Bury { id: number(id)?, priority: number(priority)? },
        ("touch", &[id]) => Touch { id: number(id)? },
        ("watch", &[tube]) => Watch { tube: tube_name(tube)? },
        ("ignore", &[tube]) => Ignore { tube: tube_name(tube)? },
        ("peek", &[id]) => Peek { id: number(id)? },
        ("peek-ready", []) => PeekReady,
        ("peek-delayed", []) => PeekDelayed,
        ("peek-buried", []) => PeekBuried,
        ("kick", &[bound]) => Kick { bound: number(bound)? },
        ("kick-job", &[id]) => KickJob { id: number(id)? },
        ("stats", []) => Stats,
        ("stats-job", &[id]) => StatsJob { id: number(id)? },
        ("stats-tube", &[tube]) => StatsTube { tube: tube_name(tube)? },
        ("list-tubes", []) => ListTubes,
        ("list-tube-used", []) => ListTubeUsed,
        ("list-tubes-watched", []) => ListTubesWatched,
        ("pause-tube", &[tube, delay]) => PauseTube { tube: tube_name(tube)?, delay: number(delay)? },
        ("quit", []) => Quit,
        ("put" | "use" | "reserve" | "reserve-with-timeout" | "reserve-job" | "delete" | "release" | "bury", _)
        | ("touch" | "watch" | "ignore" | "peek" | "peek-ready" | "peek-delayed" | "peek-buried" | "kick", _)
        | ("kick-job" | "stats" | "stats-job" | "stats-tube" | "list-tubes" | "list-tube-used", _)
        | ("list-tubes-watched" | "pause-tube" | "quit", _) => return Err(Wrong::BadFormat),
        _ => return Err(Wrong::UnknownCommand),
    })
}

/// How many bytes of a body follow a command line: `None` if it announces none, or not so that it can be understood.
pub(crate) fn announced_body(line: &[u8]) -> Option<u32> {
    let arguments = std::str::from_utf8(line.strip_prefix(b"put ")?).ok()?;
    let [_, _, _, size] = arguments.split(' ').collect::<Vec<_>>()[..] else { return None };
    number(size).ok()
}

/// Digits, and nothing else.
fn number<N: std::str::FromStr>(word: &str) -> Result<N, Wrong> {
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| is_number).ok_or(Wrong::BadFormat)
}

fn tube_name(word: &str) -> Result<&str, Wrong> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-+/;.$_()".contains(&byte);
    let is_name = (1..=MAX_NAME).contains(&word.len()) && word.bytes().all(is_allowed) && !word.starts_with('-');
    if is_name { Ok(word) } else { Err(Wrong::BadFormat) }
}
