"""What notebooks show of our objects: a title, some facts and a short table, as HTML.

Texts come from files and are escaped.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from eegprep.errors import printable

#: Rows shown of a longer table.
MAX_ROWS = 10


def html_table(title: str, facts: Mapping[str, object], rows: Sequence[Mapping[str, object]] = ()) -> str:
    """HTML of an object.

    Parameters
    ----------
    title : str
    facts : mapping of str to object
        Shown as two columns; empty values are omitted.
    rows : sequence of mapping
        A table with the first one's keys as columns; cut after `MAX_ROWS`.
    """
    parts = [f"<div><strong>{_text(title)}</strong>"]
    shown = "".join(
        f'<tr><th style="text-align:left">{_text(name)}</th><td style="text-align:left">{_text(value)}</td></tr>'
        for name, value in facts.items()
        if value not in (None, "", (), [])
    )
    parts.append(f"<table>{shown}</table>" if shown else "")
    if rows:
        head = "".join(f"<th>{_text(name)}</th>" for name in rows[0])
        body = "".join(f"<tr>{''.join(f'<td>{_text(v)}</td>' for v in row.values())}</tr>" for row in rows[:MAX_ROWS])
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    if len(rows) > MAX_ROWS:
        parts.append(f"<p>... and {len(rows) - MAX_ROWS} more</p>")
    return "".join([*parts, "</div>"])


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names separated by commas, and how many were omitted."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _text(value: object) -> str:
    if isinstance(value, float):
        value = f"{value:,.4g}"
    elif isinstance(value, int) and not isinstance(value, bool):
        value = f"{value:,}"
    return html.escape(printable(str(value)))
