//! The process under measure: started on its own core, watched from outside, killed by its own id.

use crate::Result;
use crate::machine::{self, Cores, CpuClock};
use crate::target::Target;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) struct Server {
    child: Child,
    clock: CpuClock,
    pub(crate) address: SocketAddr,
}

/// What a server says when it is ready.
pub(crate) const READY: &str = "listening on ";

impl Server {
    /// Starts the server of `target`, for so many publishers and consumers (a relay must know).
    pub(crate) fn start(target: &Target, shape: Shape, cores: Cores) -> Result<Server> {
        let mut command = target.command(shape)?;
        // A pipe that nobody writes to: when this process ends, however it does, the server reads the end of it.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn_on(cores, &mut command).map_err(|error| format!("starting {target}: {error}"))?;
        match ready(&mut child) {
            Ok(address) => Ok(Server { clock: CpuClock::of_process(child.id())?, child, address }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(format!("{target} ({command:?}): {error}").into())
            }
        }
    }

    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.clock.now()
    }

    pub(crate) fn resident(&self) -> Result<u64> {
        machine::resident(self.child.id())
    }

    pub(crate) fn peak_resident(&self) -> Result<u64> {
        machine::peak_resident(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killed, not asked: its goodbyes would only take time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many connect, and how large a frame is on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) publishers: usize,
    pub(crate) consumers: usize,
    pub(crate) frame: usize,
    /// What a publisher sends goes to every consumer.
    pub(crate) fans_out: bool,
}

/// A child inherits the core of the thread that starts it, and so do all of its threads.
fn spawn_on(cores: Cores, command: &mut Command) -> Result<Child> {
    machine::pin(cores.server)?;
    let child = command.spawn();
    machine::pin(cores.generator)?;
    Ok(child?)
}

fn ready(child: &mut Child) -> Result<SocketAddr> {
    let stdout = child.stdout.as_mut().ok_or("it has no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let address = line.strip_prefix(READY).ok_or_else(|| format!("it printed {line:?} instead of `{READY}ADDRESS`"))?;
    Ok(address.trim().parse()?)
}
