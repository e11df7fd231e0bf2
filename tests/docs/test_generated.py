"""The generated pages hold every command and every public module; a docstring's fences become literal blocks."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))  # as Sphinx's conf.py does
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(generate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("docs")
    generate.generate(source)
    return source / "reference" / "generated"


def test_every_command_is_described(pages: Path) -> None:
    """Every command has its heading, options and text."""
    from _eegpt_cli import model, prep

    text = (pages / "command-line.md").read_text(encoding="utf-8")
    for name, module in (("eegprep", prep), ("eegpt", model)):
        commands = module.build().registered_commands
        assert commands
        for command in commands:
            assert f"### {name} {command.name or command.callback.__name__}\n" in text
    assert "`--out <path>`" in text
    assert "Write one self-contained HTML page" in text


def test_the_api_is_by_import_name(generate: ModuleType, pages: Path) -> None:
    """Every public name is described at the first of its names, once, and no internal module has a page."""
    described: dict[Any, str] = {}
    for module in generate.PUBLIC:
        names = generate.public_names(module)
        if not names:
            continue
        text = (pages / f"{module.replace('.', '-')}.md").read_text(encoding="utf-8")
        for name in names:
            found = getattr(importlib.import_module(module), name)
            first = described.setdefault(found, f"{module}.{name}") if callable(found) else f"{module}.{name}"
            own = re.search(rf"\.\. auto(class|function|data):: {re.escape(module)}\.{name}\n", text)
            assert (own is not None) == (first == f"{module}.{name}"), name
            assert own or f"## {name}\n\nThe same as `{first}`.\n" in text, name
    assert "automodule" not in "".join(p.read_text(encoding="utf-8") for p in pages.glob("*.md"))
    assert "load" in generate.public_names("eegprep.datasets")
    assert not generate.public_names("eegprep.nothing_here")


def test_every_setting_is_on_the_page(pages: Path) -> None:
    text = (pages / "settings.md").read_text(encoding="utf-8")
    for path in ("encoder.token_samples", "schedule.steps", "selection.patience", "data.division"):
        assert f"| `{path}` |" in text


def test_page_lists_every_electrode(pages: Path) -> None:
    """The vocabulary's page draws and lists every electrode."""
    from eegprep.electrodes import Vocabulary

    text = (pages / "vocabulary.md").read_text(encoding="utf-8")
    for i, name in enumerate(Vocabulary.base().names):
        assert f"| {i} | {name} |" in text
        assert f">{name}</text>" in text


def test_second_run_only_removes_old_pages(generate: ModuleType, pages: Path) -> None:
    """A second run writes nothing and removes pages that are no longer made."""
    (pages / "old.md").write_text("gone", encoding="utf-8")
    before = {p.name: p.stat().st_mtime_ns for p in pages.glob("*.md") if p.name != "old.md"}
    generate.generate(pages.parent.parent)
    assert {p.name: p.stat().st_mtime_ns for p in pages.glob("*.md")} == before


def test_fences_become_literal_blocks(generate: ModuleType) -> None:
    """Fences in docstrings become literal blocks."""
    lines = ["Before", "```", "a|b", "```", "after"]
    generate.plain_docstring(None, "function", "f", None, None, lines)
    assert lines == ["Before", "", "::", "", "    a|b", "", "after"]


def test_token_drawing_has_the_papers_25(pages: Path) -> None:
    """The drawing of tokens has the paper's 25."""
    drawn = (pages / "tokens.html").read_text(encoding="utf-8")
    assert drawn.count('class="token"') == 25
    assert "token 25 of 25: samples 768 to 1023" in drawn
    for command in ("eegprep ingest", "eegprep shard", "eegpt train", "eegpt transfer"):
        assert command in (pages / "flow.html").read_text(encoding="utf-8")
