"""Progress bars for recordings and downloads, shown on terminals only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from .tables import console


@contextlib.contextmanager
def bar(word: str, *, plan: bool = False) -> Iterator[Any]:
    """A progress bar with rate and remaining time, for `eegprep.ingest` to call after each recording.

    With `plan`, one line with the plan is printed first, even without a terminal.
    """

    def planned(done: int, total: int, done_bytes: int, n_bytes: int) -> None:
        before = f", {done} of them already done" if done else ""
        if plan:
            print(f"plan: {total} recordings, {n_bytes / 1e6:.1f} MB{before}", file=sys.stderr)

    if not sys.stderr.isatty():

        def first_only(done: int, total: int, done_bytes: int, n_bytes: int, last: str) -> None:
            if not last:
                planned(done, total, done_bytes, n_bytes)

        yield first_only
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
    """One progress bar per file that is being downloaded."""
    if not sys.stderr.isatty():
        yield None
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
