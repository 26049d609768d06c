//! What the broker can be asked about itself: a service like any other, answered by the program as an ordinary client over memory.

use msglib_broker::{
    Admission, Broker, ChannelKind, ConnectionHandler, ConnectionId, ConnectionInfo, ConnectionManager, Context,
    Counters, ErrorCode, Ledger, Open, QueueInfo, QueueState, Reject, ServiceInfo, StockCounters, SubscriptionInfo,
    TopicLedger,
};
use msglib_client::{Connection, Error, Service, request, serve};
use msglib_io_epoll::SocketStream;
use msglib_io_memory::MemoryStream;
use msglib_proto::transport::Address;
use std::fmt::{Display, Write};
use std::time::Duration;

/// The name of the service. A request is empty; the reply is a text.
const SERVICE: &str = "$stats";
/// How long `--stats` waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rows of each table at most; a reply has an end.
const ROWS: usize = 1_000;

/// Asks a broker elsewhere.
pub(crate) fn ask(stream: SocketStream) -> Result<String, Box<dyn std::error::Error>> {
    let connection = Connection::new(stream);
    let reply = request(&connection, SERVICE, "", PATIENCE)?.wait()?;
    connection.close()?;
    Ok(String::from_utf8(reply.to_vec())?)
}

/// Nobody but the program itself answers for it.
pub(crate) struct OwnStats;

impl Admission for OwnStats {
    fn open(&mut self, cx: &mut Context<'_>, from: ConnectionId, open: &Open<'_>) -> Result<(), Reject> {
        let is_answering = open.kind == ChannelKind::SERVICE && open.consumes && open.name == SERVICE.into();
        let is_inside = cx.peer(from).is_some_and(|peer| matches!(peer.address, Address::Memory(_)));
        match is_answering && !is_inside {
            true => Err(Reject::new(ErrorCode::NOT_ALLOWED, "the broker answers this itself")),
            false => Ok(()),
        }
    }
}

/// The program's own connection.
pub(crate) struct Stats {
    connection: Connection,
    service: Option<Service>,
}

impl Stats {
    pub(crate) fn new(stream: MemoryStream) -> Result<Stats, Error> {
        let connection = Connection::builder().name("stats").non_blocking(true).build(stream)?;
        Ok(Stats { connection, service: None })
    }

    /// Answers whoever has asked; waits for nobody.
    pub(crate) fn answer<M: ConnectionManager>(&mut self, broker: &Broker<ConnectionHandler, M>) -> Result<(), Error> {
        match self.try_answer(broker) {
            Err(error) if error.is_would_block() => Ok(()),
            result => result,
        }
    }

    fn try_answer<M: ConnectionManager>(&mut self, broker: &Broker<ConnectionHandler, M>) -> Result<(), Error> {
        let service = match &mut self.service {
            Some(service) => service,
            None => self.service.insert(serve(&self.connection, SERVICE, 16)?),
        };
        loop {
            // Who has gone meanwhile, or takes no reply of that size, is told so by the broker.
            let _ = service.next()?.reply(&text(broker));
        }
    }
}

/// All of it, as tables for a person.
fn text<M: ConnectionManager>(broker: &Broker<ConnectionHandler, M>) -> String {
    let (handler, counters) = (broker.handler(), broker.counters());
    let (messages, bytes) = handler.held();
    let topics = handler.topic_ledger();
    let mut text = String::new();
    // Into a string, so it cannot fail.
    let _ = writeln!(
        text,
        "{messages} messages in {bytes} bytes; {} connections since the start, {} bytes received, {} sent\n",
        counters.connected, counters.bytes_received, counters.bytes_sent
    );
    let _ = writeln!(text, "{}\n", limits(counters, &handler.counters(), &topics));
    queues(handler).write(&mut text);
    let _ = writeln!(
        text,
        "topics: {} published, {} delivered, {} waiting, {} lost, {} for nobody\n",
        topics.published, topics.delivered, topics.waiting, topics.lost, topics.unmatched
    );
    subscriptions(handler).write(&mut text);
    services(handler).write(&mut text);
    connections(broker).write(&mut text);
    text
}

