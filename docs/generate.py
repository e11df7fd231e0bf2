"""Pages made from the code: the command line's reference, the API, the vocabulary on a head, drawings.

What enters: the typer apps, the packages, the shipped vocabulary. What leaves: Markdown below
`reference/generated/`, which git ignores. Files are only written where their text has changed, so that a second
build is quick.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

import drawings

# By import name: what `__all__` of these lists is documented; everything else is internal and hidden.
PUBLIC = (
    "eegprep", "eegprep.datasets", "eegprep.errors", "eegprep.electrodes", "eegprep.manifest", "eegprep.sources",
    "eegprep.ingest", "eegprep.store", "eegprep.shards", "eegprep.splits", "eegprep.remote", "eegprep.report.figures",
    "eegpt", "eegpt.torch", "eegpt.callbacks", "eegpt.data", "eegpt.interop",
)  # fmt: skip


def generate(source: Path) -> None:
    """Write every generated page below `source`."""
    folder = source / "reference" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {
        "command-line.md": _command_line(),
        "settings.md": _settings(),
        "vocabulary.md": _vocabulary(),
        "flow.html": _framed(str(drawings.flow()), "drawing"),
        "tokens.html": _framed(str(drawings.tokens()), "drawing"),
        **_api(),
    }
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()


# -- the command line ---------------------------------------------------------------------------------------


def _command_line() -> str:
    import typer.main

    from _eegpt_cli import model, prep

    parts = [
        "# Command line\n\nBoth commands take `--help` everywhere, print results to stdout and progress to stderr, "
        "and exit\nwith 0 for success, 1 if some inputs failed (listed), 2 for wrong usage, 3 if refused "
        "(licence, leakage, integrity).\nThis page is generated from the code.\n"
    ]
    for name, module in (("eegprep", prep), ("eegpt", model)):
        root = typer.main.get_group(module.build())
        parts.append(f"## {name}\n\n{_help_text(root)}\n")
        parts += _commands(root, name)
    return "\n".join(parts)


def _commands(group: Any, prefix: str) -> list[str]:
    parts = []
    for name in sorted(group.commands):
        command = group.commands[name]
        if getattr(command, "commands", None):
            parts.append(f"### {prefix} {name}\n\n{_help_text(command)}\n")
            parts += _commands(command, f"{prefix} {name}")
        elif not command.hidden:
            parts.append(_command(command, f"{prefix} {name}"))
    return parts


def _command(command: Any, name: str) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = re.sub(r"\s+", " ", command.get_usage(context).removeprefix("Usage: "))
    records = [r for p in command.get_params(context) if p.name != "help" and (r := p.get_help_record(context))]
    rows = [f"| `{_one_line(names)}` | {_cell(text)} |" for names, text in records]
    table = "\n| | |\n|---|---|\n" + "\n".join(rows) + "\n" if rows else ""
    return f"### {name}\n\n```text\n{usage}\n```\n\n{_help_text(command)}\n{table}"


def _cell(text: str) -> str:
    """A help text as Markdown: typer's `[default: ...]` in brackets that are no link."""
    return _one_line(text).replace("[", "\\[").replace("<", "\\<")


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def _help_text(command: Any) -> str:
    text = inspect.cleandoc(command.help or "").replace("\b\n", "").replace("\f", "")
    return re.sub(r"(?m)^(#+) ", r"\1## ", text)


# -- settings ----------------------------------------------------------------------------------------------------


