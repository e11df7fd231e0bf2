"""The documentation's blocks are run as a reader would run them, page by page, from top to bottom.

`bash` and `python` blocks are run in one folder a page; a `yaml` block whose first line is `# name.yaml` is written
to that file, any other must be YAML; `sh` blocks and those of no kind (Slurm, installation, lists of examples) are not
run, but their syntax, commands and options are checked.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support import small_models
from support.blocks import run_python

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [DOCS.parent / "README.md", DOCS / "index.md", DOCS / "start.md", *sorted((DOCS / "how-to").glob("*.md"))]
FENCE = re.compile(r"^(?P<ticks>`{3,})(?P<kind>[^\n`]*)\n(?P<text>.*?)^(?P=ticks)\s*$", re.MULTILINE | re.DOTALL)
PEOPLE = 5


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    kind: str
    text: str


def blocks(page: Path) -> list[Block]:
    source = page.read_text(encoding="utf-8")
    return [
        Block(page=page, line=source[: m.start()].count("\n") + 1, kind=m["kind"], text=m["text"])
        for m in FENCE.finditer(source)
        if not m["kind"].startswith("{")
    ]


def file_name(block: Block) -> str | None:
    """The file that a `yaml` block is to be written to; None for a mere example."""
    named = re.match(r"# (\S+\.yaml)\n", block.text) if block.kind == "yaml" else None
    return None if named is None else named[1]


def run(block: Block, folder: Path) -> None:
    """Run one block in `folder`; a failure shows the block and what it printed."""
    if (name := file_name(block)) is not None:
        (folder / name).write_text(block.text, encoding="utf-8")
        return
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    if block.kind == "python":
        done = run_python(block.text, folder, environment, folder.with_name(f"{folder.name}-{block.line}.txt"))
    else:
        command = ["bash", "-euo", "pipefail", "-c", block.text]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    where = f"{block.page.name}:{block.line}"
    assert done.returncode == 0, f"{where} ended with {done.returncode}\n{block.text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(
    ("text", "code", "printed"),
    [
        ("print(__name__)", 0, "__main__"),
        ("raise ValueError('wrong')", 1, "ValueError: wrong"),
        ("import warnings; warnings.warn('old')", 1, "UserWarning: old"),
        ("import sys; print(sorted({'eegprep', 'eegpt'} & set(sys.modules)))", 0, "[]"),
    ],
)
def test_python_blocks_can_fail(text: str, code: int, printed: str, tmp_path: Path) -> None:
    """An error and a warning end a block, which finds none of our packages imported."""
    done = run_python(text, tmp_path, dict(os.environ), tmp_path / "printed.txt")
    assert done.returncode == code
    assert printed in done.stdout


def runnable(page: Path) -> list[Block]:
    return [b for b in blocks(page) if b.kind in ("bash", "python") or file_name(b) is not None]


@pytest.fixture(scope="module")
def recordings(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the pages call `recordings`: five people of EEGMAT."""
    folder = tmp_path_factory.mktemp("docs") / "recordings"
    folder.mkdir()
    for i in range(PEOPLE):
        for run_ in (1, 2):
            name = f"Subject{i:02d}_{run_}.edf"
            source = data_dir / "eegmat" / name
            if not source.is_file():
                pytest.skip(f"needs EEGMAT: {name} is not there")
            (folder / name).write_bytes(first_minute(source.read_bytes()))
    return folder


