"""A small broker for the tests: queues in memory, a thread for each connection, and strict with its clients.

It is written from PROTOCOL.md too, shares the codec with the client, and can be told to misbehave. Whatever a client
does wrong is kept in :attr:`FakeBroker.violations`.
"""

from __future__ import annotations

import collections
import contextlib
import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Callable, Deque, Dict, List, Optional, Tuple, Type, Union

import support
from msglib_client import frames
from msglib_client.decode import Decoder
from msglib_client.encode import encode
from msglib_client.errors import Code, ProtocolError
from msglib_client.link import INITIAL_PUBLISH_CREDIT
from msglib_client.rules import CONNECTION_RULES, LINK_RULES, ConnectionState, LinkState, Rule, Side

Name = Union[int, bytes]


@dataclass
class Settings:
    """How a broker is; may be changed while it runs."""

    welcome: frames.Welcome = frames.Welcome(name="fake")
    refuse_clients: Optional[frames.Error] = None
    """What to answer HELLO with, in place of WELCOME."""
    answers_hello: bool = True
    """Whether HELLO is answered at once; until :meth:`FakeBroker.answer_hello` all that follows waits too."""
    answers_goodbye: bool = True
    confirms: bool = True
    reads: bool = True
    """Whether it reads at all."""
    limits: Dict[Name, int] = field(default_factory=dict)
    """How many messages a queue takes."""
    forbidden: Dict[Name, str] = field(default_factory=dict)
    """Queues that nobody may open, and why."""


@dataclass
class Message:
    payload: bytes
    count: int = 1


@dataclass(eq=False)
class Link:
    """The broker's view of a link."""

    connection: "_Connection"
    number: int
    queue: Optional["Queue"]
    publishes: bool
    consumes: bool
    state: LinkState = LinkState.OPEN
    next_number: int = 1
    publish_upto: int = INITIAL_PUBLISH_CREDIT
    next_tag: int = 1
    delivery_upto: int = 0
    in_flight: Dict[int, Message] = field(default_factory=dict)


class Queue:
    """Messages that wait, and the links that want them, in turn."""

    def __init__(self, name: Name) -> None:
        self.name = name
        self.ready: Deque[Message] = collections.deque()
        self.links: List[Link] = []
        self.dropped = 0
        self.acked = 0

    def dispatch(self) -> None:
        while self.ready:
            link = next((each for each in self.links if each.consumes and each.next_tag <= each.delivery_upto), None)
            if link is None:
                return
            self.links.remove(link)
            self.links.append(link)
            message = self.ready.popleft()
            link.in_flight[link.next_tag] = message
            link.connection.send(frames.Delivery(link.number, link.next_tag, message.count, message.payload))
            link.next_tag += 1

    def give_back(self, link: Link, tags: List[int]) -> None:
        """To the front, in the order in which they were; each further delivery counts one more."""
        for tag in sorted(tags, reverse=True):
            message = link.in_flight.pop(tag)
            self.ready.appendleft(Message(message.payload, message.count + 1))


