"""The terms of use of data with several licences: the most restrictive apply."""

from __future__ import annotations

from collections.abc import Sequence

from eegprep.errors import RefusedError, UsageError
from eegprep.manifest.schema import Licence, Manifest


def merge_licences(licences: Sequence[Licence]) -> Licence:
    """Combine licences to one that permits only what all of them permit.

    Shards may be shared if all permit it; commercial use is permitted if all permit it, forbidden if one forbids it,
    otherwise unknown; the result is signed if any licence is. The ids are joined with `AND`, as in SPDX expressions.
    """
    if not licences:
        raise UsageError("no licences to merge")
    unique = sorted(set(licences), key=lambda licence: (licence.id, licence.model_dump_json()))
    if len(unique) == 1:
        return unique[0]
    commercial: bool | None = True
    for licence in unique:
        if licence.commercial_use is False or commercial is False:
            commercial = False
        elif licence.commercial_use is None:
            commercial = None
    notes = dict.fromkeys(f"{licence.id}: {licence.note}" for licence in unique if licence.note)
    return Licence(
        id=" AND ".join(dict.fromkeys(licence.id for licence in unique))[:200],
        share_shards=all(licence.share_shards for licence in unique),
        commercial_use=commercial,
        signed=any(licence.signed for licence in unique),
        note="; ".join(notes)[:4000],
    )


def refuse_sharing(manifests: Sequence[Manifest]) -> None:
    """Raise RefusedError if the licence of a data set forbids sharing its shards."""
    for manifest in manifests:
        licence = manifest.licence
        if not licence.share_shards or licence.signed:
            why = "each lab must sign" if licence.signed else "does not permit sharing derived signals"
            raise RefusedError(
                f"shards of {manifest.name} must not be shared",
                found=f"licence {licence.id}, which {why}",
                todo="share the manifest and the lock instead: the same shards can be built from the raw files",
            )
