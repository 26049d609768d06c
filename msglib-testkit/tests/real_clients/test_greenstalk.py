"""greenstalk from PyPI, unmodified, against the example `beanstalkd`."""

import contextlib
import socket
import threading
import time
import unittest

import greenstalk
from programs import BrokerProgram


class Greenstalk(unittest.TestCase):

    def setUp(self):
        self._stack = contextlib.ExitStack()
        self.addCleanup(self._stack.close)
        self._broker = self._stack.enter_context(BrokerProgram("beanstalkd"))

    def client(self, **arguments):
        return self._stack.enter_context(greenstalk.Client(("::1", self._broker.port), **arguments))

    def raw(self):
        stream = self._stack.enter_context(socket.create_connection(("::1", self._broker.port), timeout=10))
        return stream, self._stack.enter_context(stream.makefile("rb"))


class Jobs(Greenstalk):

    def test_a_job_is_put_reserved_and_deleted(self):
        c = self.client()
        id = c.put("hello")
        job = c.reserve()
        self.assertEqual((job.id, job.body), (id, "hello"))
        c.delete(job)
        with self.assertRaises(greenstalk.TimedOutError):
            c.reserve(timeout=0)
        with self.assertRaises(greenstalk.NotFoundError):
            c.delete(job)

    def test_bodies_are_bytes_of_any_kind(self):
        c = self.client(encoding=None)
        bodies = [b"", b"\r\n", b"\x00\xff" * 100, b"x" * 65_535]
        for body in bodies:
            c.put(body)
        self.assertEqual([c.reserve().body for _ in bodies], bodies)

    def test_the_lowest_number_is_the_most_urgent_then_the_oldest(self):
        c = self.client()
        for body, priority in [("b", 5), ("last", 2**32 - 1), ("c", 5), ("a", 0), ("d", 2**16)]:
            c.put(body, priority=priority)
        self.assertEqual([c.reserve().body for _ in range(5)], ["a", "b", "c", "d", "last"])

    def test_a_released_job_is_in_its_place_again(self):
        c = self.client()
        first, second = c.put("first"), c.put("second")
        job = c.reserve()
        c.release(job)
        self.assertEqual(c.reserve().id, first)
        c.release(job, priority=2**17)
        self.assertEqual(c.reserve().id, second)
        self.assertEqual(c.reserve().id, first)
        with self.assertRaises(greenstalk.NotFoundError):
            self.client().release(job)

    def test_a_delayed_job_waits_and_then_is_in_its_place(self):
        c = self.client()
        first = c.put("delayed", delay=1)
        second = c.put("not")
        self.assertEqual(c.peek_delayed().id, first)
        self.assertEqual(c.stats_job(first)["state"], "delayed")
        third = self.client()
        self.assertEqual(third.reserve(timeout=3).id, second)
        self.assertEqual(third.reserve(timeout=3).id, first)

    def test_a_job_that_was_reserved_for_too_long_is_ready_again(self):
        slow, other = self.client(), self.client()
        id = slow.put("job", ttr=1)
        slow.reserve()
        self.assertEqual(other.reserve(timeout=3).id, id)
        with self.assertRaises(greenstalk.NotFoundError):
            slow.delete(id)
        stats = other.stats_job(id)
        self.assertEqual((stats["reserves"], stats["timeouts"], stats["state"]), (2, 1, "reserved"))

    def test_a_touched_job_stays(self):
        c, other = self.client(), self.client()
        id = c.put("job", ttr=2)
        job = c.reserve()
        time.sleep(1.2)
        c.touch(job)
        with self.assertRaises(greenstalk.TimedOutError):
            other.reserve(timeout=1)
        self.assertEqual(c.stats_job(id)["timeouts"], 0)
        with self.assertRaises(greenstalk.NotFoundError):
            other.touch(job)

    def test_who_leaves_gives_back(self):
        c = self.client()
        id = c.put("job")
        with greenstalk.Client(("::1", self._broker.port)) as gone:
            gone.reserve()
        self.assertEqual(c.reserve(timeout=3).id, id)

    def test_a_warning_before_the_time_is_over(self):
        c = self.client()
        c.put("job", ttr=1)
        c.reserve()
        with self.assertRaises(greenstalk.DeadlineSoonError):
            c.reserve()
        c.put("another")
        c.reserve()

    def test_a_warning_while_it_waits(self):
        c = self.client()
        c.put("job", ttr=2)
        job = c.reserve()
        with self.assertRaises(greenstalk.DeadlineSoonError):
            c.reserve()
        c.delete(job)

    def test_buried_jobs_wait_until_they_are_kicked(self):
        c = self.client()
        ids = [c.put(body) for body in "abc"]
        jobs = [c.reserve() for _ in ids]
        for job in reversed(jobs):
            c.bury(job)
        self.assertEqual(c.peek_buried().id, ids[2])
        with self.assertRaises(greenstalk.TimedOutError):
            c.reserve(timeout=0)
        delayed = c.put("delayed", delay=100)
        self.assertEqual(c.kick(2), 2, "those that were buried first")
        self.assertEqual([c.reserve().id, c.reserve().id], [ids[1], ids[2]])
        self.assertEqual(c.kick(10), 1, "only buried ones, if there are any")
        self.assertEqual(c.reserve().id, ids[0])
        self.assertEqual(c.kick(10), 1)
        self.assertEqual(c.reserve().id, delayed)
        stats = c.stats_job(ids[0])
        self.assertEqual((stats["buries"], stats["kicks"], stats["reserves"]), (1, 1, 2))
        with self.assertRaises(greenstalk.NotFoundError):
            c.peek_buried()

    def test_one_job_is_kicked(self):
        c = self.client()
        buried, delayed = c.put("buried"), c.put("delayed", delay=100)
        c.bury(c.reserve())
        c.kick_job(delayed)
        c.kick_job(buried)
        self.assertEqual({c.reserve().id, c.reserve().id}, {buried, delayed})
        for id in (buried, 999):
            with self.assertRaises(greenstalk.NotFoundError):
                c.kick_job(id)

    def test_a_job_is_reserved_by_its_number(self):
        c = self.client()
        ready, delayed, buried = c.put("ready"), c.put("delayed", delay=100), c.put("buried", priority=0)
        c.bury(c.reserve())
        for id in (ready, delayed, buried):
            self.assertEqual(c.reserve_job(id).id, id)
            with self.assertRaises(greenstalk.NotFoundError):
                c.reserve_job(id)
        self.assertEqual(c.stats_tube("default")["current-jobs-reserved"], 3)

    def test_jobs_of_every_state_are_shown_and_deleted(self):
        c, other = self.client(), self.client()
        with self.assertRaises(greenstalk.NotFoundError):
            c.peek_ready()
        buried = c.put("buried", priority=0)
        c.bury(c.reserve())
        reserved = c.put("reserved", priority=0)
        c.reserve()
        ready, delayed = c.put("ready"), c.put("delayed", delay=100)
        for id, body in [(buried, "buried"), (reserved, "reserved"), (ready, "ready"), (delayed, "delayed")]:
            self.assertEqual(other.peek(id).body, body)
            self.assertEqual(other.stats_job(id)["state"], body)
        self.assertEqual(other.peek_ready().id, ready)
        with self.assertRaises(greenstalk.NotFoundError):
            other.delete(reserved)
        for id in (buried, ready, delayed):
            other.delete(id)
            with self.assertRaises(greenstalk.NotFoundError):
                other.peek(id)


