//! Clients of the features: they use topics, services and queues with settings, and stand at a door, beside those that know nothing but plain queues.
//!
//! They have a random stream, links and facts of their own, so a run without them is what it was.

mod deed;
mod door;
mod facts;
mod job;
mod jobs;
mod play;
mod work;

pub use deed::{Deed, HostAct};
pub(super) use deed::{draw, draw_host};
pub use door::{Credentials, Door, stock_handler};
pub use facts::{Channel, Featured, FeaturedLink, Gone, LinkNumber, Said};
pub use job::{DEAD, JOBS, Job, JobLink, JobOptions, JobPlace, Key, Stage, job_queue};
pub use jobs::Jobs;

/// The topics that are published to.
pub const TOPICS: [&str; 4] = ["a", "a/b", "a/c", "a/b/c"];
/// What is subscribed to.
pub const FILTERS: [&str; 6] = ["a", "a/b", "a/+", "a/#", "#", "+/b"];
/// The services.
pub const SERVICES: [&str; 2] = ["adds", "multiplies"];

/// Whether a filter means a topic, by trying everything that a `#` could be.
pub fn means(filter: usize, topic: usize) -> bool {
    fn tries(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => tries(filter, topic),
            ([wanted, filter @ ..], [level, topic @ ..]) => wanted == level && tries(filter, topic),
            _ => false,
        }
    }
    let levels = |name: &'static str| name.split('/').collect::<Vec<_>>();
    tries(&levels(FILTERS[filter]), &levels(TOPICS[topic]))
}
