"""Pages made from the code: the command line's reference, the API, the vocabulary on a head, drawings.

What enters: the typer apps, the packages, the shipped vocabulary. What leaves: Markdown below
`reference/generated/`, which git ignores. Files are only written where their text has changed, so that a second
build is quick.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from typing import Any

import drawings

PACKAGES = {
    "eegprep": [
        "errors", "files", "recording", "privacy", "temporary", "electrodes", "manifest", "formats", "sources",
        "standardise", "processes", "ingest",
        "store", "shards", "splits", "report", "remote",
    ],
    "eegpt": ["data", "model", "runs", "transfer", "pretraining", "evaluation", "interop", "studies", "pages"],
}  # fmt: skip
SKIPPED = {"__main__"}


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
    import inspect

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
    pages = {}
    for top, packages in PACKAGES.items():
        for package in packages:
            modules = _modules(f"{top}.{package}")
            if modules:
                pages[f"{top}-{package}.md"] = _api_page(f"{top}.{package}", modules)
    names = [name.removesuffix(".md") for name in pages]
    toc = "\n".join(names)
    opening = (
        "# Python API\n\nAll modules of both packages, with their docstrings. What a package lists in `__all__` "
        "is meant for users;\nother modules are documented for contributors.\n\n"
    )
    pages["api.md"] = f"{opening}```{{toctree}}\n:maxdepth: 1\n\n{toc}\n```\n"
    return pages


def _modules(name: str) -> list[str]:
    """Modules of a package, itself left out."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return []
    if not spec.submodule_search_locations:
        return [name]
    folder = Path(spec.origin).parent
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if path.name == "__init__.py" or any(p.startswith("_") or p in SKIPPED for p in parts):
            continue
        found.append(".".join((name, *parts)))
    return found


def _api_page(package: str, modules: list[str]) -> str:
    parts = [f"# {package}\n"]
    if modules != [package]:
        parts.append(_module_text(package))
    for module in modules:
        heading = "" if modules == [package] else f"## {module}\n\n"
        parts.append(f"{heading}{_module_text(module)}\n```{{eval-rst}}\n.. automodule:: {module}\n```\n")
    return "\n".join(parts)


def _module_text(module: str) -> str:
    """The module's docstring, which is Markdown, read without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    return (ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or "") + "\n"


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
