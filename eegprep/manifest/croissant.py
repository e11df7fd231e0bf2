"""Croissant metadata and a README card of a shard set, for search engines and the Hugging Face hub.

Writes JSON-LD after MLCommons' Croissant 1.0 and Markdown with the hub's YAML header, from the manifests and the hash
of each index file, without dates or host names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from eegprep.errors import printable
from eegprep.manifest.licences import merge_licences
from eegprep.manifest.schema import Licence, Manifest

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

# Table, meaning of a row, and the main columns: name, type, meaning.
_TABLES: tuple[tuple[str, str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "electrodes",
        "An electrode of the vocabulary",
        (
            ("id", "sc:Integer", "number in this set"),
            ("name", "sc:Text", "name, the same in all sets"),
            ("hours", "sc:Float", "hours of signal in this set"),
        ),
    ),
    (
        "recordings",
        "One continuous file of one subject, session and run",
        (
            ("id", "sc:Text", "data set, subject, session and run"),
            ("dataset", "sc:Text", "name of the manifest"),
            ("subject", "sc:Text", "the subject's pseudonym or anonymous id"),
            ("split", "sc:Text", "train, validation or test"),
            ("sfreq_hz", "sc:Float", "samples per second"),
            ("n_samples", "sc:Integer", "length, gaps included"),
        ),
    ),
    (
        "blocks",
        "A contiguous stretch of one electrode of one recording, as int16 in a shard",
        (
            ("recording", "sc:Integer", "row of the recordings"),
            ("electrode", "sc:Integer", "id of the electrode"),
            ("n_samples", "sc:Integer", "length"),
            ("start_sample", "sc:Integer", "first sample in the recording"),
            ("scale_uv", "sc:Float", "microvolt per step of the int16 samples"),
        ),
    ),
    (
        "trials",
        "A window with a label",
        (
            ("recording", "sc:Integer", "row of the recordings"),
            ("start_sample", "sc:Integer", "first sample"),
            ("n_samples", "sc:Integer", "length"),
            ("task", "sc:Text", "name of the task"),
            ("label", "sc:Text", "the class, or the value for regression"),
        ),
    ),
)


def croissant(manifests: Sequence[Manifest], hashes: Mapping[str, str], *, name: str = "") -> dict[str, Any]:
    """Croissant 1.0 metadata of a shard set.

    Parameters
    ----------
    manifests : sequence of Manifest
        Manifests of all data sets in the set.
    hashes : mapping of str to str
        SHA-256 by path inside the set; the index's Parquet files are described, and the shards as one set of files.
    name : str
        Name of the set; by default the names of its data sets.
    """
    ordered = sorted(manifests, key=lambda m: m.name)
    licence = merge_licences([m.licence for m in ordered])
    tables = [t for t in _TABLES if f"{t[0]}.parquet" in hashes]
    distribution: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": f"{table}.parquet",
            "name": f"{table}.parquet",
            "contentUrl": f"{table}.parquet",
            "encodingFormat": "application/x-parquet",
            "sha256": hashes[f"{table}.parquet"],
        }
        for table, _, _ in tables
    ]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name or "-".join(m.name for m in ordered)[:200],
        "description": "Electroencephalograms as per-electrode shards at 256 Hz in microvolt. "
        + " ".join(f"{m.name}: {m.title}." for m in ordered),
        "license": _licence_text(licence),
        "url": ordered[0].url or "https://arxiv.org/abs/2410.19779",
        "version": "1.0.0",
        "citeAs": "; ".join(dict.fromkeys(m.citation for m in ordered)),
        "keywords": ["EEG", "electroencephalography", *(t.name for m in ordered for t in m.tasks)],
        "creator": [{"@type": "sc:Organization", "name": m.citation.split(":")[0][:200]} for m in ordered],
        "isLiveDataset": False,
        "distribution": distribution,
        "recordSet": [_record_set(*table) for table in tables],
    }


def _record_set(table: str, description: str, columns: tuple[tuple[str, str, str], ...]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": table,
        "name": table,
        "description": description,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{table}/{column}",
                "name": column,
                "description": meaning,
                "dataType": kind,
                "source": {"fileObject": {"@id": f"{table}.parquet"}, "extract": {"column": column}},
            }
            for column, kind, meaning in columns
        ],
    }


def card(manifests: Sequence[Manifest]) -> str:
    """A README in Markdown with the header that the Hugging Face hub reads."""
    ordered = sorted(manifests, key=lambda m: m.name)
    licence = merge_licences([m.licence for m in ordered])
    known = {"CC0-1.0": "cc0-1.0", "CC-BY-4.0": "cc-by-4.0", "CC-BY-NC-4.0": "cc-by-nc-4.0", "ODC-By-1.0": "odc-by"}
    lines = [
        "---",
        f"license: {known.get(licence.id, 'other')}",
        "tags: [eeg, webdataset]",
        "pretty_name: " + ", ".join(m.name for m in ordered),
        "---",
        "",
        "# EEG shards: " + ", ".join(markdown_text(m.name) for m in ordered),
        "",
        "Per-electrode shards at 256 Hz in microvolt (int16 with a scale per block), an index in Parquet, the",
        "manifests and the lock of the data sets. Shards are plain tar files that the `webdataset` library reads.",
        "",
        "| data set | tasks | licence | cite |",
        "|---|---|---|---|",
    ]
    for m in ordered:
        cells = (m.title, ", ".join(t.name for t in m.tasks) or "–", m.licence.id, m.citation)
        lines.append("| " + " | ".join(map(markdown_text, cells)) + " |")
    lines += ["", f"Combined licence: {markdown_text(_licence_text(licence))}", ""]
    if licence.note:
        lines += [markdown_text(licence.note), ""]
    return "\n".join(lines)


def markdown_text(text: object) -> str:
    """Escape untrusted text as one line of plain Markdown: no HTML, links, images or table cells."""
    plain = printable(" ".join(str(text).split()), keep="\u00a0")
    return re.sub(r"[\\\[\]`|]", r"\\\g<0>", plain).replace("<", "&lt;")


def _licence_text(licence: Licence) -> str:
    return licence.url if licence.url is not None and " AND " not in licence.id else licence.id
