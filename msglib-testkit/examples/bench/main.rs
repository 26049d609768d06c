//! What the broker costs, beside the floor.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

mod frames;
mod load;
mod machine;
mod relay;
mod sample;
mod serve;
mod server;
mod socket;
mod target;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    use std::time::Duration;
    let mut options = lexopt::Parser::from_env();
    if let Some(lexopt::Arg::Value(v)) = options.next()?
        && v == "serve"
    {
        return serve::serve(&mut options);
    }
    let cores = machine::Cores::choose()?;
    for (p, c, w) in [(1, 1, 1000), (8, 8, 1000), (1000, 1, 16)] {
        let mut plan = load::Plan::new(p, c);
        plan.window = w;
        for _ in 0..3 {
            for target in [target::Target::Relay, target::Target::RelayAck, target::Target::Broker] {
                let server = server::Server::start(&target, plan.shape()?, cores)?;
                let s = load::Load::connect(&server, &target, &plan)?
                    .steady(Duration::from_millis(500), Duration::from_millis(1000))?;
                println!(
                    "{p}x{c} {target} {:.0} ns {:.0}/s p50 {:?} p99 {:?} srv {:.2} gen {:?} peak {}",
                    s.cpu_per_message(),
                    s.messages_per_second(),
                    s.latency_us(0.5),
                    s.latency_us(0.99),
                    s.server_busy(),
                    s.generator_busy,
                    s.peak
                );
            }
        }
    }
    Ok(())
}
