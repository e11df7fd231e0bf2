"""Draft a manifest for a plain folder: known facts are filled in, the rest become questions.

A draft can be ingested as it is: what nobody has stated is called unknown or unpublished, and a task is made of the
events in the files. Lines that begin with `#?` are questions. Only patterns of file names are written, never personal
names.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eegprep.formats.tables.suggest import Suggestion, suggest
from eegprep.ingest.dry import Inspection
from eegprep.ingest.inspection import Inspected
from eegprep.manifest.patterns import compile_pattern, match
from eegprep.sources.entry import Code, Entry
from eegprep.sources.naming import are_groups, guess_patterns, names_subjects

_UNKNOWN = ("", "unknown", "n/a", "na", "none")
_HEAD = """\
# A draft that can be ingested as it is. Every line that begins with "#?" is a question; answer it
# and remove the mark, or remove the line. Then: eegprep manifest validate THIS_FILE
manifest: 1
name: {name}
version: "1"
title: {title}  # in one line
#? description: who did what, how many subjects, how long
citation: unpublished  # or the paper, or who recorded them
licence: {{id: unknown, share_shards: false}}  # to share shards, e.g. {{id: CC-BY-4.0, share_shards: true}}
anonymous_subjects: false  # true if the subject names in the files do not identify anyone
"""

_TASKS = "#? tasks:  # what a model can learn from the recordings; omit it for pre-training only\n"
_NO_TASK = """\
#?   - name: {name}
#?     classes: [rest, task]
#?     trials:
#?       by: session       # or run, attribute, interval; the files contain no events that mark trials
#?       labels: {{"1": rest, "2": task}}
#?       length_s: 4
"""
#: Events about the recording itself, not the experiment.
TECHNICAL = re.compile(r"(?i)boundary|-99|new segment.*|edge .*|bad.*|impedance.*|comment/.*")
_MAX_LABELS = 20


def draft(found: Inspection, name: str, *, bids: bool = False) -> str:
    """The text of a manifest for the recordings of a dry run.

    Parameters
    ----------
    found : Inspection
        Of a folder without a manifest.
    name : str
        The data set's name.
    bids : bool
        Whether the folder is a BIDS tree, which defines its own subjects, sessions and runs.
    """
    usable = [r for r in found.recordings if r.usable] or [r for r in found.recordings if r.channels]
    patterns = () if bids else guess_patterns([r.file for r in usable])
    # what an ingest would plan, including refused recordings and copies
    compiled = [compile_pattern(p) for p in patterns]
    planned = [r for r in found.recordings if not compiled or match(compiled, r.file) is not None]
    return "".join(
        [
            _head(name),
            _line_freq(usable),
            _reference(usable),
            _source(planned, patterns, bids=bids),
            _channels(usable),
            _tasks(usable, patterns, name.replace("-", "_")[:57] + "_state"),
            _split(planned, patterns),
            _expect(planned, usable, patterns),
            _checked(found),
        ]
    )


def draft_described(entries: Sequence[Entry], folder: Path, name: str) -> str | None:
    """The text of a manifest for files of plain numbers (tables with a header line, arrays); None if there are none.

    Files that differ from the majority need a second manifest.
    """
    found: dict[Suggestion, list[str]] = {}
    for file in entries:
        if file.code is Code.NEEDS_MANIFEST and (one := suggest(folder / file.path)) is not None:
            found.setdefault(one, []).append(file.path)
    if not found:
        return None
    described, paths = max(found.items(), key=lambda item: (len(item[1]), item[0].kind))
    patterns = guess_patterns(paths)
    source = described.lines(patterns[0] if patterns else "{subject}_{run}" + Path(paths[0]).suffix)
    others = sum(len(p) for p in found.values()) - len(paths)
    left = f"# {others} files with other columns or shapes need separate manifests\n" if others else ""
    tasks = _TASKS.format(name=name.replace("-", "_"))
    return "".join(
        [_head(name), _line_freq(()), _reference(()), source, left, tasks,
         "split: {by: subject, ratio: [8, 1, 1]}  # no subject is in more than one split\n",
         f"expect: {{recordings: {len(paths)}}}  # checked by ingest\n"]
    )  # fmt: skip


def _head(name: str) -> str:
    return _HEAD.format(name=name, title=json.dumps(name, ensure_ascii=False))


def _line_freq(usable: Sequence[Inspected]) -> str:
    told = Counter(r.line_freq_hz for r in usable if r.line_freq_hz)
    if not told:
        return "#? line_freq_hz: 50  # line frequency of the country of recording, 50 or 60\n"
    value, count = told.most_common(1)[0]
    mark = "" if len(told) == 1 and 2 * count >= len(usable) else "#? "
    return f"{mark}line_freq_hz: {value:g}  # found in {count} of {len(usable)} recordings\n"


def _reference(usable: Sequence[Inspected]) -> str:
    told = Counter(c.reference for r in usable for c in r.channels if c.electrode is not None)
    unknown = sum(told.pop(word, 0) for word in [*told] if word.strip().lower() in _UNKNOWN)
    if told and not unknown:
        return f"# reference: stated by the channels: {_listed(told)}\n"
    return "#? reference: A1A2  # reference electrode; the files do not state it for every channel\n"


def _source(planned: Sequence[Inspected], patterns: Sequence[str], *, bids: bool) -> str:
    if bids:
        return "source: {kind: bids}\n"
    if not patterns:
        question = '#?   files: ["{subject}_{run}.edf"]  # file names; no pattern was found that matches all'
        return f"source:\n  kind: files\n{question}\n"
    texts = ", ".join(json.dumps(p, ensure_ascii=False) for p in patterns)
    n_subjects = len(_values(planned, patterns, "subject"))
    groups = next((e for e in ("session", "run") if are_groups(_values(planned, patterns, e))), "")
    pairs = {(one.get("subject"), one.get(groups)) for one in _entities(planned, patterns)}
    if groups and len(pairs) > n_subjects:
        said = f"{len(planned)} recordings; a number in two {{{groups}}} is one subject: rename files of two people"
    elif all(map(names_subjects, patterns)):
        said = f"{len(planned)} recordings of {n_subjects} subjects"
    elif n_subjects:
        said = f"{len(planned)} recordings; {{subject}} has {n_subjects} values: is each of them one subject?"
    else:
        said = f"{len(planned)} recordings"
    asked = "#?   subject: S1  # the file names do not contain the subject\n" if not n_subjects else ""
    return f"source:\n  kind: files\n  files: [{texts}]  # {said}\n{asked}"


def _split(planned: Sequence[Inspected], patterns: Sequence[str]) -> str:
    """By subject; of one subject, its last sessions or runs are tested."""
    in_keys = [dict(zip(("subject", "session", "run"), r.key.split("/"), strict=False)) for r in planned]
    found = _entities(planned, patterns) if patterns else in_keys
    if len({one.get("subject", "") for one in found}) != 1:
        return "split: {by: subject, ratio: [8, 1, 1]}  # no subject is in more than one split\n"
    for by in ("session", "run"):
        names = sorted({one.get(by, "") for one in found}, key=_natural)
        if len(names) < 2 or {"", "-"} & set(names):
            continue
        n_test = max(1, round(len(names) / 5))
        n_validation = n_test if len(names) >= 5 else 0
        cut = len(names) - n_test - n_validation
        of = {"train": names[:cut], "validation": names[cut : cut + n_validation], "test": names[cut + n_validation :]}
        lists = [f"{split}: {json.dumps(own, ensure_ascii=False)}" for split, own in of.items() if own]
        said = f"one subject: its last {by}s are tested; change the lists as you like"
        return f"split: {{by: {by}, {', '.join(lists)}}}  # {said}\n"
    said = "one subject, one recording: all of it is trained on; test parts of its time with --scheme within:5"
    return f"split: {{by: subject, ratio: [8, 1, 1]}}  # {said}\n"


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _tasks(usable: Sequence[Inspected], patterns: Sequence[str], name: str) -> str:
    """A task from the events found in the files, else from the labels of epochs or the runs."""
    for by, kind in (("trial", "labels"), ("event", "events")):
        counts = {t: n for t, n in _texts(usable, kind).items() if not TECHNICAL.fullmatch(t) and len(t) <= 200}
        having = {t: sum(t in getattr(r, kind) for r in usable) for t in counts}
        # a text that occurs once in few recordings is about those; with spaces it may be a personal remark
        words = [t for t, n in counts.items() if n > having[t] or 2 * having[t] >= len(usable)]
        words = [t for t in words if counts[t] > 1 or not re.search(r"\s", t)]
        if len(words) < 2:
            continue
        shown = sorted(words[:_MAX_LABELS])
        told = {t: f"{counts[t]} in {having[t]} of {len(usable)} recordings" for t in shown}
        more = len(counts) - len(shown)
        spacing = 3600 * sum(r.hours for r in usable) / sum(counts[t] for t in shown)
        lines = task_lines(name, by, told, f"{more} other texts: eegprep inspect" if more else "", spacing)
        return re.sub(r"(?m)^#\? ", "", _TASKS + lines)
    runs = Counter(entities.get("run", "") for entities in _entities(usable, patterns))
    if 2 <= len(runs) <= _MAX_LABELS and "" not in runs:
        return _TASKS + task_lines(name, "run", {run: f"{n} recordings" for run, n in sorted(runs.items())}, "")
    return _TASKS + _NO_TASK.format(name=name)


def name_of_class(text: str) -> str:
    """A task's name out of any text."""
    return re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")[:62] or "task"


