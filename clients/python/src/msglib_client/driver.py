"""Moves the bytes of one connection: a session, its socket, the lock around both, and the thread that serves them."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from typing import Callable, Dict, List, Optional

from . import events
from .deadline import Deadline
from .errors import Refused
from .link import Link
from .rules import LinkState
from .session import Session

_RECEIVE_SIZE = 256 * 1024
# A publisher waits while so many bytes have not been taken by the socket.
_OUTPUT_LIMIT = 1024 * 1024
# How long an end that the broker has not answered waits for it to read the reason. A socket that is closed with input
# unread is reset, and what was sent last would be lost.
_LINGER_SECONDS = 1.0
# The longest sleep of the thread; what epoll takes is bounded.
_LONGEST_SLEEP_SECONDS = 3600.0


class LinkUser:
    """Who uses a link: is told, with the lock held, of what concerns it."""

    def on_event(self, event: events.Event) -> None:
        """Something happened on the link, or (Welcomed, Ended) on its connection."""
        raise NotImplementedError


class Driver:
    """What connections, publishers and subscriptions share.

    All but :meth:`start` and :meth:`stop` need :attr:`lock`.
    """

    def __init__(self, stream: socket.socket, session: Session) -> None:
        self.lock = threading.Condition(threading.RLock())
        """Guards everything here; notified when something has changed."""
        self.session = session
        self.refused_count = 0
        """Messages that the broker did not take and whose publisher did not wait for the answer."""
        self.last_refusal: Optional[Refused] = None
        """Why, for the latest of them."""
        self.closing = False
        """Whether the end was asked for here."""
        self.leaves_at: Optional[Deadline] = None
        """When the broker will end the connection, once it has said so."""
        self._stream = stream
        self._users: Dict[Link, LinkUser] = {}
        self._unsent = memoryview(b"")
        self._write_error: Optional[str] = None
        self._stream_ended = False
        self._stopping = False
        self._linger: Optional[Deadline] = None
        stream.setblocking(False)
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="msglib-connection", daemon=True)

    def start(self) -> None:
        """Begins to serve the connection."""
        self._thread.start()

    def stop(self, timeout_seconds: Optional[float] = 0.0) -> None:
        """Ends the thread and closes the socket, after at most so long if there is something left to say."""
        self._thread.join(timeout_seconds)
        with self.lock:
            self._stopping = True
            self.dispatch(self.session.receive_end("the connection was closed here"))
            self._wake()
        self._thread.join()

    def attach(self, link: Link, user: LinkUser) -> None:
        """Tells a link's events to its user from now on, until the link has ended."""
        self._users[link] = user

    def check(self, link: Link) -> None:
        """Raises why the link cannot be used, if so."""
        if self.session.leaving:
            self.session.check()
        link.check()

    def wait(self, ready: Callable[[], bool], deadline: Deadline, what: str) -> None:
        """Waits until something holds; raises the connection's end if that comes first, or that the time is up."""
        self.wait_or_end(ready, deadline, what)
        if not ready():
            self.session.check()

    def wait_or_end(self, ready: Callable[[], bool], deadline: Deadline, what: str) -> None:
        """Waits until something holds or the connection has ended."""
        while not ready() and not self.session.over:
            left = deadline.left()
            if left == 0.0:
                raise deadline.error(what)
            self.lock.wait(left)

    def wait_until_open(self, link: Link, deadline: Deadline) -> None:
        """Waits until the broker has answered the OPEN; raises if that was a refusal."""
        self.wait(lambda: link.state is not LinkState.OPENING, deadline, "the broker has not answered the OPEN")
        self.check(link)

    def close_link(self, link: Link) -> None:
        """Gives a link up, unless its connection does so anyway."""
        if link.usable and not self.session.leaving:
            self.session.close(link)
            self.flush()
            self.lock.notify_all()

    def has_room(self) -> bool:
        """Whether a publisher should go on; otherwise the broker, or the network, is too slow for it."""
        return len(self._unsent) + self.session.pending_output < _OUTPUT_LIMIT

    def flush(self) -> None:
        """Hands the socket what it takes without waiting; the thread does the rest."""
        while True:
            if not self._unsent:
                self._unsent = memoryview(self.session.take_output(time.monotonic()))
                if not self._unsent:
                    return
            if self._write_error is not None:
                # The broker may have said why before it went: the thread reads on until the end.
                self._unsent = memoryview(b"")
                return
            try:
                self._unsent = self._unsent[self._stream.send(self._unsent) :]
            except (BlockingIOError, InterruptedError):
                self._wake()
                return
            except OSError as error:
                self._write_error = str(error)
                self._wake()

    def dispatch(self, happened: List[events.Event]) -> None:
        """Tells everybody concerned."""
        for event in happened:
            if isinstance(event, (events.Welcomed, events.Ended)):
                for user in list(self._users.values()):
                    user.on_event(event)
            elif isinstance(event, events.LeaveAnnounced):
                self.leaves_at = Deadline.after(event.deadline_ms / 1000)
            elif not isinstance(event, (events.PongReceived, events.UserReceived)):
                user_of_link = self._users.get(event.link)
                if user_of_link is not None:
                    user_of_link.on_event(event)
                if isinstance(event, events.LinkEnded):
                    self._users.pop(event.link, None)
            if isinstance(event, events.Ended):
                self._users.clear()
        if happened:
            self.lock.notify_all()

    def _wake(self) -> None:
        try:
            self._wake_writer.send(b"\0")
        except OSError:
            pass  # It is awake already, or has ended.

    # -- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._wake_reader, selectors.EVENT_READ)
                selector.register(self._stream, selectors.EVENT_READ)
                while self._turn(selector):
                    pass
        finally:
            with self.lock:
                self.dispatch(self.session.receive_end("the connection's thread has failed"))
                self._stream.close()
                self._wake_reader.close()
                self._wake_writer.close()

    def _turn(self, selector: selectors.BaseSelector) -> bool:
        """Sleeps until there is something to do and does it; says whether to go on."""
        with self.lock:
            interest = selectors.EVENT_WRITE if self._unsent else 0
            if not self._stream_ended:
                interest |= selectors.EVENT_READ
            selector.modify(self._stream, interest)
            sleep = self._sleep_seconds()
        ready = {key.fileobj for key, _ in selector.select(sleep)}
        if self._wake_reader in ready:
            _drain(self._wake_reader)
        data = self._read() if self._stream in ready and not self._stream_ended else None
        with self.lock:
            if self._stopping:
                return False
            now = time.monotonic()
            if data is not None:
                self._take(data, now)
            self.dispatch(self.session.tick(now))
            self.flush()
            self.lock.notify_all()
            return not self.session.over or self._has_more_to_say()

    def _sleep_seconds(self) -> float:
        if self._linger is not None:
            return self._linger.left() or 0.0
        due = self.session.next_tick()
        if due is None:
            return _LONGEST_SLEEP_SECONDS
        return min(max(0.0, due - time.monotonic()), _LONGEST_SLEEP_SECONDS)

    def _read(self) -> Optional[bytes]:
        """What there is; empty at the end; ``None`` if there was nothing after all."""
        try:
            return self._stream.recv(_RECEIVE_SIZE)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            self._write_error = self._write_error or str(error)
            return b""

    def _take(self, data: bytes, now: float) -> None:
        if data:
            self.dispatch(self.session.receive(data, now))
        else:
            self._stream_ended = True
            reason = "the broker closed the connection without a GOODBYE"
            self.dispatch(
                self.session.receive_end(reason if self._write_error is None else f"{reason}: {self._write_error}")
            )
        if self.session.nothing_more:
            self._unsent = memoryview(b"")

    def _has_more_to_say(self) -> bool:
        """After the end: whether the broker has still to read, or to be seen to have read, what was sent last."""
        if self._linger is None:
            self._linger = Deadline.after(_LINGER_SECONDS)
        if self._linger.left() == 0.0:
            return False
        if self._unsent:
            return True
        if self._stream_ended or self.session.broker_is_done:
            return False
        try:
            self._stream.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True


def _drain(stream: socket.socket) -> None:
    try:
        stream.recv(4096)
    except OSError:
        pass  # There was nothing after all.
