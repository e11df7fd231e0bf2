"""Mutations: of bytes, of values in JSON and YAML, and of the columns of Parquet tables."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# Boundary values: lengths and counts in headers are integers of some width.
_BORDERS = [0, 1, -1, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, -(2**63)]
_NUMBERS = [0, -1, 1, 2, 7, 255, 1e-300, 1e300, 2**31, 2**53 + 1, 2**63, -(2**63), 0.5, float("nan"), float("inf")]
_TEXTS = [
    "", " ", "a", "é", "../../x", "/etc/passwd", "C:\\x", "a\0b", "a\nb", "\x1b[31m", "\u202e", "<script>", "NaN",
    "1e999", "{subject}", "**", "x" * 70_000, "\ud800", "null", "-", "yes", "0x10", "2020-01-01",
    "!!python/object:os.system",
]  # fmt: skip
_TYPES: list[Any] = [None, True, [], {}, [[]], {"a": 1}, [1, "a", None], [[[[[[[[]]]]]]]]]


def of_bytes(rng: np.random.Generator, data: bytes, *, head: int = 0) -> bytes:
    """One to four mutations of bytes; `head` bytes at the beginning are hit as often as the rest."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if not out:
            break
        most = min(head, len(out)) if head and rng.random() < 0.5 else len(out)
        at, n = int(rng.integers(most)), int(rng.integers(1, 64))
        kind = int(rng.integers(8))
        if kind == 0:
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            out[at : at + n] = rng.integers(0, 256, n, dtype=np.uint8).tobytes()
        elif kind == 2:
            del out[at : at + n]
        elif kind == 3:
            out[at:at] = out[at : at + n]
        elif kind == 4:
            del out[at:]
        elif kind == 5:
            width = int(rng.choice([1, 2, 4, 8]))
            value = _BORDERS[int(rng.integers(len(_BORDERS)))] % (1 << (8 * width))
            out[at : at + width] = value.to_bytes(width, str(rng.choice(["little", "big"])))  # type: ignore[arg-type]
        elif kind == 6:
            other = int(rng.integers(len(out)))
            out[at : at + n] = out[other : other + n]
        else:  # a number in a text, which stays a text
            digits = [i for i in range(at, min(at + 400, len(out))) if 48 <= out[i] <= 57]
            if digits:
                text = str(rng.choice(["0", "-1", "9", "99999999", "1e9", "NaN", "."])).encode()
                i = digits[int(rng.integers(len(digits)))]
                out[i : i + (len(text) if rng.random() < 0.5 else 1)] = text
    return bytes(out)


def odd_value(rng: np.random.Generator, old: Any = None) -> Any:
    """A value that a program may not expect in place of `old`."""
    kind = rng.random()
    if isinstance(old, int | float) and not isinstance(old, bool) and kind < 0.6:
        return [*_NUMBERS, old + 1, old - 1, old * 2, -old][int(rng.integers(len(_NUMBERS) + 4))]
    if isinstance(old, str) and kind < 0.6:
        return [*_TEXTS, old + "x", old[:-1], old.upper(), old * 2][int(rng.integers(len(_TEXTS) + 4))]
    pool = [*_NUMBERS, *_TEXTS, *_TYPES]
    return copy.deepcopy(pool[int(rng.integers(len(pool)))])


def of_tree(rng: np.random.Generator, tree: Any) -> Any:
    """One or two values of a tree of dicts and lists replaced, removed, doubled, renamed or exchanged."""
    tree = copy.deepcopy(tree)
    for _ in range(int(rng.integers(1, 3))):
        places = list(_places(tree))
        if not places:
            return odd_value(rng, tree)
        parent, key = places[int(rng.integers(len(places)))]
        kind = int(rng.integers(6))
        if kind <= 2:
            parent[key] = odd_value(rng, parent[key])
        elif kind == 3:
            del parent[key]
        elif kind == 4 and isinstance(parent, dict):
            parent[str(odd_value(rng, key))] = parent.pop(key)
        elif kind == 4:
            parent.insert(key, copy.deepcopy(parent[key]))
        else:
            other, at = places[int(rng.integers(len(places)))]
            parent[key] = copy.deepcopy(other[at])
    return tree


def _places(tree: Any, depth: int = 0) -> Any:
    if depth > 12:
        return
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from _places(value, depth + 1)


def of_json(rng: np.random.Generator, text: str) -> str:
    """JSON with other values (NaN and infinity included), or with mutated bytes."""
    if rng.random() < 0.2:
        return of_bytes(rng, text.encode()).decode("utf-8", "replace")
    return json.dumps(of_tree(rng, json.loads(text)))


def of_yaml(rng: np.random.Generator, text: str) -> bytes:
    """YAML with other values, or with mutated bytes or lines."""
    import yaml

    kind = rng.random()
    if kind < 0.3:
        return of_bytes(rng, text.encode())
    if kind < 0.4:
        lines = text.split("\n")
        at = int(rng.integers(len(lines)))
        odd = [
            "  - &a *a",
            "<<: *a",
            "? {a: b}",
            "- - - -",
            "\t",
            "%YAML 9.9",
            "---",
            "...",
            lines[at],
            "!!binary x: y",
        ]
        lines.insert(at, odd[int(rng.integers(len(odd)))])
        return "\n".join(lines).encode("utf-8", "surrogatepass")
    changed = of_tree(rng, yaml.safe_load(text))
    return yaml.safe_dump(changed, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")


def of_table(rng: np.random.Generator, path: Path) -> bool:
    """Rewrite a Parquet file of a shard set with other values or rows; False if its types do not take them."""
    table = pq.ParquetFile(path).read()
    columns = table.to_pydict()
    n = table.num_rows
    for _ in range(int(rng.integers(1, 3))):
        name = table.column_names[int(rng.integers(table.num_columns))]
        column = columns[name]
        kind = int(rng.integers(10))
        if not n:
            kind = 9
        row, other = (int(rng.integers(n)), int(rng.integers(n))) if n else (0, 0)
        if kind <= 4:
            column[row] = _cell(rng, column[row])
        elif kind == 5:
            column[row], column[other] = column[other], column[row]
        elif kind == 6:
            columns[name] = [_cell(rng, column[row])] * len(column)
        elif kind == 7:
            for values in columns.values():
                values.insert(other, values[row])
        elif kind == 8:
            for values in columns.values():
                del values[row]
            n -= 1
        else:
            columns = {k: v[:0] for k, v in columns.items()} if rng.random() < 0.3 else dict(reversed(columns.items()))
            return _written(path, columns, table.schema)
        n = len(column)
    return _written(path, columns, table.schema)


def _cell(rng: np.random.Generator, value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "{[" and value:
        return of_json(rng, value)
    return odd_value(rng, value)


def _written(path: Path, columns: dict[str, list[Any]], schema: pa.Schema) -> bool:
    try:
        fields = [schema.field(name) for name in columns]
        table = pa.table(columns, schema=pa.schema(fields, metadata=schema.metadata))
    except (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeEncodeError):
        return False
    strings = [f.name for f in schema if pa.types.is_string(f.type)]
    pq.write_table(table, path, compression="none", use_dictionary=strings)
    return True
