//! Connections that have said hello and nothing since.

use crate::Result;
use crate::frames::{self, bytes_of};
use crate::sample::Sample;
use crate::server::Server;
use crate::socket::{ReadBlock, Socket};
use msglib_proto::FrameType;
use std::time::{Duration, Instant};

/// Handshakes under way at once.
const AT_ONCE: usize = 64;

/// What `count` of them cost: to greet, to keep in memory, and to keep waiting for `time`.
pub(super) fn measure(server: &Server, count: usize, time: Duration) -> Result<Sample> {
    let (memory, cpu, begin) = (server.resident()?, server.cpu()?, Instant::now());
    let connections = connect(server, count)?;
    let (greeted, wall) = (server.cpu()?, begin.elapsed());

    let bytes = (server.resident()? - memory) as f64 / count as f64;
    let before = server.cpu()?;
    std::thread::sleep(time);
    let idle = (server.cpu()? - before).as_secs_f64() / time.as_secs_f64();
    drop(connections);

    let mut sample = Sample::new(count as u64, wall, greeted - cpu);
    sample.peak = server.peak_resident()?;
    Ok(sample.with_figure("memory for each", bytes, "bytes").with_figure("CPU while idle", 100.0 * idle, "% of a core"))
}

/// Connects `count` clients, each with its WELCOME.
pub(super) fn connect(server: &Server, count: usize) -> Result<Vec<Socket>> {
    let hello = bytes_of([frames::hello()])?;
    let mut block = ReadBlock::new();
    let mut connections = Vec::with_capacity(count);
    while connections.len() < count {
        let first = connections.len();
        for _ in first..count.min(first + AT_ONCE) {
            let mut socket = Socket::connect(server.address)
                .map_err(|error| format!("{error} (after {} connections; see ulimit -n)", connections.len()))?;
            socket.send(&hello)?;
            connections.push(socket);
        }
        for socket in &mut connections[first..] {
            socket.wait_for(&mut block, FrameType::Welcome.value())?;
        }
    }
    Ok(connections)
}
