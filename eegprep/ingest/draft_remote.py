"""Draft a manifest for a BIDS data set at an address, from its description and tables alone: no signal is fetched.

Licence, citation, DOI and subjects are filled in as the data set states them. A task is drafted for each BIDS task,
with the real number of every event; the lines that begin with `#?` are questions, as in `eegprep.ingest.draft`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eegprep.errors import InputError, RefusedError, UsageError
from eegprep.ingest.draft import TECHNICAL, name_of_class, task_lines
from eegprep.manifest.load import dump_document
from eegprep.manifest.tasks import Task, TrialRule
from eegprep.remote.mirror import Mirror
from eegprep.sources.base import PlannedRecording
from eegprep.sources.bids import BIDSSource
from eegprep.sources.bids_tables import event_texts
from eegprep.sources.description import citation, licence, manifest_for_mirror, read_description
from eegprep.sources.remote import RemoteBIDSSource

_TASK = re.compile(r"(?:^|_)task-([^_]+)")
#: Columns of participants.tsv that may be stored; names and dates never are.
_ATTRIBUTES = ("age", "sex", "gender", "handedness", "hand", "group", "diagnosis")
_MAX_EVENTS = 200
_HEAD = """\
# A draft: known facts are filled in. Every line that begins with "#?" is a question; answer it
# and remove the mark, or remove the line. Then: eegprep manifest validate THIS_FILE
"""


@dataclass
class _Counts:
    """What the tables of one BIDS task contain."""

    recordings: int = 0
    events: Counter[str] = field(default_factory=Counter)
    having: Counter[str] = field(default_factory=Counter)
    without: int = 0


def draft_remote(mirror: Mirror, name: str | None = None) -> str:
    """The text of a manifest for the data set of a mirror.

    Raises
    ------
    UsageError
        Not a BIDS data set, or one without EEG recordings.
    """
    manifest = manifest_for_mirror(mirror)
    said = read_description(mirror)
    source = RemoteBIDSSource(manifest, mirror.folder)
    planned = source.plan()
    if not planned:
        raise UsageError(
            f"{mirror.listing.address} contains no EEG recordings",
            found=f"{len(mirror.files)} files",
            expected="sub-*/[ses-*/]eeg/*_eeg.* in a format that eegprep reads",
        )
    mirror.bring([f for p in planned for f in p.files if f.endswith((".tsv", ".json"))])
    plain = manifest.model_dump(mode="json", exclude_defaults=True)
    head = {
        "manifest": 1,
        "name": name or plain["name"],
        "version": plain["version"],
        "title": plain["title"],
        "citation": citation(said) or None,
        "doi": plain.get("doi"),
        "url": _page(mirror.listing.address),
    }
    facts = {k: v for k, v in head.items() if v is not None}
    text = _HEAD + "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in facts.items())
    if "citation" not in facts:
        text += "#? citation: the paper, or who recorded them\n"
    text += _licence(said)
    text += f"anonymous_subjects: {str(manifest.anonymous_subjects).lower()}"
    text += "  # true if the subject names in the files do not identify anyone\n"
    text += _line_freq(source, planned)
    base = mirror.listing.address
    text += dump_document({"source": {"kind": "bids", **({} if base.startswith("http://") else {"base": base})}})
    text += _subjects(source)
    text += _tasks(source, planned, str(facts["name"]))
    text += "split: {by: subject, ratio: [8, 1, 1]}  # no subject is in more than one split\n"
    n_subjects = len({p.subject for p in planned})
    text += f"expect: {{subjects: {n_subjects}, recordings: {len(planned)}}}  # checked by ingest\n"
    n_bytes = sum(p.n_bytes for p in planned)
    text += "checked:\n  not_checked: [signals]\n"
    text += f"# from the names and tables of {n_bytes / 1e9:.2f} GB of recordings\n"
    return text


def _page(address: str) -> str | None:
    """The page of a data set for people."""
    number = address.rsplit("/", 1)[-1]
    if address.startswith("s3://openneuro.org/"):
        return f"https://openneuro.org/datasets/{number}"
    return address if address.startswith("https://") else None


def _licence(said: Mapping[str, Any]) -> str:
    found = licence(said)
    plain = found.model_dump(mode="json", exclude_defaults=True)
    if found.share_shards:
        return dump_document({"licence": plain})
    asked = "#?   share_shards: true  # does this licence permit sharing derived signals?\n"
    return f"licence:\n  id: {json.dumps(found.id, ensure_ascii=False)}\n{asked}"


def _line_freq(source: RemoteBIDSSource, planned: Sequence[PlannedRecording]) -> str:
    told = Counter(said.get("PowerLineFrequency") for p in planned if (said := source.description(p)))
    known = {v: n for v, n in told.items() if v in (50, 60)}
    if not known:
        return "#? line_freq_hz: 50  # line frequency of the country of recording, 50 or 60\n"
    value, count = max(known.items(), key=lambda item: item[1])
    mark = "" if len(known) == 1 else "#? "
    return f"{mark}line_freq_hz: {int(value)}  # stated by {count} of {len(planned)} recordings\n"


def _subjects(source: RemoteBIDSSource) -> str:
    """The subject table, with the columns that may be stored."""
    rows = _rows(source, "participants.tsv")
    if not rows or "participant_id" not in rows[0]:
        return ""
    names = [c for c in rows[0] if c and c.lower() in _ATTRIBUTES]
    told = [c for c in names if any((r[c] or "n/a").strip().lower() not in ("", "n/a") for r in rows)]
    if not told:
        return ""
    table = {
        "file": "participants.tsv",
        "id_column": "participant_id",
        "id_pattern": "sub-{subject}",
        "separator": "\t",
        "attributes": {c.lower(): c for c in told},
    }
    others = [c for c in rows[0] if c and c not in told and c != "participant_id"]
    note = f"# {len(rows)} participants are listed" + (f"; other columns: {', '.join(others[:20])}" if others else "")
    return dump_document({"subjects": table}) + re.sub(r"[\x00-\x1f]", " ", note)[:500] + "\n"


def event_tasks(source: BIDSSource, planned: Sequence[PlannedRecording], length_s: float) -> list[Task]:
    """A task for each BIDS task whose events recur: every event's text is a class, of this length from its onset.

    Parameters
    ----------
    planned : sequence of PlannedRecording
        Recordings of the source whose tables are read.
    """
    if isinstance(source, RemoteBIDSSource):
        source.mirror.bring([f for p in planned for f in p.files if f.endswith("events.tsv")])
    found = []
    for task, counts in sorted(_count_events(source, planned).items()):
        if len(words := sorted(_recurring(counts))) >= 2:
            rule = TrialRule(by="event", labels={w: w for w in words}, length_s=length_s)
            found.append(Task(name=name_of_class(task or "events"), classes=words, trials=rule))
    return found


def _tasks(source: RemoteBIDSSource, planned: Sequence[PlannedRecording], name: str) -> str:
    """The draft of one task for each BIDS task whose tables have at least two events that recur."""
    text, drafted = "", ""
    for task, counts in sorted(_count_events(source, planned).items()):
        text += f"# task {task or '(none)'}: {counts.recordings} recordings"
        text += f", {counts.without} without a table of events\n" if counts.without else "\n"
        if len(words := _recurring(counts)) < 2:
            continue
        told = {
            t: f"{counts.events[t]} in {counts.having[t]} of {counts.recordings} recordings" for t in sorted(words[:20])
        }
        more = len(counts.events) - len(told)
        drafted += task_lines(
            name_of_class(f"{name}_{task}" if task else name), "event", told, f"{more} other events" if more else ""
        )
    return text + ("#? tasks:  # what a model can learn; omit it for pre-training only\n" + drafted if drafted else "")


def _count_events(source: BIDSSource, planned: Sequence[PlannedRecording]) -> dict[str, _Counts]:
    """The texts of the events in the tables, by BIDS task."""
    found: dict[str, _Counts] = {}
    for one in planned:
        run = " ".join(one.names.get("run", ())) or one.run
        match = _TASK.search(run)
        counts = found.setdefault(match[1] if match else "", _Counts())
        counts.recordings += 1
        table = next((f for f in one.files[1:] if f.endswith("events.tsv")), None)
        rows = _rows(source, table) if table is not None else []
        cells = [{c: (r.get(c) or "").strip() for c in ("trial_type", "value")} for r in rows]
        here = Counter(text for text in event_texts(cells)[0] if text and text.lower() != "n/a")
        if not here:
            counts.without += 1
            continue
        counts.events.update(here)
        counts.having.update(here.keys())
    return found


def _recurring(counts: _Counts) -> list[str]:
    """Texts that may be classes, most frequent first; one that occurs once may be a remark."""
    words = [t for t, n in counts.events.most_common() if not TECHNICAL.fullmatch(t) and len(t) <= 200]
    return [t for t in words if counts.events[t] > 1 or not re.search(r"\s", t)][:_MAX_EVENTS]


def _rows(source: BIDSSource, path: str) -> list[dict[str, str | None]]:
    """The rows of a table; none if it is missing or is no table."""
    try:
        if isinstance(source, RemoteBIDSSource):
            data = source.mirror.read(path) if path in source.mirror.files else b""
        else:
            data = (source.folder / path).read_bytes()
        return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig", "replace")), delimiter="\t"))
    except (OSError, InputError, RefusedError, csv.Error):
        return []