def _settings() -> str:
    from eegpt.pretraining.config import PretrainConfig
    from eegpt.runs.settings import described
    from eegpt.transfer.config import TransferConfig

    parts = [
        "# Settings\n\nWhat `--set KEY=VALUE` and a file of `--config` can change; `--list-settings` prints the same. "
        "This page is generated from the code.\n"
    ]
    for command, model in (("eegpt train", PretrainConfig), ("eegpt transfer", TransferConfig)):
        rows = [f"| `{s.path}` | `{_one_line(s.default)}` | {_cell(s.meaning)} |" for s in described(model)]
        parts.append(f"## {command}\n\n| setting | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


# -- the API ---------------------------------------------------------------------------------------------------


def _api() -> dict[str, str]:
    first: dict[Any, str] = {}  # where a class or function is described: at the first of its names
    pages = {f"{name.replace('.', '-')}.md": _api_page(name, first) for name in PUBLIC if public_names(name)}
    toc = "\n".join(name.removesuffix(".md") for name in pages)
    opening = (
        "# Python API\n\nWhat both packages offer, by the name it is imported by. Modules that are not listed are "
        "internal\nand may change without notice; CONTRIBUTING.md has a map of them.\n\n"
    )
    return {**pages, "api.md": f"{opening}```{{toctree}}\n:maxdepth: 1\n\n{toc}\n```\n"}


def public_names(module: str) -> list[str]:
    """What a public module offers: its `__all__`, or what it defines itself; nothing if there is no such module."""
    if importlib.util.find_spec(module) is None:
        return []
    loaded = importlib.import_module(module)
    if hasattr(loaded, "__all__"):
        return [n for n in loaded.__all__ if not inspect.ismodule(getattr(loaded, n))]
    own = {n: v for n, v in vars(loaded).items() if not n.startswith("_") and getattr(v, "__module__", "") == module}
    return list(own)


def _api_page(module: str, first: dict[Any, str]) -> str:
    loaded = importlib.import_module(module)
    parts = [f"# {module}\n\n{inspect.getdoc(loaded) or ''}\n"]
    for name in public_names(module):
        found = getattr(loaded, name)
        if callable(found) and first.setdefault(found, f"{module}.{name}") != f"{module}.{name}":
            parts.append(f"## {name}\n\nThe same as `{first[found]}`.\n")
            continue
        kind = "class" if inspect.isclass(found) else "function" if callable(found) else "data"
        options = {"class": "\n   :members:", "data": "\n   :no-value:"}.get(kind, "")
        parts.append(f"## {name}\n\n```{{eval-rst}}\n.. auto{kind}:: {module}.{name}{options}\n```\n")
    return "\n".join(parts)


def plain_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Take the module docstrings away, which the pages print themselves; fences elsewhere become literal blocks."""
    if what == "module":
        lines[:] = []
        return
    out: list[str] = []
    fenced = False
    for line in lines:
        if line.strip().startswith("```"):
            fenced = not fenced
            out += ["", "::", ""] if fenced else [""]
        else:
            out.append("    " + line if fenced else line)
    lines[:] = out


# -- the vocabulary ------------------------------------------------------------------------------------------------


def _vocabulary() -> str:
    from eegprep.electrodes import Vocabulary
    from eegprep.report.figures import head

    vocabulary = Vocabulary.base()
    places = {e.name: e.position_m for e in vocabulary if e.position_m is not None}
    drawing = head(
        dict.fromkeys(vocabulary.names, None), places, label="The 138 electrodes of the shipped vocabulary", size=640
    )
    rows = []
    for i, e in enumerate(vocabulary):
        place = ", ".join(f"{1000 * v:.1f}" for v in e.position_m) if e.position_m is not None else ""
        rows.append(f"| {i} | {e.name} | {', '.join(e.aliases)} | {place} |")
    return (
        f"# The shipped vocabulary\n\n{len(vocabulary)} electrodes, seen from above, nose up. "
        "Ids never change; a lab may append rows.\n\n"
        f"```{{raw}} html\n{_framed(str(drawing), 'vocabulary')}\n```\n\n"
        "| id | name | also called | x, y, z in mm |\n|---:|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _framed(svg: str, kind: str) -> str:
    """The drawing in a frame that `_static/eegpt.css` gives the page's colours."""
    return f'<div class="eegpt-figure {kind}">{svg}</div>'
