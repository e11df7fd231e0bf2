"""Progress: bars on a terminal, otherwise (a job's log) one line a minute."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from .tables import console

#: Seconds between two lines of progress without a terminal.
EVERY_S = 60.0


class Minute:
    """Print a line to standard error, at most once a minute; the first one a minute after the start."""

    def __init__(self) -> None:
        self.started = self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        """Print `text` with the time since the start, if a line is due."""
        now = time.monotonic()
        if now - self._last >= EVERY_S:
            self._last = now
            minutes, seconds = divmod(round(now - self.started), 60)
            print(f"{minutes // 60}:{minutes % 60:02}:{seconds:02} {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def bar(word: str, *, plan: bool = False) -> Iterator[Any]:
    """A progress bar with rate and remaining time, for `eegprep.ingest` to call after each recording.

    With `plan`, one line with the plan is printed first. Without a terminal, a line is printed every minute.
    """

    def planned(done: int, total: int, done_bytes: int, n_bytes: int) -> None:
        before = f", {done} of them already done" if done else ""
        if plan:
            print(f"plan: {total} recordings, {n_bytes / 1e6:.1f} MB{before}", file=sys.stderr)

    if not sys.stderr.isatty():
        minute = Minute()

        def lines(done: int, total: int, done_bytes: int, n_bytes: int, last: str) -> None:
            if not last:
                planned(done, total, done_bytes, n_bytes)
            else:
                minute(f"{word}: {done} of {total} recordings, {done_bytes / 1e6:.1f} of {n_bytes / 1e6:.1f} MB")

        yield lines
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn(word),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, console=console(stderr=True)) as shown:
        task = shown.add_task(word, total=None, count="", last="")

        def report(done: int, total: int, done_bytes: int, n_bytes: int, last: str) -> None:
            if not last:
                planned(done, total, done_bytes, n_bytes)
                # Recordings done before do not count for the rate of this run.
                shown.reset(task, total=n_bytes, completed=done_bytes)
            shown.update(task, completed=done_bytes, total=n_bytes, count=f"{done}/{total}", last=last)

        yield report


@contextlib.contextmanager
def one_at_a_time(*displays: Callable[[], AbstractContextManager[Any]]) -> Iterator[list[Callable[..., None]]]:
    """Callbacks of several displays, of which a terminal can show one: each is opened when its callback is called."""
    with contextlib.ExitStack() as stack:
        shown: dict[int, Any] = {}

        def callback(number: int) -> Callable[..., None]:
            def report(*told: Any) -> None:
                if number not in shown:
                    stack.close()
                    shown.clear()
                    shown[number] = stack.enter_context(displays[number]())
                if shown[number] is not None:
                    shown[number](*told)

            return report

        yield [callback(number) for number in range(len(displays))]


@contextlib.contextmanager
def downloads() -> Iterator[Any]:
    """One progress bar per file that is being downloaded; without a terminal, a line every minute."""
    if not sys.stderr.isatty():
        minute = Minute()
        yield lambda name, done, total: minute(
            f"{name}: {done / 1e6:.1f}" + (f" of {total / 1e6:.1f} MB" if total else " MB")
        )
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True)) as shown:
        tasks: dict[str, Any] = {}

        def report(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=total)
            shown.update(tasks[name], completed=done, total=total, visible=total is None or done < total)

        yield report
