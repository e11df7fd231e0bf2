"""Write `base.parquet`, the shipped vocabulary, from its table in text: `python -m eegprep.electrodes.build`."""

from __future__ import annotations

from pathlib import Path

from eegprep.electrodes.base_table import BASE_TABLE, ESTIMATED, POSITION_SOURCE
from eegprep.electrodes.vocabulary import Electrode, Vocabulary

__all__ = ["vocabulary_from_base_table"]


def vocabulary_from_base_table() -> Vocabulary:
    """The base vocabulary as its table in text says; millimetres become metres."""
    rows = []
    for expected, line in enumerate(BASE_TABLE.splitlines()):
        electrode_id, name, *rest = line.split()
        if int(electrode_id) != expected:
            raise ValueError(f"row {expected} of the base table has id {electrode_id}")
        x, y, z = (round(float(mm) / 1000, 4) for mm in rest[:3])
        source = ESTIMATED.get(name, POSITION_SOURCE)
        rows.append(Electrode(name=name, aliases=tuple(rest[3:]), position_m=(x, y, z), source=source))
    return Vocabulary(rows)


if __name__ == "__main__":
    vocabulary_from_base_table().to_parquet(Path(__file__).with_name("base.parquet"))
