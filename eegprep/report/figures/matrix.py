"""Confusion matrices: true classes in rows, predicted ones in columns.

The colour is the share of the row, so that rare classes are as readable as frequent ones; the text gives share and
count.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from eegprep.report.figures.numbers import format_number
from eegprep.report.figures.svg import element, group, picture, text, text_width

N_STEPS = 10


def confusion_matrix(counts: Sequence[Sequence[float]], classes: Sequence[str], *, label: str) -> Markup:
    """Draw `counts` (n_classes, n_classes), `counts[i][j]` of true class i predicted as j.

    Raises
    ------
    ValueError
        If the counts are not square or do not fit the classes.
    """
    n = len(classes)
    if len(counts) != n or any(len(row) != n for row in counts):
        raise ValueError(f"a confusion matrix of {n} classes must have {n} x {n} counts")
    cell = 74.0 if n <= 4 else 54.0 if n <= 8 else 36.0
    left = max((text_width(c, 12) for c in classes), default=20.0) + 34
    top = 26.0
    width = max(left + n * cell + 12, 220.0)
    parts: list[Markup] = [
        text(left + n * cell / 2, 14, "predicted", anchor="middle", class_="label"),
        text(
            0,
            0,
            "true",
            anchor="middle",
            class_="label",
            transform=f"translate(12 {top + n * cell / 2:.0f}) rotate(-90)",
        ),
    ]
    slanted = max(text_width(c) for c in classes) > cell - 6
    for i, row in enumerate(counts):
        total = sum(row)
        y = top + i * cell
        parts.append(text(left - 8, y + cell / 2 + 4, classes[i], anchor="end", class_="name"))
        for j, count in enumerate(row):
            share = count / total if total else 0.0
            step = min(N_STEPS - 1, int(share * N_STEPS))
            x = left + j * cell
            inner = [element("rect", x=x + 1, y=y + 1, width=cell - 2, height=cell - 2, rx="4", class_=f"q{step}")]
            if cell >= 50:
                inner.append(
                    text(x + cell / 2, y + cell / 2 + 1, f"{share:.0%}", anchor="middle", class_=f"qt{step} strong")
                )
                inner.append(
                    text(
                        x + cell / 2, y + cell / 2 + 16, format_number(count), anchor="middle", class_=f"qt{step} small"
                    )
                )
            else:
                inner.append(
                    text(
                        x + cell / 2, y + cell / 2 + 4, format_number(count), anchor="middle", class_=f"qt{step} small"
                    )
                )
            parts.append(
                group(*inner, title=f"true {classes[i]}, predicted {classes[j]}: {format_number(count)} ({share:.1%})")
            )
    base = top + n * cell
    for j, name in enumerate(classes):
        x = left + j * cell + cell / 2
        if slanted:
            parts.append(
                text(
                    0,
                    0,
                    name,
                    anchor="end",
                    class_="name",
                    transform=f"translate({x + 4:.0f} {base + 14:.0f}) rotate(-35)",
                )
            )
        else:
            parts.append(text(x, base + 16, name, anchor="middle", class_="name"))
    height = base + (max(text_width(c) for c in classes) * 0.62 + 20 if slanted else 24)
    return picture(parts, width=width, height=height, label=label, class_="figure matrix")
