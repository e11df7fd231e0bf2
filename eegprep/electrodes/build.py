"""Write `base.parquet` and `extended.parquet`, the shipped vocabularies: `python -m eegprep.electrodes.build`.

138 electrodes whose ids never change, and after them the rows of other kinds (EOG, EMG, ECG, respiration). Rows 0 to
129 are the positions of BrainProducts' 128-channel cap in the order of MNE's montage `brainproducts-RNP-BA-128`; then
T9, T10, PO5, PO6, CB1, CB2, M1, M2.

Positions are in MNE's head frame (x through the preauricular points to the right, y through the nasion to the front, z
up), taken from MNE's montage `colin27_1005` (the 5 % system on the Colin 27 head) and rounded to 0.1 mm. CB1 and CB2
are not part of the 5 % system: the literature puts them on I1/I2, caps put them beside O1/O2 at the height of
PO9/PO10, so their row is the midpoint of the two, an estimate.

Aliases: the old 10-20 names (T3 = T7, T4 = T8, T5 = P7, T6 = P8) and the unambiguous names of the Berlin BCI group
(CFC3 = FCC3h, PCP1 = CPP1h, FAF5 = AFF5h). A1 and A2 are ear lobes, M1 and M2 mastoids, so they are not aliases of
each other; a manifest may say that its A1 is M1.

The extended vocabulary begins with all rows of the base table and continues with `extended.tsv`, the rest of the 10-05
system in the order of MNE's montage `colin27_1005`.
"""

from __future__ import annotations

from pathlib import Path

from eegprep.electrodes.vocabulary import Electrode, Vocabulary

_HERE = Path(__file__).parent


TABLES = {"base": ("base.tsv",), "extended": ("base.tsv", "extended.tsv")}


def vocabulary_from_tables(*tables: str) -> Vocabulary:
    """A vocabulary from its text tables, with millimetres converted to metres."""
    rows: list[Electrode] = []
    lines = [line for name in tables for line in (_HERE / name).read_text("utf-8").splitlines()[1:]]
    for expected, line in enumerate(lines):
        electrode_id, name, *millimetres, aliases, source, kind = line.split("\t")
        if int(electrode_id) != expected:
            raise ValueError(f"row {expected} has id {electrode_id}")
        position_m = None
        if any(millimetres):
            x, y, z = (round(float(mm) / 1000, 4) for mm in millimetres)
            position_m = (x, y, z)
        rows.append(
            Electrode(name=name, aliases=tuple(aliases.split()), position_m=position_m, source=source, kind=kind)
        )
    return Vocabulary(rows)


if __name__ == "__main__":
    for vocabulary, tables in TABLES.items():
        vocabulary_from_tables(*tables).to_parquet(_HERE / f"{vocabulary}.parquet")
