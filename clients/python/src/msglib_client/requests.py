"""Requests: ask a service, or answer for one (PROTOCOL §17)."""

from __future__ import annotations

from typing import Callable, Dict, Optional, Union

from . import events, frames
from .consumer import Consumer
from .deadline import Deadline
from .driver import Driver
from .errors import AlreadySettled, Code, NoReply
from .link import Link
from .rules import LinkState
from .sender import Payload, Sender, to_bytes
from .session import Session
from .times import milliseconds


class Caller(Sender):
    """A way to ask one service.

    Made by :meth:`Connection.open_caller`, ended by :meth:`close` or at the end of ``with``: what has no answer by then
    gets none.
    """

    def __init__(self, driver: Driver, link: Link, timeout_seconds: Optional[float]) -> None:
        """Use :meth:`Connection.open_caller` instead."""
        super().__init__(driver, link, timeout_seconds)
        self._pending: Dict[int, PendingReply] = {}

    def request(self, payload: Payload, timeout_seconds: Optional[float] = None) -> bytes:
        """As :func:`request`."""
        return self.start(payload, timeout_seconds).result()

    def start(self, payload: Payload, timeout_seconds: Optional[float] = None) -> "PendingReply":
        """Asks, and returns as soon as the request is under way: several can be, on one thread.

        An answer counts if it comes within ``timeout_seconds`` from now. Raises as :func:`request`, but for what says
        that there is no answer.
        """
        payload = to_bytes(payload)
        driver, deadline = self._driver, self._until(timeout_seconds)
        if deadline.polling:
            raise ValueError("an answer takes time; a request needs a timeout_seconds above 0")
        with driver.lock:
            self._wait_until_allowed(payload, True, deadline)
            left = deadline.left()
            most = frames.MAX_U32
            deadline_ms = most if left is None else min(most, milliseconds(left, "timeout_seconds"))
            number = driver.session.request(self._link, payload, deadline_ms)
            pending = self._pending[number] = PendingReply(self, deadline)
            driver.flush()
        return pending

    def on_event(self, event: events.Event) -> None:
        """Keeps the outcomes."""
        if isinstance(event, (events.Replied, events.NotReplied)):
            self._pending.pop(event.number)._outcome = event
        elif isinstance(event, (events.LinkEnded, events.Ended)):
            self._pending.clear()


class PendingReply:
    """The outcome of a request, sooner or later; made by :meth:`Caller.start`."""

    def __init__(self, caller: Caller, deadline: Deadline) -> None:
        """Made by a :class:`Caller`."""
        self._driver = caller._driver
        self._link = caller._link
        self._deadline = deadline
        self._outcome: Union[events.Replied, events.NotReplied, None] = None

    @property
    def done(self) -> bool:
        """Whether :meth:`result` would not wait."""
        with self._driver.lock:
            return self._outcome is not None or self._link.state is LinkState.FREE

    def result(self, timeout_seconds: Optional[float] = None) -> bytes:
        """Waits for the answer, until the request's own time is up unless it is told otherwise.

        May be called again, after a ``TimeoutError`` too. Raises as :func:`request`.
        """
        driver = self._driver
        deadline = self._deadline if timeout_seconds is None else Deadline.after(timeout_seconds)
        with driver.lock:
            driver.wait(lambda: self.done, deadline, "no answer came in time")
            outcome = self._outcome
            if outcome is None:
                driver.check(self._link)
                raise AssertionError("a link that is free says why")
        if isinstance(outcome, events.Replied):
            return outcome.payload
        if outcome.code is Code.TIMED_OUT:
            raise TimeoutError("no answer came in time")
        raise NoReply("the request has no answer", outcome.code, outcome.text)


class Service(Consumer["Request"]):
    """The requests to a service, one after the other; made by :func:`serve`.

    Ended by :meth:`close` or at the end of ``with``. Whoever waits for an answer to a request that has none by then is
    told so.
    """

    def _item_of(self, event: events.Event) -> Optional["Request"]:
        return Request(self, event) if isinstance(event, events.Requested) else None


class Request:
    """A request that waits for an answer: one :meth:`reply` or one :meth:`refuse`, from any thread."""

    def __init__(self, service: Service, requested: events.Requested) -> None:
        """Made by a :class:`Service`."""
        self.payload = requested.payload
        """What is asked."""
        self._driver = service._driver
        self._link = requested.link
        self._tag = requested.tag
        self._deadline = Deadline.after(requested.deadline_ms / 1000)
        self._answered = False

    @property
    def seconds_left(self) -> float:
        """How long an answer is still waited for, about; a later one has no effect."""
        return self._deadline.left() or 0.0

    def reply(self, payload: Payload) -> None:
        """Answers. Returns when the answer is under way; nothing tells whether it was in time.

        Raises ``AlreadySettled`` the second time, ``LinkClosed`` or ``ConnectionLost`` if nobody waits for it any more,
        ``ValueError`` if the payload is above the broker's limit.
        """
        answer = to_bytes(payload)
        self._answer(lambda session: session.reply(self._link, self._tag, answer))

    def refuse(self, code: int, text: str = "") -> None:
        """Says that there is no answer, and why: ``code`` is one of your own, from 0x8000 on, or a :class:`Code`.

        Who asks gets a ``NoReply`` with it. Raises as :meth:`reply`.
        """
        self._answer(lambda session: session.no_reply(self._link, self._tag, Code(code), text))

    def __repr__(self) -> str:
        return f"<Request {len(self.payload)} bytes, {self.seconds_left:.3g} s left>"

    def _answer(self, send: Callable[[Session], None]) -> None:
        with self._driver.lock:
            if self._answered:
                raise AlreadySettled("a request can be answered once only")
            send(self._driver.session)
            self._answered = True
            self._driver.flush()
