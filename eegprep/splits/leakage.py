"""The check against leakage: was anything in the test set seen during training?

Compares what a model has seen (subjects, hashes of decoded signals and fingerprints, kept in `seen.json` next to every
checkpoint) with the test set. Any overlap is refused (exit code 3), or, if the user overrides it, returned as a
sentence that is printed with every table of the run.

Both subjects and signals are compared. Subjects alone miss a recording that exists under two subjects or in two data
sets; signals alone miss the other recordings of a subject. Data sets split within subjects are compared recording by
recording, since their test subjects are in train by design.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eegprep.errors import InputError, RefusedError
from eegprep.files import write_json
from eegprep.splits.fingerprint import Copies

SEEN_FILE = "seen.json"
_SHOWN = 8


@dataclass(frozen=True, kw_only=True, order=True)
class SeenRecording:
    """One recording: its id `dataset/subject/session/run`, and the hash and fingerprint of its signal.

    `held_out` are parts of a seen recording that were not seen, or the only parts of a test recording that are tested,
    as (first, one past the last) sample; empty: none, or all of it.
    """

    id: str
    signal_sha256: str = ""
    within_subject: bool = False
    fingerprint: str = ""
    held_out: tuple[tuple[int, int], ...] = ()

    @property
    def person(self) -> str:
        """`dataset/subject`."""
        return "/".join(self.id.split("/", 2)[:2])


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All recordings that a model has learned from, with or without labels."""

    recordings: frozenset[SeenRecording] = field(default_factory=frozenset)

    @classmethod
    def of(cls, recordings: Iterable[SeenRecording]) -> Seen:
        """The record for a model trained on `recordings`."""
        return cls(recordings=frozenset(recordings))

    def __or__(self, other: Seen) -> Seen:
        return Seen(recordings=self.recordings | other.recordings)

    def to_json(self) -> dict[str, Any]:
        """Plain data, sorted."""
        return {
            "seen": 1,
            "recordings": [
                {
                    "id": r.id,
                    "signal_sha256": r.signal_sha256,
                    "within_subject": r.within_subject,
                    "fingerprint": r.fingerprint,
                    **({"held_out": [list(part) for part in r.held_out]} if r.held_out else {}),
                }
                for r in sorted(self.recordings)
            ],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], *, where: str | Path = SEEN_FILE) -> Seen:
        """The inverse of `to_json`; InputError if the data are invalid."""
        try:
            if data["seen"] != 1:
                raise InputError("unknown version of the list of seen recordings", where=where, found=data["seen"])
            return cls.of(
                SeenRecording(
                    id=str(r["id"]),
                    signal_sha256=str(r["signal_sha256"]),
                    within_subject=bool(r["within_subject"]),
                    fingerprint=str(r["fingerprint"]),
                    held_out=tuple((int(a), int(b)) for a, b in r.get("held_out", ())),
                )
                for r in data["recordings"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                "invalid list of seen recordings", where=where, found=f"{type(error).__name__}: {error}"
            ) from error

    def write(self, folder: Path) -> None:
        """Write `seen.json` into a run's folder."""
        write_json(Path(folder) / SEEN_FILE, self.to_json())


@dataclass(frozen=True, kw_only=True, order=True)
class Leak:
    """One test recording that was seen, and how: `signal`, `altered copy`, `recording` or `subject`."""

    id: str
    how: str
    seen_as: str


def find_leaks(seen: Seen, test: Iterable[SeenRecording]) -> list[Leak]:
    """Test recordings whose signal (or an altered copy) or subject was seen, sorted by id.

    A recording of which only parts are tested was not seen if all of them were held out.
    """
    test = set(test)
    tested = {r.id: r for r in test}
    by_hash: dict[str, str] = {}
    by_person: dict[str, str] = {}
    ids = set()
    learned = [r for r in sorted(seen.recordings) if r.id not in tested or not _held_out(r, tested[r.id])]
    for r in learned:
        ids.add(r.id)
        by_person.setdefault(r.person, r.id)
        if r.signal_sha256:
            by_hash.setdefault(r.signal_sha256, r.id)
    leaks = []
    copies = Copies((r.id, r.fingerprint) for r in learned)
    for r in sorted(test):
        if r.signal_sha256 and r.signal_sha256 in by_hash:
            leaks.append(Leak(id=r.id, how="signal", seen_as=by_hash[r.signal_sha256]))
        elif r.id in ids:
            leaks.append(Leak(id=r.id, how="recording", seen_as=r.id))
        elif known := copies.of(r.fingerprint):
            leaks.append(Leak(id=r.id, how="altered copy", seen_as=known))
        elif not r.within_subject and r.person in by_person:
            leaks.append(Leak(id=r.id, how="subject", seen_as=by_person[r.person]))
    return leaks


def _held_out(seen: SeenRecording, tested: SeenRecording) -> bool:
    """Whether all tested parts of a recording are among the parts that were not seen."""
    return (
        bool(tested.held_out)
        and seen.signal_sha256 == tested.signal_sha256
        and all(any(a <= first and stop <= b for a, b in seen.held_out) for first, stop in tested.held_out)
    )


def refuse_leaks(
    seen: Seen, test: Iterable[SeenRecording], *, allow: bool = False, stage: str = "training", scheme: str = "kfold:5"
) -> str:
    """Refuse to test on seen data; with `allow`, return one line to print on every table instead.

    Returns
    -------
    str
        Empty without leakage.

    Raises
    ------
    RefusedError
        There is leakage and `allow` is not set.
    """
    leaks = find_leaks(seen, test)
    if not leaks:
        return ""
    how = ", ".join(f"{how} {n}" for how, n in sorted(Counter(k.how for k in leaks).items()))
    said = f"{len(leaks)} test recording{'s were' if len(leaks) > 1 else ' was'} seen in {stage}"
    shown = "; ".join(f"{k.id} ({k.how} of {k.seen_as})" for k in leaks[:_SHOWN])
    more = f"; and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
    if not allow:
        raise RefusedError(
            said,
            found=shown + more,
            expected="no subjects or signals of the test split in any training stage",
            todo="pre-train on the train split of the same shard sets (for folds, once for each: eegpt train "
            f"--set data.division={scheme}/0 and so on), or pass --allow-leakage, "
            "which is then printed on every table",
        )
    return f"LEAKAGE ALLOWED: {said} ({how}), e.g. {leaks[0].id}"
