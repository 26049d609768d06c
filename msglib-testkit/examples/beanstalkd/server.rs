//! The server: who is connected, and what each of their commands does.

use super::command::Command;
use super::dialect::{Beanstalk, Reply};
use super::stats;
use super::tube::{Client, DEFAULT, Job, JobId, Place, Tube, TubeId, seconds};
use msglib_broker::{ConnectionId, Context, Event, Handler, Reject, Store, TimerId};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Cx<'a> = Context<'a, Beanstalk>;

/// Tubes that one client watches at most.
const MOST_WATCHED: usize = 1_000;

pub(crate) struct Server {
    pub(crate) store: Store,
    pub(crate) tubes: BTreeMap<TubeId, Tube>,
    pub(crate) names: BTreeMap<String, TubeId>,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) clients: BTreeMap<ConnectionId, Client>,
    pub(crate) timers: BTreeMap<TimerId, Due>,
    /// Tubes in which something has changed in this step.
    pub(crate) changed: BTreeSet<TubeId>,
    pub(crate) totals: Totals,
    pub(crate) is_draining: bool,
    numbers: u64,
}

/// What a timer is for.
pub(crate) enum Due {
    Tube(TubeId),
    Client(ConnectionId),
}

/// What has happened so far.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) jobs: u64,
    pub(crate) connections: u64,
    pub(crate) timeouts: u64,
    pub(crate) commands: BTreeMap<&'static str, u64>,
    pub(crate) max_job: u32,
}

impl Server {
    /// A server that says that it takes jobs of up to `max_job` bytes.
    pub(crate) fn new(max_job: u32) -> Server {
        let mut server = Server {
            store: Store::new(),
            tubes: BTreeMap::new(),
            names: BTreeMap::new(),
            jobs: BTreeMap::new(),
            clients: BTreeMap::new(),
            timers: BTreeMap::new(),
            changed: BTreeSet::new(),
            totals: Totals { max_job, ..Totals::default() },
            is_draining: false,
            numbers: 0,
        };
        server.open(DEFAULT);
        server
    }

    /// From now on no job is taken; true when nobody works on one any more.
    pub(crate) fn drain(&mut self) -> bool {
        self.is_draining = true;
        self.clients.values().all(|client| client.holds.is_empty())
    }