class Tubes(Greenstalk):

    def test_a_worker_waits_for_several_tubes_and_gets_the_most_urgent(self):
        producer = self.client()
        worker = self.client(watch=["a", "b", "c"])
        for tube, priority in [("a", 7), ("b", 3), ("c", 5), ("default", 0)]:
            producer.use(tube)
            producer.put(tube, priority=priority)
        self.assertEqual([worker.reserve().body for _ in range(3)], ["b", "c", "a"])
        got = []
        waiting = threading.Thread(target=lambda: got.append(worker.reserve(timeout=10).body))
        waiting.start()
        producer.use("c")
        producer.put("at last")
        waiting.join(timeout=20)
        self.assertEqual(got, ["at last"])

    def test_many_workers_get_a_job_each(self):
        producer, workers = self.client(use="work"), [self.client(watch="work") for _ in range(5)]
        got = []
        threads = [threading.Thread(target=lambda w=w: got.append(w.reserve(timeout=10).body)) for w in workers]
        for thread in threads:
            thread.start()
        for n in range(5):
            producer.put(str(n))
        for thread in threads:
            thread.join(timeout=20)
        self.assertEqual(sorted(got), list("01234"))

    def test_what_a_client_uses_and_watches(self):
        c = self.client()
        self.assertEqual((c.using(), c.watching(), c.tubes()), ("default", ["default"], ["default"]))
        self.assertEqual((c.watch("a"), c.watch("b"), c.watch("a")), (2, 3, 3))
        self.assertEqual(c.ignore("nothing"), 3)
        self.assertEqual((c.ignore("default"), c.ignore("a")), (2, 1))
        with self.assertRaises(greenstalk.NotIgnoredError):
            c.ignore("b")
        c.use("c")
        self.assertEqual((c.using(), c.watching(), sorted(c.tubes())), ("c", ["b"], ["b", "c", "default"]))
        c.put("x")
        c.use("default")
        self.assertIn("c", c.tubes(), "a job keeps it")

    def test_a_paused_tube_gives_nothing_out(self):
        c = self.client()
        c.put("job")
        c.pause_tube("default", 1)
        with self.assertRaises(greenstalk.TimedOutError):
            c.reserve(timeout=0)
        stats = c.stats_tube("default")
        self.assertEqual((stats["pause"], stats["cmd-pause-tube"]), (1, 1))
        self.assertEqual(c.reserve(timeout=3).body, "job")
        with self.assertRaises(greenstalk.NotFoundError):
            c.pause_tube("nothing", 1)

    def test_statistics(self):
        c = self.client()
        id = c.put("ready", priority=7, delay=0, ttr=9)
        c.put("delayed", delay=100)
        c.put("buried", priority=0)
        c.bury(c.reserve(), priority=1)
        tube, server, job = c.stats_tube("default"), c.stats(), c.stats_job(id)
        for stats in (tube, server):
            counts = [stats[f"current-jobs-{state}"] for state in ("ready", "reserved", "delayed", "buried")]
            self.assertEqual(counts, [1, 0, 1, 1])
            self.assertEqual(stats["total-jobs"], 3)
        self.assertEqual((tube["name"], tube["current-watching"]), ("default", 1))
        self.assertEqual((server["cmd-put"], server["current-connections"], server["max-job-size"]), (3, 1, 65_535))
        self.assertEqual((job["pri"], job["ttr"], job["tube"], job["state"], job["id"]), (7, 9, "default", "ready", id))
        with self.assertRaises(greenstalk.NotFoundError):
            c.stats_tube("nothing")
        with self.assertRaises(greenstalk.NotFoundError):
            c.stats_job(999)


