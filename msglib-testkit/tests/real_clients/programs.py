"""The example brokers as programs, for clients that nobody here wrote."""

import os
import pathlib
import subprocess

EXAMPLES = pathlib.Path(os.environ["MSGLIB_EXAMPLES"])


class BrokerProgram:
    """Serves on a port of its own until the end of the block."""

    def __init__(self, name):
        self._command = [EXAMPLES / name, "[::1]:0"]

    def __enter__(self):
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first = self._process.stdout.readline()
        self.port = int(first.rsplit(":", 1)[1])
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.stdout.close()
        if self._process.wait(timeout=20) != 0:
            raise AssertionError(f"the broker ended with {self._process.returncode}")