/// Each limit that was met, and how often.
fn limits(core: &Counters, stock: &StockCounters, topics: &TopicLedger) -> String {
    let all = [
        ("connections turned away", core.turned_away),
        ("handshakes too slow", core.handshake_timeouts),
        ("silent", core.idle_timeouts),
        ("took nothing", core.write_timeouts),
        ("closed without last words", core.closings_cut),
        ("too much outbound", core.outbound_limits),
        ("too much inbound", core.inbound_limits),
        ("cut off for it", core.evicted),
        ("answers not put off", core.answers_turned_away),
        ("queues not made", stock.queue_limits),
        ("queues not made for one identity", stock.identity_queue_limits),
        ("queues that made room", stock.queues_displaced),
        ("queues expired", stock.queues_expired),
        ("topics not opened", topics.topics_turned_away),
        ("messages on topics not taken", topics.turned_away),
        ("topics and last values not taken for one identity", topics.identity_limits),
        ("subscribers not taken", topics.subscribers_turned_away),
        ("lists of matches forgotten", topics.matches_forgotten),
        ("producers not taken", stock.producer_limits),
        ("services not made", stock.service_limits),
        ("requests refused in all services", stock.request_limits),
        ("replies with little room in all services", stock.reply_limits),
        ("channels not made", stock.channel_limits),
        ("reads cut before the handshake", core.handshake_reads),
        ("reads put off for answers not taken", core.reserve_limits),
        ("turns of reading cut", core.read_turns_cut),
        ("turns of frames cut", core.frame_turns_cut),
        ("steps of timers cut", core.timer_turns_cut),
        ("steps of deliveries cut", stock.delivery_turns_cut),
        ("steps of chores cut", stock.chore_turns_cut),
    ];
    let met: Vec<String> =
        (all.iter().filter(|(_, times)| *times > 0)).map(|(what, n)| format!("{what} {n}")).collect();
    match met.is_empty() {
        true => "no limit was met".to_owned(),
        false => format!("limits met: {}", met.join(", ")),
    }
}

fn queues(handler: &ConnectionHandler) -> Table {
    let header = "queue|state|ready|delayed|in flight|accepted|acked|dead letters|expired|dropped|consumers|bytes";
    let row = |queue: QueueInfo<'_>| {
        let Ledger { ready, delayed, in_flight, accepted, acked, dead_lettered, expired, dropped, .. } = queue.ledger;
        let state = match queue.state {
            QueueState::Paused => "paused",
            QueueState::Draining => "draining",
            _ => "open",
        };
        let counts = [ready, delayed, in_flight, accepted, acked, dead_lettered, expired, dropped.total()];
        let mut row = vec![queue.name.to_string(), state.to_owned()];
        row.extend(counts.iter().map(u64::to_string));
        row.extend([queue.consumers.to_string(), queue.bytes.to_string()]);
        row
    };
    Table::new(header, 2, handler.queues(), row)
}

fn subscriptions(handler: &ConnectionHandler) -> Table {
    let row = |subscription: SubscriptionInfo<'_>| {
        let group = subscription.group.map(|group| group.escape_ascii().to_string());
        let counts = [subscription.waiting as u64, subscription.delivered, subscription.lost];
        let mut row = vec![subscription.filter.as_str().escape_debug().to_string(), or_dash(group)];
        row.push(subscription.members.to_string());
        row.extend(counts.iter().map(u64::to_string));
        row
    };
    Table::new("subscription|group|members|waiting|delivered|lost", 2, handler.subscriptions(), row)
}

fn services(handler: &ConnectionHandler) -> Table {
    let row = |service: ServiceInfo<'_>| {
        let ledger = service.ledger;
        let ends = [service.callers as u64, service.responders as u64];
        let counts = [ledger.waiting, ledger.in_hand, ledger.replied, ledger.requested];
        let mut row = vec![service.name.to_string()];
        row.extend(ends.iter().chain(&counts).map(u64::to_string));
        row
    };
    Table::new("service|callers|responders|waiting|in hand|replied|requested", 1, handler.services(), row)
}

fn connections<M: ConnectionManager>(broker: &Broker<ConnectionHandler, M>) -> Table {
    let row = |connection: ConnectionInfo<'_>| {
        let identity = connection.identity.map(|identity| identity.name().escape_debug());
        let row = [connection.id.to_string(), connection.peer.to_string(), or_dash(identity)];
        row.into_iter().chain([connection.sent.to_string(), connection.queued.to_string()]).collect()
    };
    Table::new("connection|peer|identity|bytes sent|waiting", 3, broker.each_connection(), row)
}

fn or_dash(text: Option<impl Display>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}

/// Rows whose columns are as wide as they must be: the first ones are words, the others numbers.
struct Table {
    rows: Vec<Vec<String>>,
    words: usize,
    left_out: usize,
}

impl Table {
    fn new<T>(
        header: &str,
        words: usize,
        mut things: impl Iterator<Item = T>,
        row: impl FnMut(T) -> Vec<String>,
    ) -> Table {
        let header = header.split('|').map(str::to_uppercase).collect();
        let rows = std::iter::once(header).chain(things.by_ref().take(ROWS).map(row)).collect();
        Table { rows, words, left_out: things.count() }
    }

    fn write(&self, text: &mut String) {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column < self.words {
                true => format!("{cell:width$}"),
                false => format!("{cell:>width$}"),
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        if self.left_out > 0 {
            let _ = writeln!(text, "and {} more", self.left_out);
        }
        text.push('\n');
    }
}
