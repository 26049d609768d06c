//! Who is measured: the floor, the broker, and other builds of it.

use crate::Result;
use crate::server::Shape;
use std::fmt;
use std::process::Command;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// Moves the bytes, and nothing comes back.
    Relay,
    /// The same, which looks for 100 µs before it sleeps: the floor of a broker that does.
    RelaySpin,
    /// Moves the bytes, and an ack of 16 bytes back for each message.
    RelayAck,
    /// The stock broker of this build.
    Broker,
    /// The same, which looks for 100 µs before it sleeps.
    BrokerSpin,
    /// A broker program that somebody names.
    Other { name: &'static str, command: String },
}

impl Target {
    pub(crate) fn is_floor(&self) -> bool {
        matches!(self, Target::Relay | Target::RelaySpin | Target::RelayAck)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Target::Relay => "relay",
            Target::RelaySpin => "relay-spin",
            Target::RelayAck => "relay-ack",
            Target::Broker => "broker",
            Target::BrokerSpin => "broker-spin",
            Target::Other { name, .. } => name,
        }
    }

    /// How its process is started.
    pub(crate) fn command(&self, shape: Shape) -> Result<Command> {
        const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];
        const SPIN: [&str; 2] = ["--spin-us", "100"];
        let mut itself = Command::new(std::env::current_exe()?);
        match self {
            Target::Relay | Target::RelaySpin | Target::RelayAck => {
                itself.args(["serve", "relay"]).args(LISTEN);
                itself.args(["--publishers", &shape.publishers.to_string()]);
                itself.args(["--consumers", &shape.consumers.to_string()]);
                itself.args(["--frame", &shape.frame.to_string()]);
                if shape.fans_out {
                    itself.arg("--fan-out");
                }
                if *self == Target::RelaySpin {
                    itself.args(SPIN);
                }
            }
            Target::Broker => drop(itself.args(["serve", "broker"]).args(LISTEN)),
            Target::BrokerSpin => drop(itself.args(["serve", "broker"]).args(LISTEN).args(SPIN)),
            Target::Other { command, .. } => {
                let mut words = command.split_whitespace();
                let program = words.next().ok_or("the command of a broker program is empty")?;
                let mut other = Command::new(program);
                other.args(words).args(LISTEN);
                return Ok(other);
            }
        }
        Ok(itself)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
