"""The manifest of a BIDS data set at an address: title, authors, licence, DOI from its dataset_description.json.

Only licences whose terms are known to permit it are taken to permit sharing; every other text is kept as it is written.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from eegprep.errors import InputError, UsageError
from eegprep.manifest.schema import Licence, Manifest, SourceSpec
from eegprep.remote.mirror import Mirror

DESCRIPTION = "dataset_description.json"
#: Repositories that accept de-identified subjects only, so that the ids in their files identify nobody.
_ANONYMOUS = ("s3://openneuro.org/", "https://data.nemar.org/")
# id, whether derived signals may be shared, whether commercially; by the licence's normalised name.
_LICENCES: tuple[tuple[str, str, bool, bool], ...] = (
    (r"cc0.*|creativecommonszero.*|publicdomain", "CC0-1.0", True, True),
    (r"pddl.*|publicdomaindedicationandlicen[cs]e.*", "PDDL-1.0", True, True),
    (r"odcby.*", "ODC-By-1.0", True, True),
    (r"ccby(40?|international|attribution)*|attribution40international(ccby40)?", "CC-BY-4.0", True, True),
    (r"ccbysa(40?|international)*", "CC-BY-SA-4.0", True, True),
    (r"ccbync(40?|international)*", "CC-BY-NC-4.0", True, False),
    (r"ccbyncsa(40?|international)*", "CC-BY-NC-SA-4.0", True, False),
)


def read_description(mirror: Mirror) -> Mapping[str, Any]:
    """The content of `dataset_description.json`.

    Raises
    ------
    UsageError
        There is none: not a BIDS data set.
    InputError
        It is not JSON.
    """
    if DESCRIPTION not in mirror.files:
        raise UsageError(
            "not a BIDS data set", where=mirror.listing.address, found=f"no {DESCRIPTION}",
            expected="the address of the data set's root folder",
        )  # fmt: skip
    try:
        found = json.loads(mirror.read(DESCRIPTION).decode("utf-8-sig", "replace"))
    except ValueError as error:
        raise InputError(f"{DESCRIPTION} is not JSON", where=mirror.listing.address, found=error) from error
    return found if isinstance(found, dict) else {}


def manifest_for_mirror(mirror: Mirror) -> Manifest:
    """The manifest of a data set without one: no tasks; the rest as its description says."""
    said = read_description(mirror)
    address = mirror.listing.address
    facts: dict[str, Any] = {
        "title": title(said) or address,
        "citation": citation(said) or f"not stated: {address}",
        "doi": doi(said),
        "version": version(said, mirror) or "0",
    }
    for left_out in ((), ("doi",), ("doi", "version"), tuple(facts)):
        with contextlib.suppress(ValidationError):
            return Manifest(
                manifest=1,
                name=name_of(address),
                licence=licence(said),
                anonymous_subjects=address.startswith(_ANONYMOUS),
                source=SourceSpec(kind="bids", base=None if address.startswith("http://") else address),
                **{"title": address, "citation": address, "version": "0"}
                | {k: v for k, v in facts.items() if k not in left_out},
            )
    raise UsageError("not a usable address", where=address)


def name_of(address: str) -> str:
    """The data set's name: the last part of its address."""
    last = re.sub(r"@.*", "", address.rstrip("/").rsplit("/", 1)[-1])
    return re.sub(r"[^a-z0-9_\-]+", "-", last.lower()).strip("-_")[:62] or "dataset"


def title(said: Mapping[str, Any]) -> str:
    """The data set's name in words."""
    return _line(said.get("Name"))[:300]


def citation(said: Mapping[str, Any]) -> str:
    """How to cite it: its own words, else authors and title."""
    authors = said.get("Authors")
    named = ", ".join(_line(a) for a in authors if _line(a)) if isinstance(authors, list) else _line(authors)
    links = said.get("ReferencesAndLinks")
    first = next((_line(x) for x in links if _line(x)), "") if isinstance(links, list) else ""
    told = _line(said.get("HowToAcknowledge"))
    parts = [p for p in (named, title(said), doi(said) and f"doi:{doi(said)}", told or first) if p]
    return ". ".join(parts)[:3900]


def doi(said: Mapping[str, Any]) -> str | None:
    """Its DOI, without the version of a release."""
    found = re.search(r"10\.\d{4,9}/[^\s\"<>]+", str(said.get("DatasetDOI") or ""))
    return found[0].rstrip(".,;") if found else None


def version(said: Mapping[str, Any], mirror: Mirror) -> str:
    """The release: that of the listing, else that in the DOI (`.v1.0.5`)."""
    found = re.search(r"\.v(\d[0-9A-Za-z.\-]*)$", doi(said) or "")
    return mirror.listing.release.removeprefix("v")[:40] or (found[1] if found else "")


def licence(said: Mapping[str, Any]) -> Licence:
    """The licence; sharing is only permitted where the text is that of a known licence."""
    written = _line(said.get("License") or said.get("Licence"))
    plain = re.sub(r"[^a-z0-9]", "", written.lower())
    for pattern, name, share, commercial in _LICENCES:
        if plain and re.fullmatch(pattern, plain):
            return Licence(id=name, share_shards=share, commercial_use=commercial)
    return Licence(id=written[:200] or "unknown", share_shards=False)


def _line(value: object) -> str:
    return re.sub(r"\s+", " ", value).strip() if isinstance(value, str) else ""
