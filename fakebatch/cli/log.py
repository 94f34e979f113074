"""The log of the command line: lines that a thread of its own writes, so that nobody waits for whoever reads them.

What can't be written is counted, and said. Knows nothing of what the lines mean.
"""

import logging
import os
import select
import threading
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from typing import TextIO

from ..state.collection import counted

MOST_WAITING = 10_000
"""How many lines wait to be written; those that come when there are so many are dropped."""
PATIENCE = 0.2
"""How long, in seconds, the end waits for the last lines to be written: into a pipe that is full, they never are."""


class Log:
    """Writes lines to a stream that has a file descriptor, in their order. What its encoding lacks is escaped."""

    def __init__(self, stream: TextIO) -> None:
        self._queue: Queue[logging.LogRecord] = Queue(MOST_WAITING)
        self._sender = _Sender(self._queue)
        self._writer = _Writer(self._queue, stream)
        self._logger = logging.Logger("fakebatch")  # its own, and not one of the process's
        self._logger.addHandler(self._sender)
        self._writer.start()

    def say(self, line: object) -> None:
        """Have a line written. Returns at once."""
        self._logger.info("%s", line)

    def close(self) -> str:
        """Wait a moment for the last lines to be written. Returns what there is to say of lost ones, or nothing."""
        end = logging.makeLogRecord({})
        self._writer.end = end
        with suppress(Full):
            self._queue.put(end, timeout=PATIENCE)
            if self._writer.ended.wait(PATIENCE):
                self._writer.stop()
        lost = self._sender.dropped + self._sender.accepted - self._writer.written
        return f"{counted(lost, 'line')} of the log could not be written: {self._writer.reason}" if lost else ""


class _Sender(QueueHandler):
    """Puts lines into a queue, or drops them where it is full; the next that there is room for comes after a line that
    says how many were dropped."""

    def __init__(self, queue: "Queue[logging.LogRecord]") -> None:
        super().__init__(queue)
        self.accepted = 0
        self.dropped = 0
        self._told_of = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            if self.dropped > self._told_of:
                number = counted(self.dropped - self._told_of, "line")
                self._put(logging.makeLogRecord({"msg": f"[{number} dropped here: nobody read the log]"}))
                self._told_of = self.dropped
            self._put(record)
        except Full:
            self.dropped += 1

    def _put(self, record: logging.LogRecord) -> None:
        self.queue.put_nowait(record)
        self.accepted += 1


class _Writer(QueueListener):
    """Writes lines below Python's own buffers and handlers: these have locks that nobody may hold for ever when the
    process ends."""

    def __init__(self, queue: "Queue[logging.LogRecord]", stream: TextIO) -> None:
        super().__init__(queue)
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding
        self.written = 0
        self.reason = "nobody reads it"
        """Why the last line was lost that was."""
        self.end: logging.LogRecord | None = None
        self.ended = threading.Event()

    def handle(self, record: logging.LogRecord) -> None:
        if record is self.end:
            self.ended.set()
            return
        rest = f"{record.getMessage()}\n".encode(self._encoding, "backslashreplace")
        try:
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:  # somebody who shares the pipe has made it so
                    select.select([], [self._descriptor], [])
        except OSError as error:
            self.reason = error.strerror or str(error)
        else:
            self.written += 1