class Errors(Greenstalk):

    def test_a_job_that_is_too_big(self):
        c = self.client()
        with self.assertRaises(greenstalk.JobTooBigError):
            c.put("x" * 65_536)
        c.put("x" * 65_535)
        self.assertEqual(len(c.reserve().body), 65_535)

    def test_names_that_are_none(self):
        c = self.client()
        for name in ("-x", "x,y", "x" * 201):
            with self.assertRaises(greenstalk.BadFormatError):
                c.use(name)
        c.use("x" * 200)

    def test_what_a_client_never_sends(self):
        stream, lines = self.raw()
        said = [
            (b"gimme\r\n", b"UNKNOWN_COMMAND"),
            (b"delete x\r\n", b"BAD_FORMAT"),
            (b"y" * 300 + b"\r\n", b"BAD_FORMAT"),
            (b"put 1 0 1 1\r\nxyz", b"EXPECTED_CRLF"),
            (b"stats-job 7\r\n", b"NOT_FOUND"),
        ]
        for line, answer in said:
            stream.sendall(line)
            self.assertEqual(lines.readline(), answer + b"\r\n", line)
        stream.sendall(b"quit\r\n")
        self.assertEqual(lines.read(), b"")

    def test_commands_behind_one_that_waits_are_answered_in_their_order(self):
        stream, lines = self.raw()
        stream.sendall(b"reserve\r\nlist-tube-used\r\nreserve-with-timeout 0\r\n")
        c = self.client()
        id = c.put("x")
        self.assertEqual(lines.readline(), b"RESERVED %d 1\r\n" % id)
        self.assertEqual(lines.readline(), b"x\r\n")
        self.assertEqual(lines.readline(), b"USING default\r\n")
        self.assertEqual(lines.readline(), b"TIMED_OUT\r\n")


if __name__ == "__main__":
    unittest.main()