class FakeBroker:
    """Listens on a port of its own from the start; ended by leaving ``with``."""

    def __init__(self, settings: Optional[Settings] = None) -> None:
        self.settings = settings or Settings()
        self.lock = threading.Condition(threading.RLock())
        self.violations: List[str] = []
        self.received: List[frames.Frame] = []
        """All frames of all clients."""
        self.queues: Dict[Name, Queue] = {}
        self.connections: List[_Connection] = []
        self._threads: List[threading.Thread] = []
        self._listener = _listen()
        self.host, self.port = self._listener.getsockname()[:2]
        self._start(self._accept)

    def __enter__(self) -> "FakeBroker":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.vanish()
        with self.lock:
            self.settings.reads = True
            self.lock.notify_all()
        for thread in self._threads:
            thread.join(support.SAFETY_NET_SECONDS)
            if thread.is_alive():
                raise AssertionError("a thread of the fake broker does not end")

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Waits until something holds of what clients have done."""
        with self.lock:
            if not self.lock.wait_for(ready, support.SAFETY_NET_SECONDS):
                raise AssertionError(f"it did not happen; received were {self.received[-5:]}")

    def count(self, kind: frames.FrameType) -> int:
        """How many frames of a type were received."""
        return sum(frame.TYPE is kind for frame in self.received)

    def queue(self, name: Name) -> Queue:
        with self.lock:
            return self.queues.setdefault(name, Queue(name))

    # -- what a test can make it do --------------------------------------------------------------------------------

    def answer_hello(self) -> None:
        """Says WELCOME on each connection, and what had to wait behind it."""
        with self.lock:
            for connection in list(self.connections):
                connection.answer_hello()

    def say_to_all(self, frame: frames.Frame, over: bool = False) -> None:
        """Sends a frame on each connection, as its last if ``over``."""
        with self.lock:
            for connection in list(self.connections):
                connection.send(frame)
                if over:
                    connection.quit()

    def write_to_all(self, data: bytes) -> None:
        """Sends bytes that need not be frames."""
        with self.lock:
            for connection in list(self.connections):
                connection.write(data)

    def delete(self, name: Name) -> None:
        """Ends all links of a queue, which is gone."""
        with self.lock:
            for link in list(self.queue(name).links):
                link.connection.close_link(link, Code.CHANNEL_DELETED, "gone")
            del self.queues[name]

    def vanish(self) -> None:
        """Drops all connections without a word."""
        with self.lock:
            for connection in list(self.connections):
                connection.drop()

    def change(self, **settings: object) -> None:
        """Changes settings."""
        with self.lock:
            for name, value in settings.items():
                setattr(self.settings, name, value)
            self.lock.notify_all()

    def _accept(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                connection = _Connection(self, stream)
                self.connections.append(connection)
                self.lock.notify_all()
            self._start(connection.run)

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()


class _Connection:
    """One client. All but :meth:`run` is called with the broker's lock held."""

    def __init__(self, broker: FakeBroker, stream: socket.socket) -> None:
        self.broker = broker
        self.links: Dict[int, Link] = {}
        self._stream = stream
        self._state = ConnectionState.FRESH
        self._decoder = Decoder(broker.settings.welcome.max_payload)
        self._highest_link = 0
        self._silent = False
        self._held: Optional[bytearray] = None

    def run(self) -> None:
        broker = self.broker
        try:
            while True:
                with broker.lock:
                    broker.lock.wait_for(lambda: broker.settings.reads)
                data = self._stream.recv(65536)
                if not data:
                    return
                with broker.lock:
                    self._take(data)
                    broker.lock.notify_all()
        except OSError:
            pass
        finally:
            with broker.lock:
                self._give_all_back()
                broker.connections.remove(self)
                self._stream.close()
                broker.lock.notify_all()

    def answer_hello(self) -> None:
        held, self._held = self._held, None
        self.send(self.broker.settings.welcome)
        self.write(bytes(held or b""))

    def send(self, frame: frames.Frame) -> None:
        if self._held is not None:
            self._held += encode(frame)
        elif not self._silent:
            self.write(encode(frame))

    def write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._stream.sendall(data)

    def quit(self) -> None:
        """Sends nothing more; the client is to close."""
        self._silent = True
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_WR)

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)

    def close_link(self, link: Link, code: Code, text: str = "") -> None:
        """Ends a link that its client has not closed."""
        self._leave(link)
        link.state = LinkState.CLOSED
        self.send(frames.Closed(link.number, code, text))

    def _take(self, data: bytes) -> None:
        try:
            self._decoder.push(data)
            while True:
                located = self._decoder.next_located()
                if located is None:
                    break
                self.broker.received.append(located.frame)
                if not self._silent:
                    self._handle(*located)
            if self._decoder.error is not None:
                raise self._decoder.error
        except ProtocolError as error:
            self.broker.violations.append(str(error))
            self.send(frames.Error(error.code, error.offset, error.rule))
            self.quit()

    def _handle(self, offset: int, frame: frames.Frame) -> None:
        if CONNECTION_RULES[Side.CLIENT, frame.TYPE][self._state] is not Rule.ACCEPT:
            raise ProtocolError(Code.UNEXPECTED_FRAME, offset, f"{frame.TYPE.name} while {self._state.name}")
        if isinstance(frame, frames.Hello):
            self._handle_hello()
        elif isinstance(frame, (frames.Goodbye, frames.Error)):
            self._state = ConnectionState.OVER
            self._give_all_back()
            if isinstance(frame, frames.Error):
                self.quit()
            elif self.broker.settings.answers_goodbye:
                self.send(frames.Goodbye())
                self.quit()
        elif isinstance(frame, frames.Ping):
            self.send(frames.Pong(frame.token))
        elif not isinstance(frame, (frames.Pong, frames.User)):
            self._handle_on_link(offset, frame)

    def _handle_hello(self) -> None:
        settings = self.broker.settings
        self._state = ConnectionState.GREETED
        if settings.refuse_clients is not None:
            self.send(settings.refuse_clients)
            self.quit()
        elif settings.answers_hello:
            self.send(settings.welcome)
        else:
            self._held = bytearray()

    def _handle_on_link(self, offset: int, frame: frames.Frame) -> None:
        number: int = getattr(frame, "link")
        link = self.links.get(number)
        state = LinkState.FREE if link is None else link.state
        rule = LINK_RULES[Side.CLIENT, frame.TYPE][state]
        if rule is Rule.BAD_LINK:
            raise ProtocolError(Code.BAD_LINK, offset, f"{frame.TYPE.name} on link {number} in {state.name}")
        if rule is Rule.IGNORE:
            return
        if isinstance(frame, frames.Open):
            self._handle_open(offset, frame)
            return
        assert link is not None
        if isinstance(frame, frames.Close):
            if link.state is not LinkState.CLOSED:
                self._leave(link)
                self.send(frames.Closed(number))
            del self.links[number]
        elif isinstance(frame, frames.Publish):
            self._handle_publish(offset, link, frame)
        elif not link.consumes:
            raise ProtocolError(Code.BAD_LINK, offset, f"{frame.TYPE.name} on a link that does not consume")
        elif isinstance(frame, frames.Credit):
            if frame.upto < link.delivery_upto:
                raise ProtocolError(Code.CREDIT, offset, "credit goes back")
            link.delivery_upto = frame.upto
            self._queue_of(link).dispatch()
        elif isinstance(frame, (frames.Ack, frames.Refuse)):
            self._settle(link, frame)

    def _handle_open(self, offset: int, frame: frames.Open) -> None:
        fresh = frame.link > self._highest_link
        if frame.link > self.broker.settings.welcome.max_links or (fresh and frame.link != self._highest_link + 1):
            raise ProtocolError(Code.BAD_LINK, offset, f"the number {frame.link} is not the next one")
        self._highest_link = max(self._highest_link, frame.link)
        reason: Optional[Tuple[Code, str]] = None
        if frame.kind != frames.QUEUE_KIND:
            reason = Code.UNKNOWN_KIND, f"there are no channels of kind {frame.kind}"
        elif frame.arguments:
            reason = Code.BAD_ARGUMENTS, "a queue takes no arguments"
        elif frame.name in self.broker.settings.forbidden:
            reason = Code.NOT_ALLOWED, self.broker.settings.forbidden[frame.name]
        link = self.links[frame.link] = Link(self, frame.link, None, frame.publishes, frame.consumes)
        if reason is not None:
            link.state = LinkState.CLOSED
            self.send(frames.Closed(frame.link, *reason))
            return
        link.queue = self.broker.queue(frame.name)
        link.queue.links.append(link)
        self.send(frames.Opened(frame.link))

    def _handle_publish(self, offset: int, link: Link, frame: frames.Publish) -> None:
        if not link.publishes:
            raise ProtocolError(Code.BAD_LINK, offset, "PUBLISH on a link that does not publish")
        if frame.number != link.next_number:
            raise ProtocolError(Code.BAD_NUMBER, offset, f"the number must be {link.next_number}")
        if frame.number > link.publish_upto:
            raise ProtocolError(Code.CREDIT, offset, f"publishes are allowed up to {link.publish_upto}")
        link.next_number += 1
        queue = self._queue_of(link)
        limit = self.broker.settings.limits.get(queue.name)
        if limit is not None and len(queue.ready) >= limit:
            self.send(frames.Refused(link.number, frame.number, frame.number, Code.QUEUE_FULL, f"{limit} of {limit}"))
        else:
            queue.ready.append(Message(frame.payload))
        if self.broker.settings.confirms and frame.confirm:
            self.send(frames.Confirmed(link.number, frame.number))
        if link.publish_upto - frame.number < INITIAL_PUBLISH_CREDIT // 2:
            link.publish_upto = frame.number + INITIAL_PUBLISH_CREDIT
            self.send(frames.Credit(link.number, link.publish_upto))
        queue.dispatch()

    def _settle(self, link: Link, frame: Union[frames.Ack, frames.Refuse]) -> None:
        queue = self._queue_of(link)
        tags = [tag for tag in link.in_flight if frame.first <= tag <= frame.last]
        if isinstance(frame, frames.Refuse) and frame.verdict is frames.Verdict.AGAIN:
            queue.give_back(link, tags)
        else:
            for tag in tags:
                del link.in_flight[tag]
            if isinstance(frame, frames.Ack):
                queue.acked += len(tags)
            else:
                queue.dropped += len(tags)
        queue.dispatch()

    def _leave(self, link: Link) -> None:
        queue = self._queue_of(link)
        queue.links.remove(link)
        queue.give_back(link, list(link.in_flight))
        queue.dispatch()

    def _give_all_back(self) -> None:
        left = [link for link in self.links.values() if link.state is not LinkState.CLOSED]
        self.links.clear()
        # First all go, so that none gets what another one gives back.
        for link in left:
            self._queue_of(link).links.remove(link)
        for link in left:
            queue = self._queue_of(link)
            queue.give_back(link, list(link.in_flight))
            queue.dispatch()

    def _queue_of(self, link: Link) -> Queue:
        assert link.queue is not None
        return link.queue


def _listen() -> socket.socket:
    """On the loopback, IPv6 where there is one."""
    try:
        return socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        return socket.create_server(("127.0.0.1", 0))