def first_minute(edf: bytes) -> bytes:
    """An EDF file cut after 60 s: whole records, and a header that says how many."""
    n_header, n_records, record_s, n_signals = (
        int(float(edf[a:b])) for a, b in ((184, 192), (236, 244), (244, 252), (252, 256))
    )
    per_record = [int(edf[256 + n_signals * 216 + 8 * i :][:8]) for i in range(n_signals)]
    kept = min(n_records, 60 // record_s)
    return edf[:236] + f"{kept:<8}".encode() + edf[244 : n_header + kept * 2 * sum(per_record)]


@pytest.mark.data
@pytest.mark.slow
def test_start_page_runs_top_to_bottom(recordings: Path, tmp_path: Path) -> None:
    """The start page runs from top to bottom."""
    (tmp_path / "recordings").symlink_to(recordings)
    for block in runnable(DOCS / "start.md"):
        run(block, tmp_path)
    for page in ("store.html", "run.html"):
        assert (tmp_path / page).stat().st_size > 10_000


@pytest.mark.data
@pytest.mark.slow
def test_the_page_on_sharing_runs(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "recordings").symlink_to(recordings)
    for block in blocks(DOCS / "start.md"):
        if file_name(block) is not None:
            run(block, tmp_path)
    for block in runnable(DOCS / "how-to" / "share-with-another-lab.md"):
        run(block, tmp_path)


@pytest.mark.data
@pytest.mark.parametrize("page", ["add-a-data-set.md", "add-a-task.md", "change-the-steps.md", "remote-data-sets.md"])
def test_pages_on_the_data_side_run(page: str, recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "recordings").symlink_to(recordings)
    for block in runnable(DOCS / "how-to" / page):
        run(block, tmp_path)


@pytest.mark.parametrize("page", ["read-shards-elsewhere.md", "read-remote-shards.md", "read-windows-in-pytorch.md"])
def test_pages_on_reading_shards_run(page: str, toy_shards: Path, tmp_path: Path) -> None:
    (tmp_path / "shards").symlink_to(toy_shards)
    for block in runnable(DOCS / "how-to" / page):
        run(block, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        "use-with-mne.md",
        "use-with-scikit-learn.md",
        "share-a-model.md",
        "live-signals.md",
        "export.md",
        "use-in-pytorch.md",
        "use-in-python.md",
        "follow-a-run.md",
    ],
)
def test_pages_on_applying_a_model_run(page: str, toy_shards: Path, tmp_path: Path) -> None:
    """With a small encoder of random weights, and a recording of its own make."""
    needs = {"share-a-model.md": "huggingface_hub", "export.md": "onnxruntime", "use-with-scikit-learn.md": "sklearn"}
    pytest.importorskip(needs.get(page, "torch"))
    small_models.write_encoder(tmp_path / "encoder")
    small_models.raw_of(1).save(tmp_path / "recording.fif", verbose="ERROR")
    (tmp_path / "shards").symlink_to(toy_shards)
    for block in runnable(DOCS / "how-to" / page):
        run(block, tmp_path)


@pytest.mark.slow
def test_first_page_runs_and_equals_readme(tmp_path: Path) -> None:
    """On a recording with two annotations, with an encoder of random weights."""
    (block,) = runnable(DOCS / "index.md")
    assert [b.text for b in runnable(DOCS.parent / "README.md")] == [block.text]
    small_models.write_encoder(tmp_path / "encoder")
    raw = small_models.raw_of(1, seconds=80)
    raw.annotations.append([2.5 * k for k in range(31)], 2.0, [("rest", "task")[k % 2] for k in range(31)])
    raw.save(tmp_path / "recording.fif", verbose="ERROR")
    run(block, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_block_is_run_or_checked(page: Path) -> None:
    """A kind of block that no test looks at would be a hole."""
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        assert block.kind in ("bash", "python", "yaml", "sh", "text", ""), f"{where}: {block.kind!r}"
        if block.kind == "yaml":
            assert yaml.safe_load(block.text), where
        if block.kind in ("sh", "bash"):
            done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
            assert done.returncode == 0, f"{where}: {done.stderr}"


def test_every_page_with_blocks_is_run() -> None:
    """Every page with blocks to run has a test that runs it."""
    named = set(re.findall(r"[\w-]+\.md", Path(__file__).read_text(encoding="utf-8")))
    assert {p.name for p in PAGES if runnable(p)} <= named


def test_commands_in_the_pages_exist() -> None:
    """Blocks that are not run must still name commands and options that there are."""
    import typer.main

    from _eegpt_cli import model, prep

    apps = {"eegprep": typer.main.get_group(prep.build()), "eegpt": typer.main.get_group(model.build())}
    for page in PAGES:
        for block in blocks(page):
            if block.kind not in ("sh", "bash", ""):
                continue
            text = block.text.replace("\\\n", " ")
            for module, name in (("model", "eegpt"), ("prep", "eegprep")):
                text = text.replace(f"-m _eegpt_cli.{module}", f"\n{name}")
            for line in text.split("\n"):
                words = line.split(" #")[0].split()
                if words and words[0] in apps:
                    check_command(apps[words[0]], words, f"{page.name}:{block.line}: {line}")


def check_command(group: object, words: list[str], where: str) -> None:
    command: object = group
    for word in words[1:]:
        inner = getattr(command, "commands", None)
        if not inner:
            break
        assert word in inner, where
        command = inner[word]
    known = {o for p in command.params for o in [*p.opts, *p.secondary_opts]} | {"--help"}  # type: ignore[attr-defined]
    used = {w.split("=")[0] for w in words if w.startswith("--")}
    assert used <= known, f"{where}: no such option {sorted(used - known)}"
