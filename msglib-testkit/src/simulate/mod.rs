//! Simulation: your broker, many clients, a clock and everything that goes wrong, on one thread and from one seed.
//!
//! [`Simulation`] runs the handler that goes into production. What it should have done is judged by [`Checker`]s, those of msglib
//! ([`checkers`]) and yours. Whatever happens follows from the seed, from a stream of its own for each kind of decision, so a
//! failure is a number; [`Simulation::explain`] makes a short story of it.
//!
//! | file | what |
//! | --- | --- |
//! | `streams`, `setup`, `schedule` | from a seed to limits and to a list of operations, each of which means something alone |
//! | `world`, `client`, `guest`, `play` | the broker, the clients' ends, the handler inside, and what an operation does |
//! | `own` | clients of channels of one's own, and what they and the channels know |
//! | `featured` | clients of topics and services, and what they know |
//! | `facts` | the independent model: what the clients know for certain |
//! | `checker`, `checkers`, `books` | what is a violation |
//! | `trace`, `report`, `shrink`, `simulation` | what is left of a run, and how a failure gets short |

mod books;
mod checker;
pub mod checkers;
mod client;
mod facts;
pub mod featured;
mod guest;
pub mod own;
mod play;
mod report;
mod schedule;
mod setup;
mod shrink;
mod simulation;
mod streams;
mod trace;
mod world;

pub use books::{Account, Books, stock_books};
pub use checker::{Checker, Ended, Seen, Told, View, Violation};
pub use facts::{
    ConnectionFacts, ConnectionNumber, Facts, LinkFacts, LinkIndex, MessageFacts, MessageNumber, Outcome, Place,
    QueueFacts, QueueTally,
};
pub use report::{Failure, Report, Story, parse_kept};
pub use schedule::{Action, Operation, Settling, Violence};
pub use setup::Setup;
pub use simulation::{Simulation, stock_host};
pub use streams::Random;
pub use trace::{Moment, What};
pub use world::Host;
