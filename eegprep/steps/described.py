"""From the steps as a recording's index states them back to a recipe: `plan_chain`'s inverse.

What enters: `RecordingInfo.steps` with the source's rate and mains. What leaves: a `Recipe` that gives these very
steps again, which is tested before it is handed out. So a checkpoint's own preprocessing can be read from what its
shards say, whatever recipe file made them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from eegprep.errors import InputError, UsageError
from eegprep.manifest.recipe import Recipe
from eegprep.steps.chain import plan_chain

__all__ = ["recipe_of_steps"]

_NUMBER = r"[0-9.]+(?:e[+-]?[0-9]+)?"
_BAND = re.compile(rf"(open|{_NUMBER}) to (open|{_NUMBER}) Hz(?: \(({_NUMBER}) Hz is beyond the Nyquist frequency\))?")
_RATE = re.compile(rf"{_NUMBER} to ({_NUMBER}) Hz")


def recipe_of_steps(
    described: Sequence[str], *, sfreq_hz: float, line_freq_hz: float | None, name: str = "from_steps"
) -> Recipe:
    """The recipe behind `described`.

    Raises
    ------
    InputError
        Where the words are not those of `plan_chain`.
    """
    for steps in _readings(described, line_freq_hz):
        try:
            recipe = Recipe.model_validate({"name": name, "steps": steps})
            again = plan_chain(recipe, sfreq_hz=sfreq_hz, line_freq_hz=line_freq_hz).described
        except (ValidationError, UsageError):
            continue
        if list(again) == list(described):
            return recipe
    raise InputError(
        "these steps can't be done again", found="; ".join(described), todo="name a recipe, with recipe= or --recipe"
    )


def _readings(described: Sequence[str], line_freq_hz: float | None) -> Iterator[list[dict[str, Any]]]:
    """What the words may mean: a notch at the mains may have been asked for as such or as a number."""
    for harmonics in (True, False):
        for by_number in (False, True):
            yield [_step(text, harmonics, by_number) for text in described]


def _step(text: str, harmonics: bool, by_number: bool) -> dict[str, Any]:
    name, _, rest = str(text).partition(": ")
    step: dict[str, Any] = {"step": name}
    if name == "remove_offset":
        step["over"] = rest.removeprefix("median over each ")
    elif name == "band_pass" and (fit := _BAND.fullmatch(rest)):
        low, high, beyond = fit.groups()
        step["low_hz"] = None if low == "open" else float(low)
        step["high_hz"] = float(beyond) if beyond else None if high == "open" else float(high)
    elif name == "notch":
        first = re.match(_NUMBER, rest)
        step |= {"harmonics": harmonics, "freq_hz": float(first[0]) if by_number and first else "line"}
    elif name == "resample" and (rate := _RATE.fullmatch(rest)):
        step["sfreq_hz"] = float(rate[1])
    elif name == "reference":
        step["to"] = rest
    elif name == "reject":
        given = dict(part.split("=", 1) for part in rest.split(", ") if "=" in part)
        step |= {"flat_s": None, "clipped_s": None, "above_uv": None, **given}
    return step
