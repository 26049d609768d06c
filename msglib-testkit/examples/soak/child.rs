//! The broker's process, from outside.

use crate::Result;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

#[path = "../bench/machine.rs"]
#[allow(dead_code, reason = "the benchmark asks for more")]
mod machine;

pub(crate) struct Server {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    pub(crate) address: SocketAddr,
    /// The witnesses' door.
    pub(crate) witnesses: SocketAddr,
}

pub(crate) type Report = BTreeMap<String, u64>;

impl Server {
    pub(crate) fn start(seed: u64) -> Result<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", &seed.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let orders = child.stdin.take().ok_or("the broker has no standard input")?;
        let stdout = child.stdout.take().ok_or("the broker has no standard output")?;
        let mut answers = BufReader::new(stdout).lines();
        let addresses = answers.next().ok_or("the broker has ended before it listened")??;
        let (address, witnesses) = addresses.split_once(' ').ok_or("the broker has said one address, not two")?;
        Ok(Server { child, orders, address: address.parse()?, witnesses: witnesses.parse()?, answers })
    }

    pub(crate) fn order(&mut self, order: &str) -> Result<()> {
        writeln!(self.orders, "{order}").map_err(|error| format!("the broker is gone: {error}").into())
    }

    pub(crate) fn report(&mut self) -> Result<Report> {
        self.order("report")?;
        let line = self.answers.next().ok_or("the broker is gone")??;
        let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, number)| Ok((name.to_owned(), number.parse()?))).collect()
    }

    /// Bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        machine::resident(self.child.id())
    }

    pub(crate) fn peak_resident(&self) -> Result<u64> {
        machine::peak_resident(self.child.id())
    }

    pub(crate) fn descriptors(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
