//! Faults of `stop_accepting` (T17).

use super::broken::{Fault, Ready, World};
use core::time::Duration;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness};
use std::collections::BTreeSet;
use std::io;

/// Says that it has stopped.
#[derive(Default)]
pub(crate) struct GoesOn;
impl Fault for GoesOn {
    fn stop_accepting(&mut self, _: &mut World) -> bool {
        true
    }
}

/// Takes the end of the listener for the end of all.
#[derive(Default)]
pub(crate) struct EndsAll(BTreeSet<ConnectionId>);
impl Fault for EndsAll {
    fn poll(&mut self, world: &mut World, ready: &mut Ready, _: Option<Duration>) -> io::Result<()> {
        world.honest.poll(ready, None)?;
        self.0.extend(ready.iter().filter(|report| matches!(report, Readiness::Opened(..))).map(Readiness::id));
        Ok(())
    }
    fn stop_accepting(&mut self, world: &mut World) -> bool {
        self.0.iter().for_each(|id| world.honest.close(*id, Close::Abort));
        world.honest.stop_accepting()
    }
}

/// Neither opens nor ends who is there already.
#[derive(Default)]
pub(crate) struct ForgetsWhoWaits {
    has_stopped: bool,
    open: BTreeSet<ConnectionId>,
}
impl Fault for ForgetsWhoWaits {
    fn poll(&mut self, world: &mut World, ready: &mut Ready, _: Option<Duration>) -> io::Result<()> {
        let mut reports = Vec::new();
        world.honest.poll(&mut reports, None)?;
        if !self.has_stopped {
            self.open.extend(reports.iter().map(Readiness::id));
        }
        ready.extend(reports.into_iter().filter(|report| self.open.contains(&report.id())));
        Ok(())
    }
    fn stop_accepting(&mut self, world: &mut World) -> bool {
        self.has_stopped = true;
        world.honest.stop_accepting()
    }
}
