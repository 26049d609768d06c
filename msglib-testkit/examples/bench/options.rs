//! What can be asked for on the command line.

use crate::Result;
use lexopt::prelude::*;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const HELP: &str = "\
Measures what a message costs the broker, beside what moving its bytes costs (the floor), in turns.

usage: bench [options]
  --quick          every row, smaller and shorter, within two minutes
  --rows A,B       only these rows or curves; see --list
  --list           the rows, and what they show
  --turns N        turns of each participant in each row          [3]
  --secs S         seconds measured in each turn                  [2; with --quick 0.3]
  --json FILE      a JSON line for each turn, and one for each row and participant
  --svg FILE       the growth curves, and the latencies by percentile
  --broker CMD     measure this broker program instead of the broker of this build
  --also CMD       measure this broker program too, in the same turns
  --help           this text

A broker program is started as `CMD --listen 127.0.0.1:0` and prints `listening on ADDRESS`, as examples/broker does:
two builds of it, one as --broker and one as --also, compare two versions. In-memory rows are always of this build.

Build it with --release. The server has the first core and the load the last one; leave both alone meanwhile.";

#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) help: bool,
    pub(crate) list: bool,
    pub(crate) quick: bool,
    pub(crate) rows: Option<Vec<String>>,
    pub(crate) turns: Option<usize>,
    pub(crate) time: Option<Duration>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
    pub(crate) broker: Option<String>,
    pub(crate) also: Option<String>,
}

impl Options {
    pub(crate) fn parse(parser: &mut lexopt::Parser) -> Result<Options> {
        let mut options = Options::default();
        while let Some(option) = parser.next()? {
            match option {
                Long("quick") => options.quick = true,
                Long("rows") => {
                    options.rows =
                        Some(parser.value()?.string()?.split(',').map(|row| row.trim().to_owned()).collect());
                }
                Long("list") => options.list = true,
                Long("turns") => options.turns = Some(parser.value()?.parse::<usize>()?.max(1)),
                Long("secs") => options.time = Some(seconds(parser.value()?.parse()?)?),
                Long("json") => options.json = Some(parser.value()?.into()),
                Long("svg") => options.svg = Some(parser.value()?.into()),
                Long("broker") => options.broker = Some(parser.value()?.string()?),
                Long("also") => options.also = Some(parser.value()?.string()?),
                Long("help") | Short('h') => options.help = true,
                other => return Err(format!("{}; see --help", other.unexpected()).into()),
            }
        }
        Ok(options)
    }
}

fn seconds(value: f64) -> Result<Duration> {
    match Duration::try_from_secs_f64(value) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(format!("--secs {value}: it takes a number above zero").into()),
    }
}
