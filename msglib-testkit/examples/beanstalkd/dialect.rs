//! beanstalkd's text protocol on the wire: commands in, replies out, in the same order.

use super::command::{Command, MAX_LINE, Wrong, announced_body, parse};
use msglib_broker::{Dialect, ErrorCode, FrameBuffer, Payload, Peer, Reason, Received, Reject, SendError};
use msglib_proto::SendQueue;
use std::convert::Infallible;

/// The protocol, with jobs of up to so many bytes.
pub(crate) struct Beanstalk {
    pub(crate) max_job: u32,
}

/// What a handler answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply<'a> {
    /// `DELETED`, `NOT_FOUND` …
    Word(&'static str),
    /// `INSERTED 7`, `WATCHING 2` …
    Number(&'static str, u64),
    /// `USING default`.
    Name(&'static str, &'a str),
    /// `RESERVED 7 5`, and the job.
    Job(&'static str, u64, Payload<'a>),
    /// `OK 9`, and a list or a table in YAML.
    Yaml(&'a str),
}

/// Finds the commands. What is too long is thrown away as it comes, and not kept.
pub(crate) struct Commands {
    buffer: FrameBuffer,
    max_job: u32,
    skipping: Skipping,
}

#[derive(Clone, Copy)]
enum Skipping {
    Nothing,
    /// The body of a job that is too big.
    Bytes(u64),
    /// Up to the end of a line that is too long; whether the byte before was a `\r`.
    Line {
        after_cr: bool,
    },
}

impl Dialect for Beanstalk {
    type Decoder = Commands;
    type Session = ();
    type Frame<'a> = Command<'a>;
    type Answer<'a> = Reply<'a>;
    /// Whatever comes, there is an answer, and the connection goes on.
    type Error = Infallible;

    fn open(&self, _: &Peer) -> (Commands, ()) {
        (Commands { buffer: FrameBuffer::new(), max_job: self.max_job, skipping: Skipping::Nothing }, ())
    }

    fn decode<'a, 'i: 'a>(commands: &'a mut Commands, input: &mut &'i [u8]) -> Result<Option<Command<'a>>, Infallible> {
        if !commands.skip(input) {
            return Ok(None);
        }
        let max_job = commands.max_job;
        let Some(frame) = commands.buffer.next(input, |front| Ok::<_, Infallible>(measure(front, max_job)))? else {
            return Ok(None);
        };
        let Some(end) = line_end(frame) else {
            commands.skipping = Skipping::Line { after_cr: frame.ends_with(b"\r") };
            return Ok(Some(Command::Senseless(Wrong::BadFormat)));
        };
        let (line, body) = (&frame[..end], &frame[end + 2..]);
        Ok(Some(match announced_body(line) {
            Some(size) if size > max_job => {
                commands.skipping = Skipping::Bytes(u64::from(size) + 2);
                Command::Senseless(Wrong::JobTooBig)
            }
            Some(_) => match body.strip_suffix(b"\r\n") {
                Some(body) => parse(line, body),
                None => Command::Senseless(Wrong::ExpectedCrlf),
            },
            None => parse(line, b""),
        }))
    }

    fn receive(&self, (): &mut (), command: &Command<'_>, _: u64, out: &mut SendQueue) -> Result<Received, Infallible> {
        let wrong = match command {
            Command::Quit => return Ok(Received::End(Reason::Goodbye)),
            Command::Senseless(Wrong::UnknownCommand) => "UNKNOWN_COMMAND",
            Command::Senseless(Wrong::BadFormat) => "BAD_FORMAT",
            Command::Senseless(Wrong::ExpectedCrlf) => "EXPECTED_CRLF",
            Command::Senseless(Wrong::JobTooBig) => "JOB_TOO_BIG",
            _ => return Ok(Received::Pass),
        };
        line(out, &[wrong]);
        Ok(Received::Done)
    }

    fn rejected(&self, (): &mut (), reject: &Reject, out: &mut SendQueue) -> bool {
        line(out, &[if reject.code() == ErrorCode::QUEUE_FULL { "OUT_OF_MEMORY" } else { "INTERNAL_ERROR" }]);
        true
    }

    fn send(&self, (): &mut (), reply: &Reply<'_>, out: &mut SendQueue) -> Result<(), SendError> {
        match *reply {
            Reply::Word(word) => line(out, &[word]),
            Reply::Number(word, number) => line(out, &[word, &number.to_string()]),
            Reply::Name(word, name) => line(out, &[word, name]),
            Reply::Job(word, id, body) => {
                line(out, &[word, &id.to_string(), &body.len().to_string()]);
                out.put_payload(body);
                line(out, &[]);
            }
            Reply::Yaml(text) => {
                line(out, &["OK", &text.len().to_string()]);
                line(out, &[text]);
            }
        }
        Ok(())
    }
}

impl Commands {
    /// Throws away what is to be skipped; true when that is over.
    fn skip(&mut self, input: &mut &[u8]) -> bool {
        let skipped = match &mut self.skipping {
            Skipping::Nothing => return true,
            Skipping::Bytes(left) => {
                let skipped = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= skipped as u64;
                (*left == 0).then_some(skipped)
            }
            Skipping::Line { after_cr } => {
                let is_end = |at: usize| input[at] == b'\n' && if at == 0 { *after_cr } else { input[at - 1] == b'\r' };
                let end = (0..input.len()).find(|at| is_end(*at)).map(|at| at + 1);
                *after_cr = input.last().map_or(*after_cr, |last| *last == b'\r');
                end
            }
        };
        *input = &input[skipped.unwrap_or(input.len())..];
        if skipped.is_some() {
            self.skipping = Skipping::Nothing;
        }
        skipped.is_some()
    }
}

/// How long the command at the front is, with the body that belongs to it, as far as that can be told. A line that is too long, or
/// that announces too much, is a command by itself.
fn measure(front: &[u8], max_job: u32) -> usize {
    match line_end(front) {
        Some(end) => match announced_body(&front[..end]) {
            Some(size) if size <= max_job => end + 2 + size as usize + 2,
            _ => end + 2,
        },
        None => MAX_LINE.min(front.len() + 1),
    }
}

/// Where the line at the front ends: where its `\r\n` is, unless it is too long.
fn line_end(front: &[u8]) -> Option<usize> {
    front[..front.len().min(MAX_LINE)].windows(2).position(|two| two == b"\r\n")
}

/// Words, and the end of the line.
fn line(out: &mut SendQueue, words: &[&str]) {
    for (number, word) in words.iter().enumerate() {
        if number > 0 {
            out.put(b" ");
        }
        out.put(word.as_bytes());
    }
    out.put(b"\r\n");
}
