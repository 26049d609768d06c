//! What the machine is asked for: cores, clocks, descriptors, memory.

use crate::Result;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use std::time::Duration;

/// Which core is whose. The server and the generator must not take time from each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) generator: usize,
}

impl Cores {
    /// The first and the last core that this process may use.
    pub(crate) fn choose() -> Result<Cores> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let cores: Vec<usize> = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)).collect();
        match (cores.first(), cores.last()) {
            (Some(&server), Some(&generator)) => Ok(Cores { server, generator }),
            _ => Err("the system names no core that this process may use".into()),
        }
    }

    /// On one core the two take turns, and every figure but the server's own CPU time means little.
    pub(crate) fn is_shared(self) -> bool {
        self.server == self.generator
    }
}

/// Keeps the calling thread, and whatever it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Raises the limit on open files as far as is allowed, for this process and its children, and returns it.
pub(crate) fn raise_descriptor_limit() -> Result<usize> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
}

/// The CPU time of a process, of all its threads, user and system, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuClock(ClockId);

impl CpuClock {
    pub(crate) fn of_process(pid: u32) -> Result<CpuClock> {
        Ok(CpuClock(clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))?))
    }

    pub(crate) fn of_this_thread() -> CpuClock {
        CpuClock(ClockId::CLOCK_THREAD_CPUTIME_ID)
    }

    pub(crate) fn now(self) -> Result<Duration> {
        Ok(self.0.now()?.into())
    }
}

/// The memory of a process that is resident now, in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    // smaps_rollup walks the page tables; the counters of `status` lag behind by up to some hundred pages.
    field(pid, "smaps_rollup", "Rss:").or_else(|_| field(pid, "status", "VmRSS:"))
}

/// The most memory of a process that was ever resident, in bytes.
pub(crate) fn peak_resident(pid: u32) -> Result<u64> {
    field(pid, "status", "VmHWM:")
}

fn field(pid: u32, file: &str, key: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/{file}");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse::<u64>().ok());
    Ok(1024 * value.ok_or_else(|| format!("{path} has no {key}"))?)
}