def task_lines(name: str, by: str, told: Mapping[str, str], more: str, spacing_s: float | None = None) -> str:
    """The draft of one task, below `tasks:`; `told` are the texts in the files, and what is known of each.

    Windows at events are a second long, or as long as the mean time between events, at most the paper's four seconds.
    """
    quoted = [json.dumps(text, ensure_ascii=False) for text in told]
    labels = [f"#?         {text}: {text}  # {said}\n" for text, said in zip(quoted, told.values(), strict=True)]
    seconds = ""
    if by == "event":
        length = 1.0 if spacing_s is None else min(4.0, max(0.5, spacing_s // 0.5 / 2))
        apart = "" if spacing_s is None else f"; one event every {spacing_s:.1f} s on average"
        seconds = f"#?       length_s: {length:g}    # from the event on{apart}\n"
    return "".join(
        [
            f"#?   - name: {name}\n",
            f"#?     classes: [{', '.join(quoted)}]\n",
            f"#?     trials:\n#?       by: {by}\n",
            "#?       labels:        # texts in the files: classes of this task; keep those that belong to the task\n",
            *labels,
            f"# {more}\n" if more else "",
            seconds or ("#?       length_s: 4\n" if by == "run" else ""),
        ]
    )


def _texts(usable: Sequence[Inspected], kind: str) -> dict[str, int]:
    """Texts of events or labels with their counts, most frequent first."""
    sums: Counter[str] = Counter()
    for one in usable:
        sums.update(getattr(one, kind))
    return dict(sorted(sums.items(), key=lambda x: (-x[1], x[0])))


def _channels(usable: Sequence[Inspected]) -> str:
    """Names without an electrode, as questions, each with its number of recordings and the reason."""
    unknown = Counter(c.name for r in usable for c in r.channels if c.code == "unknown_name")
    if not unknown:
        return ""
    lines = ["#? channels:  # unresolved channel names; left out unless mapped here\n"]
    for channel, count in sorted(unknown.items()):
        said = f"in {count} of {len(usable)} recordings"
        lines.append(f"#?   {json.dumps(channel, ensure_ascii=False)}: {{electrode: Cz}}  # {said}\n")
    return "".join(lines)


def _expect(planned: Sequence[Inspected], usable: Sequence[Inspected], patterns: Sequence[str]) -> str:
    told: dict[str, float | int] = {}
    if patterns and all(map(names_subjects, patterns)):
        told["subjects"] = len(_values(planned, patterns, "subject"))
    told["recordings"] = len(planned)
    facts: tuple[tuple[str, Callable[[Inspected], float]], ...] = (("channels", _n_electrodes), ("sfreq_hz", _rate))
    for name, value in facts:
        values = {value(r) for r in usable}
        if len(values) == 1 and (only := values.pop()):
            told[name] = only
    return "expect: {" + ", ".join(f"{k}: {v:g}" for k, v in told.items()) + "}  # checked by ingest\n"


def _rate(recording: Inspected) -> float:
    return recording.sfreq_hz or 0.0


def _n_electrodes(recording: Inspected) -> int:
    return sum(c.electrode is not None for c in recording.channels)


def _entities(found: Sequence[Inspected], patterns: Sequence[str]) -> list[Mapping[str, str]]:
    compiled = [compile_pattern(p) for p in patterns]
    return [match(compiled, r.file) or {} for r in found]


def _values(found: Sequence[Inspected], patterns: Sequence[str], entity: str) -> set[str]:
    return {entities[entity] for entities in _entities(found, patterns) if entity in entities}


def _checked(found: Inspection) -> str:
    usable = sum(r.usable for r in found.recordings)
    refused = sum(r.error is not None for r in found.recordings) + len(found.left_out)
    copies = sum(bool(r.duplicate_of) for r in found.recordings)
    said = f"{usable} recordings usable, {refused} refused, {copies} duplicates (see eegprep inspect)"
    return f"checked:\n  against_files: [names, rates and units of all channels]\n# {said}\n"


def _listed(told: Counter[str]) -> str:
    return ", ".join(name for name, _ in told.most_common(5))
