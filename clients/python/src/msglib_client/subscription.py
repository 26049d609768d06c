"""The messages of one queue, and what becomes of them."""

from __future__ import annotations

import collections
from typing import Callable, Deque, Optional

from . import events
from .consumer import Consumer
from .driver import Driver
from .errors import AlreadySettled, TooLate
from .frames import Settling, Verdict
from .link import Link
from .names import checked_priority
from .rules import LinkState
from .session import Session
from .times import milliseconds


class Subscription(Consumer["AckableQMsg"]):
    """The messages of a queue, one after the other; made by :func:`blocking_pull_subscribe_to_queue`."""

    def __init__(self, driver: Driver, link: Link, prefetch: int, timeout_seconds: Optional[float]) -> None:
        """Use :func:`blocking_pull_subscribe_to_queue` instead."""
        super().__init__(driver, link, prefetch, timeout_seconds)
        self._settlements: Deque[_Settlement] = collections.deque()

    def on_event(self, event: events.Event) -> None:
        """Also tells those who wait what became of their settling."""
        if isinstance(event, events.SettlesConfirmed):
            self._settlements.popleft().changed = event.count
        else:
            super().on_event(event)

    def _item_of(self, event: events.Event) -> Optional["AckableQMsg"]:
        return AckableQMsg(self, event) if isinstance(event, events.Delivered) else None

    def _settle(self, send: Callable[[Session], None], confirm: bool) -> None:
        """Says what becomes of a message; with ``confirm`` waits for the broker's word. Needs the lock."""
        driver, link = self._driver, self._link
        send(driver.session)
        if not confirm:
            driver.flush()
            return
        settlement = _Settlement()
        self._settlements.append(settlement)
        driver.flush()
        driver.wait(
            lambda: settlement.changed is not None or link.state is LinkState.FREE,
            self._until(None),
            "no word from the broker; the message may or may not have been settled",
        )
        if settlement.changed is None:
            driver.check(link)
        if not settlement.changed:
            raise TooLate("the message was not this consumer's any more; somebody else may have it")


class _Settlement:
    """What somebody waits for."""

    changed: Optional[int] = None
    """How many messages the settling has changed, once the broker has said so."""


class AckableQMsg:
    """A message that was delivered here, and is in flight until it is settled by :meth:`ack` or :meth:`refuse`.

    Both may be called from any thread and in any order among messages. They return when the word is under way, or with
    ``confirm`` when the broker has had it.
    """

    def __init__(self, subscription: Subscription, delivered: events.Delivered) -> None:
        """Made by a :class:`Subscription`."""
        self.payload = delivered.payload
        """What was published."""
        self.count = delivered.count
        """Which attempt this is to deliver the message to anyone, from 1."""
        self.id = delivered.id
        """The message's own number, the same for each attempt, where the broker says one; else ``None``."""
        self.priority = delivered.priority
        """Its priority, if it has one."""
        self.key = delivered.key
        """Its key, if it has one."""
        self.cause = delivered.cause
        """Why it is a dead letter, if it is one."""
        self._subscription = subscription
        self._driver = subscription._driver
        self._link = delivered.link
        self._tag = delivered.tag
        self._settled = False

    def ack(self, *, confirm: bool = False) -> None:
        """The message is done with, for good.

        With ``confirm`` it returns when the broker has taken that, and raises ``TooLate`` if the message had gone to
        somebody else by then: its lease was over.

        Raises ``AlreadySettled`` the second time, ``LinkClosed`` or ``ConnectionLost`` if the message went back to the
        queue; with ``confirm`` also ``TimeoutError``, and ``FeatureNotServed`` by a broker that knows no leases.
        """
        tag = self._tag
        if confirm:
            self._settle(lambda session: session.settle(self._link, tag, tag, Settling.ACK, confirm=True), True)
        else:
            self._settle(lambda session: session.ack(self._link, tag, tag), False)

    def refuse(
        self,
        for_good: bool = False,
        *,
        delay_seconds: Optional[float] = None,
        priority: Optional[int] = None,
        confirm: bool = False,
    ) -> None:
        """The message was not done with: it is delivered again at once, to whoever is next, or ``for_good`` never.

        With ``delay_seconds`` it is not delivered again before that is over, with ``priority`` as one of another
        priority. Raises as :meth:`ack`.
        """
        tag, settling = self._tag, Settling.FOR_GOOD if for_good else Settling.AGAIN
        delay_ms = None if delay_seconds is None else milliseconds(delay_seconds, "delay_seconds")
        to_priority = checked_priority(priority)
        if not confirm and delay_ms is None and to_priority is None:
            verdict = Verdict.FOR_GOOD if for_good else Verdict.AGAIN
            self._settle(lambda session: session.refuse(self._link, tag, tag, verdict), False)
            return

        def send(session: Session) -> None:
            session.settle(self._link, tag, tag, settling, confirm=confirm, delay_ms=delay_ms, priority=to_priority)

        self._settle(send, confirm)

    def extend(self, lease_seconds: Optional[float] = None, *, confirm: bool = False) -> None:
        """Begins the lease anew, with so many seconds from now or, without them, the queue's own. May be repeated.

        With ``confirm`` it raises ``TooLate`` if the lease was over already. Raises as :meth:`ack`.
        """
        if lease_seconds == 0:
            raise ValueError("a lease must be above 0 seconds; leave lease_seconds out for the queue's own")
        lease_ms = 0 if lease_seconds is None else milliseconds(lease_seconds, "lease_seconds")
        tag = self._tag

        def send(session: Session) -> None:
            session.settle(self._link, tag, tag, Settling.EXTEND, confirm=confirm, lease_ms=lease_ms)

        self._settle(send, confirm, final=False)

    def __repr__(self) -> str:
        return f"<AckableQMsg {len(self.payload)} bytes, count {self.count}>"

    def _settle(self, send: Callable[[Session], None], confirm: bool, final: bool = True) -> None:
        with self._driver.lock:
            if self._settled:
                raise AlreadySettled("a message can be acknowledged or refused once only")

            def send_once(session: Session) -> None:
                send(session)
                self._settled = final

            self._subscription._settle(send_once, confirm)
