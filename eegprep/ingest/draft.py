"""A draft of a manifest for a plain folder: what the files say is filled in, what only a person knows is asked for.

What enters: what a dry run found. What leaves: YAML text. Lines that begin with `#?` are questions; without an answer
to those that every manifest needs (title, citation, licence) `eegprep manifest validate` refuses it. Names of people
are not written: of the files' names only the pattern is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence

from eegprep.ingest.dry import Inspection
from eegprep.ingest.inspection import Inspected
from eegprep.sources.naming import guess_patterns
from eegprep.sources.patterns import compile_pattern, match

__all__ = ["draft"]

_HEAD = """\
# A draft: what the files say is filled in. Every line that begins with "#?" asks for what they do not say; answer it
# and take the mark away, or take the line away. Then: eegprep manifest validate THIS_FILE
manifest: 1
name: {name}
version: "1"
#? title: what the recordings are, in one line
#? description: who did what, how many people, how long
#? citation: the paper, or who recorded them
#? licence: {{id: CC-BY-4.0, share_shards: true}}  # or {{id: unknown, share_shards: false}}: the shards stay with you
anonymous_subjects: false  # true where the files' own names of people mean nothing elsewhere
"""

_TASKS = """\
#? tasks:                  # what a model may learn from the recordings; leave it out to pre-train alone
#?   - name: {name}_state
#?     classes: [rest, task]
#?     trials:
#?       by: event         # or run, session, attribute, interval, trial
#?       labels: {{T1: rest, T2: task}}
#?       length_s: 4
"""


def draft(found: Inspection, name: str, *, bids: bool = False) -> str:
    """The text of a manifest for the recordings of a dry run.

    Parameters
    ----------
    found : Inspection
        Of a folder without a manifest.
    name : str
        The data set's name.
    bids : bool
        Whether the folder is a BIDS tree, which tells its own subjects, sessions and runs.
    """
    usable = [r for r in found.recordings if r.usable]
    patterns = () if bids else guess_patterns([r.file for r in usable])
    return "".join(
        [
            _HEAD.format(name=name),
            _line_freq(usable),
            _reference(usable),
            _source(usable, patterns, bids=bids),
            _channels(usable),
            _TASKS.format(name=name.replace("-", "_")),
            "split: {by: subject, ratio: [8, 1, 1]}  # nobody stands in two of train, validation and test\n",
            _expect(usable, patterns),
            _checked(found),
        ]
    )


def _line_freq(usable: Sequence[Inspected]) -> str:
    told = Counter(r.line_freq_hz for r in usable if r.line_freq_hz)
    if not told:
        return "#? line_freq_hz: 50  # of the mains where it was recorded, 50 or 60\n"
    value, count = told.most_common(1)[0]
    mark = "" if len(told) == 1 and 2 * count >= len(usable) else "#? "
    return f"{mark}line_freq_hz: {value:g}  # so {count} of {len(usable)} recordings say\n"


def _reference(usable: Sequence[Inspected]) -> str:
    told = Counter(c.reference for r in usable for c in r.channels if c.electrode is not None)
    unknown = told.pop("unknown", 0)
    if told and not unknown:
        return f"# reference: the channels say it themselves: {_listed(told)}\n"
    return "#? reference: A1A2  # against what was recorded; the files do not say it of every channel\n"


def _source(usable: Sequence[Inspected], patterns: Sequence[str], *, bids: bool) -> str:
    if bids:
        return "source: {kind: bids}\n"
    if not patterns:
        question = '#?   files: ["{subject}_{run}.edf"]  # how the files are named; no pattern was found that fits all'
        return f"source:\n  kind: files\n{question}\n"
    subjects = _count(usable, patterns, "subject")
    texts = ", ".join(json.dumps(p, ensure_ascii=False) for p in patterns)
    said = f"{len(usable)} recordings of {subjects} people, if {{subject}} is the person"
    return f"source:\n  kind: files\n  files: [{texts}]  # {said}\n"


def _channels(usable: Sequence[Inspected]) -> str:
    """Names that lead to no electrode, as questions: how many recordings have each, and why it is left out."""
    unknown = Counter(c.name for r in usable for c in r.channels if c.code == "unknown_name")
    if not unknown:
        return ""
    lines = ["#? channels:  # names that no rule leads to an electrode; as they are, they are left out\n"]
    for channel, count in sorted(unknown.items()):
        said = f"in {count} of {len(usable)} recordings"
        lines.append(f"#?   {json.dumps(channel, ensure_ascii=False)}: {{electrode: Cz}}  # {said}\n")
    return "".join(lines)


def _expect(usable: Sequence[Inspected], patterns: Sequence[str]) -> str:
    told: dict[str, float | int] = {}
    if patterns:
        told["subjects"] = _count(usable, patterns, "subject")
    told["recordings"] = len(usable)
    facts: tuple[tuple[str, Callable[[Inspected], float]], ...] = (("channels", _n_electrodes), ("sfreq_hz", _rate))
    for name, value in facts:
        values = {value(r) for r in usable}
        if len(values) == 1 and (only := values.pop()):
            told[name] = only
    return (
        "expect: {" + ", ".join(f"{k}: {v:g}" for k, v in told.items()) + "}  # ingest holds what it finds against it\n"
    )


def _rate(recording: Inspected) -> float:
    return recording.sfreq_hz or 0.0


def _n_electrodes(recording: Inspected) -> int:
    return sum(c.electrode is not None for c in recording.channels)


def _count(usable: Sequence[Inspected], patterns: Sequence[str], entity: str) -> int:
    compiled = [compile_pattern(p) for p in patterns]
    return len({(match(compiled, r.file) or {}).get(entity) for r in usable})


def _checked(found: Inspection) -> str:
    usable = sum(r.usable for r in found.recordings)
    refused = sum(r.error is not None for r in found.recordings) + len(found.left_out)
    copies = sum(bool(r.duplicate_of) for r in found.recordings)
    said = f"{usable} recordings usable, {refused} refused, {copies} copies of others (eegprep inspect tells why)"
    return f"checked:\n  against_files: [names, rates and units of all channels]\n# {said}\n"


def _listed(told: Counter[str]) -> str:
    return ", ".join(name for name, _ in told.most_common(5))