    /// For tubes, turns, and places among the buried.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn tube(&mut self, id: TubeId) -> &mut Tube {
        self.tubes.get_mut(&id).expect("a tube that is used, watched, or has a job is there")
    }

    pub(crate) fn client(&mut self, id: ConnectionId) -> &mut Client {
        self.clients.get_mut(&id).expect("a client is there from its connection to its end")
    }

    /// The tube of this name, which is made if it is not there.
    fn open(&mut self, name: &str) -> TubeId {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        let id = TubeId(self.next_number());
        self.tubes.insert(id, Tube::new(name));
        self.names.insert(name.to_owned(), id);
        id
    }

    fn connected(&mut self, id: ConnectionId) {
        let tube = self.open(DEFAULT);
        self.tube(tube).using += 1;
        self.tube(tube).watching += 1;
        self.clients.insert(id, Client::new(tube));
        self.totals.connections += 1;
    }

    /// What it had reserved is ready again.
    fn disconnected(&mut self, cx: &mut Cx<'_>, id: ConnectionId) {
        self.wait_no_longer(cx, id);
        for job in self.client(id).holds.clone() {
            if let Some((job_id, job, tube, _)) = self.job(job)
                && job.hold().is_some()
            {
                tube.put(job_id, job, Place::Ready);
            }
        }
        let Some(client) = self.clients.remove(&id) else { return };
        for (tube, consumer) in client.consumers {
            let Server { tubes, store, .. } = self;
            if let Some(tube) = tubes.get_mut(&tube) {
                tube.queue.remove_consumer(store, cx.now(), consumer);
            }
            self.changed.insert(tube);
        }
        self.tube(client.uses).using -= 1;
        client.watches.iter().for_each(|tube| self.tube(*tube).watching -= 1);
        self.changed.extend(client.watches);
        self.changed.insert(client.uses);
    }

    fn command(&mut self, cx: &mut Cx<'_>, from: ConnectionId, command: Command<'_>) -> Result<(), Reject> {
        *self.totals.commands.entry(command.name()).or_default() += 1;
        let now = cx.now();
        let found = |cx: &mut Cx<'_>, word: Option<&'static str>| {
            reply(cx, from, Reply::Word(word.unwrap_or("NOT_FOUND")));
        };
        match command {
            Command::Put { priority, delay, ttr, body } => return self.put(cx, from, (priority, delay, ttr), body),
            Command::Reserve { timeout } => self.reserve(cx, from, timeout),
            Command::ReserveJob { id } => {
                if self.hand_over(cx, from, id).is_none() {
                    found(cx, None);
                }
            }
            Command::Delete { id } => found(cx, self.delete(now, from, id).map(|()| "DELETED")),
            Command::Release { id, priority, delay } => {
                found(cx, self.release(now, from, id, priority, delay).map(|()| "RELEASED"));
            }
            Command::Bury { id, priority } => found(cx, self.bury(now, from, id, priority).map(|()| "BURIED")),
            Command::Touch { id } => found(cx, self.touch(now, from, id).map(|()| "TOUCHED")),
            Command::KickJob { id } => found(cx, self.kick_job(now, id).map(|()| "KICKED")),
            Command::Kick { bound } => {
                let kicked = self.kick(now, from, bound);
                reply(cx, from, Reply::Number("KICKED", kicked));
            }
            Command::Peek { id } => self.show(cx, from, Some(id)),
            Command::PeekReady => {
                let id = self.client(from).uses;
                let Server { tubes, store, .. } = self;
                let job = tubes.get_mut(&id).and_then(|tube| tube.next(store));
                self.show(cx, from, job.map(|(_, job)| job));
            }
            Command::PeekDelayed => {
                let id = self.client(from).uses;
                let job = self.tube(id).delayed.first().map(|(_, job)| *job);
                self.show(cx, from, job);
            }
            Command::PeekBuried => {
                let id = self.client(from).uses;
                let job = self.tube(id).buried.first_key_value().map(|(_, job)| *job);
                self.show(cx, from, job);
            }
            Command::PauseTube { tube, delay } => {
                found(cx, self.pause(tube, now + seconds(delay), delay).map(|()| "PAUSED"));
            }
            Command::Use { tube } => self.use_tube(cx, from, tube),
            Command::Watch { tube } => self.watch(cx, from, tube),
            Command::Ignore { tube } => self.ignore(cx, from, tube),
            Command::Stats | Command::StatsJob { .. } | Command::StatsTube { .. } => {
                match stats::table(self, now, command) {
                    Some(yaml) => reply(cx, from, Reply::Yaml(&yaml)),
                    None => found(cx, None),
                }
            }
            Command::ListTubes => reply(cx, from, Reply::Yaml(&stats::list(self.names.keys()))),
            Command::ListTubeUsed => {
                let tube = self.client(from).uses;
                reply(cx, from, Reply::Name("USING", &self.tube(tube).name));
            }
            Command::ListTubesWatched => {
                let watches = &self.clients[&from].watches;
                let names = watches.iter().filter_map(|tube| Some(&self.tubes.get(tube)?.name));
                reply(cx, from, Reply::Yaml(&stats::list(names)));
            }
            // The dialect's own business.
            Command::Quit | Command::Senseless(_) => {}
        }
        Ok(())
    }

    fn use_tube(&mut self, cx: &mut Cx<'_>, from: ConnectionId, name: &str) {
        let tube = self.open(name);
        self.tube(tube).using += 1;
        let before = std::mem::replace(&mut self.client(from).uses, tube);
        self.tube(before).using -= 1;
        self.changed.insert(before);
        reply(cx, from, Reply::Name("USING", name));
    }

    fn watch(&mut self, cx: &mut Cx<'_>, from: ConnectionId, name: &str) {
        if self.client(from).watches.len() >= MOST_WATCHED {
            return reply(cx, from, Reply::Word("OUT_OF_MEMORY"));
        }
        let tube = self.open(name);
        let client = self.client(from);
        if !client.watches.contains(&tube) {
            client.watches.push(tube);
            self.tube(tube).watching += 1;
        }
        let watched = self.client(from).watches.len();
        reply(cx, from, Reply::Number("WATCHING", watched as u64));
    }

    fn ignore(&mut self, cx: &mut Cx<'_>, from: ConnectionId, name: &str) {
        let tube = self.names.get(name).copied();
        let client = self.client(from);
        let ignored = client.watches.iter().position(|watched| Some(*watched) == tube);
        if ignored.is_some() && client.watches.len() == 1 {
            return reply(cx, from, Reply::Word("NOT_IGNORED"));
        }
        if let Some(ignored) = ignored {
            let tube = client.watches.remove(ignored);
            self.tube(tube).watching -= 1;
            self.changed.insert(tube);
        }
        let watched = self.client(from).watches.len();
        reply(cx, from, Reply::Number("WATCHING", watched as u64));
    }
}

/// Who is gone hears nothing.
pub(crate) fn reply(cx: &mut Cx<'_>, to: ConnectionId, reply: Reply<'_>) {
    let _ = cx.send(to, reply);
}

impl Handler<Beanstalk> for Server {
    fn handle(&mut self, cx: &mut Cx<'_>, event: Event<'_, Beanstalk>) -> Result<(), Reject> {
        match event {
            Event::Connected { id, .. } => self.connected(id),
            Event::Frame { from, frame } => return self.command(cx, from, frame),
            // It has sent more, and left: what it has sent comes next, and it waits no longer.
            Event::NoMoreInput { id } => self.wait_no_longer(cx, id),
            Event::Disconnected { id, .. } => self.disconnected(cx, id),
            Event::Timer { timer, .. } => match self.timers.remove(&timer) {
                Some(Due::Tube(tube)) => self.tube_is_due(cx.now(), tube),
                Some(Due::Client(client)) => self.client_is_due(cx, client),
                None => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn end_of_step(&mut self, cx: &mut Cx<'_>) {
        for tube in std::mem::take(&mut self.changed) {
            self.give_out(cx, tube);
            self.look_after(cx, tube);
        }
    }
}
