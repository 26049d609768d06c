//! beanstalkd's protocol and its server.

#[path = "../../../examples/beanstalkd/command.rs"]
mod command;
#[path = "../../../examples/beanstalkd/dialect.rs"]
mod dialect;
#[path = "../../../examples/beanstalkd/jobs.rs"]
mod jobs;
#[path = "../../../examples/beanstalkd/order.rs"]
mod order;
#[path = "../../../examples/beanstalkd/server.rs"]
mod server;
#[path = "../../../examples/beanstalkd/stats.rs"]
mod stats;
#[path = "../../../examples/beanstalkd/tube.rs"]
mod tube;
#[path = "../../../examples/beanstalkd/waiting.rs"]
mod waiting;

mod books;
mod scenes;
mod wire;
