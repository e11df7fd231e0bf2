"""The terms of use of data with several licences: the most restrictive apply."""

from __future__ import annotations

from collections.abc import Sequence

from eegprep.errors import RefusedError, UsageError
from eegprep.manifest.schema import Licence, Manifest


def merge_licences(licences: Sequence[Licence]) -> Licence:
    """One licence that permits no more than any of these does.

    Shards may be shared where all permit it; commercial use is permitted where all permit it, forbidden where one
    forbids it, unknown else; one signed licence makes the whole signed. The id joins the different ids with `AND`,
    as SPDX expressions do.
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
    """RefusedError where the licence of one data set forbids to pass its shards on."""
    for manifest in manifests:
        licence = manifest.licence
        if not licence.share_shards or licence.signed:
            why = "each lab must sign" if licence.signed else "does not permit sharing derived signals"
            raise RefusedError(
                f"shards of {manifest.name} must not be shared",
                found=f"licence {licence.id}, which {why}",
                todo="share the manifest and the lock instead: the same shards can be built from the raw files",
            )
