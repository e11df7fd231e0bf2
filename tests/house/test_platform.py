"""One module knows the operating system. Nothing else names what exists on one only, and the core runs without it."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import run_command
from support.recordings import eeg_uv, write_edf

from eegprep import platform
from eegprep.errors import UsageError

PACKAGES = ("eegprep", "eegpt", "cli")
MODULES = {
    "fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "posix", "posixpath", "syslog", "msvcrt", "winreg",
    "select", "selectors", "nt", "ntpath",
}  # fmt: skip
NAMES = {
    "os": {
        "fork", "forkpty", "getuid", "geteuid", "getgid", "setsid", "killpg", "mkfifo", "memfd_create", "sysconf",
        "chown", "statvfs", "getppid", "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "sched_getaffinity", "nice", "wait",
        "waitpid", "startfile", "getloadavg", "set_inheritable", "pread", "preadv", "pwrite", "sendfile",
        "posix_fadvise", "symlink", "O_CLOEXEC",
    },
    "mmap": {"MAP_PRIVATE", "MAP_SHARED", "MAP_ANONYMOUS", "PROT_READ", "PROT_NONE"},
    "signal": {"SIGUSR1", "SIGUSR2", "SIGALRM", "SIGHUP", "SIGQUIT", "SIGKILL", "alarm", "setitimer", "pthread_kill"},
}  # fmt: skip
KEYWORDS = {"preexec_fn", "start_new_session", "creationflags", "startupinfo"}


@pytest.fixture(scope="module")
def trees(repository: Path) -> dict[str, ast.Module]:
    """The syntax tree of every source file but `platform.py`, by name."""
    found = [p for package in PACKAGES for p in sorted((repository / package).rglob("*.py"))]
    own = repository / "eegprep" / "platform.py"
    return {str(p.relative_to(repository)): ast.parse(p.read_text("utf-8")) for p in found if p != own}


def offences(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found += [f"{node.module}.{a.name}" for a in node.names if a.name in NAMES.get(node.module or "", ())]
            found += [node.module] if (node.module or "").split(".")[0] in MODULES else []
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found += [f"{node.value.id}.{node.attr}"] if node.attr in NAMES.get(node.value.id, ()) else []
        elif isinstance(node, ast.keyword) and node.arg in KEYWORDS:
            found.append(node.arg)
    return found


def texts_without_encoding(tree: ast.AST) -> list[str]:
    """Calls that read or write text in the encoding of the machine."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(k.arg == "encoding" or k.arg is None for k in node.keywords):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        words = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if name == "read_text" and not words:
            found.append(f"{name}, line {node.lineno}")
        if name == "write_text" and len(node.args) < 2:
            found.append(f"{name}, line {node.lineno}")
        if (
            name == "open"
            and not isinstance(node.func, ast.Attribute)
            and words[-1:]
            and set(words[-1]) <= set("rwax+")
        ):
            found.append(f"{name}, line {node.lineno}")
    return found


def test_one_module_knows_the_platform(trees):
    found = {name: offences(tree) for name, tree in trees.items()}
    assert {name: sorted(set(what)) for name, what in found.items() if what} == {}


def test_the_rule_finds_what_it_forbids():
    """A rule that finds nothing anywhere would hold too."""
    bad = "import fcntl\nfrom os import fork\nimport os\nos.getuid()\nfrom select import select\nrun(preexec_fn=f)\n"
    assert len(offences(ast.parse(bad))) == 5
    assert len(texts_without_encoding(ast.parse("p.read_text()\np.write_text(x)\nopen(f, 'w')\nopen(f, 'rb')"))) == 3


def test_text_is_utf8_everywhere(trees):
    found = {name: texts_without_encoding(tree) for name, tree in trees.items()}
    assert {name: what for name, what in found.items() if what} == {}


def other_system(repository: Path, *arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
    """Run Python without what Windows lacks."""
    path = os.pathsep.join(
        [str(repository / "tests/support/other_system"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path}, **more,
    )  # fmt: skip


def test_packages_import_on_another_system(repository):
    code = (
        "import os; assert not hasattr(os, 'fork'); import eegprep, eegpt;"
        "import eegprep.ingest.run, eegprep.shards, eegprep.sources.files, eegprep.remote.share, eegprep.processes;"
        "import eegprep.sources.bids, eegprep.temporary, eegprep.datasets, _eegpt_cli.prep, _eegpt_cli.model;"
        "print('ok')"
    )
    done = other_system(repository, "-c", code)
    assert (done.stdout.strip(), done.returncode) == ("ok", 0), done.stderr


def test_training_imports_on_another_system(repository):
    pytest.importorskip("torch")
    done = other_system(repository, "-c", "import eegpt.pretraining.loop, eegpt.transfer, eegpt.data; print('ok')")
    assert done.stdout.strip() == "ok", done.stderr


def test_core_runs_on_another_system(repository, tmp_path):
    """Ingest in two processes, shards, verification: the bytes are those of this system, in one process."""
    folder = tmp_path / "recordings"
    for seed, subject in enumerate(("a", "b")):
        (folder / subject).mkdir(parents=True)
        write_edf(folder / subject / "1.edf", eeg_uv(6, 6000, seed=seed))
    sets = {}
    there = functools.partial(other_system, repository, "-m", "_eegpt_cli.prep")
    here = functools.partial(run_command, "eegprep")
    for system, run, workers in (("other", there, 2), ("this", here, 0)):
        place = tmp_path / system
        for command in (
            ("ingest", folder, "--out", place / "store", "--workers", workers),
            ("shard", place / "store", "--out", place / "shards"),
            ("verify", place / "shards", "--deep"),
        ):
            done = run(*command)
            assert done.returncode == 0, done.stdout + done.stderr
        sets[system] = (place / "shards" / "SHA256SUMS").read_bytes()
        assert not (place / "store" / ".lock").exists()
    assert sets["other"] == sets["this"]


def test_locks_exclude_on_another_system(repository, tmp_path):
    """A second process is refused while the first holds the output; a killed holder's lock is free."""
    holder = (
        "import sys; from pathlib import Path; from eegprep.files import alone\n"
        "with alone(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    taker = (
        "import sys; from pathlib import Path; from eegprep.files import alone\n"
        "with alone(Path(sys.argv[1])): print('taken')"
    )
    path = str(repository / "tests/support/other_system")
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as first:  # fmt: skip
        assert first.stdout.readline() == "held\n"
        refused = other_system(repository, "-c", taker, out)
        assert "another process is writing there" in refused.stderr
        first.kill()
    assert other_system(repository, "-c", taker, out).stdout == "taken\n"


@pytest.mark.parametrize(
    ("name", "portable"),
    [("sub-01_eeg.edf", True), ("aux.tsv", False), ("COM1", False), ("com10.txt", True), ("a:b", False),
     ("end.", False), ("nul.json", False), ("ümlaut ä.edf", True), ("tab\t.edf", False), ("x" * 256, False),
     ("lpt1.eeg.edf", False)],
)  # fmt: skip
def test_names_for_every_system(name, portable):
    assert platform.portable_name(name) is portable


def test_names_that_are_one_file_elsewhere():
    assert platform.alike_names(["a/Sub-01", "a/sub-01", "b"]) == [("a/Sub-01", "a/sub-01")]
    assert platform.alike_names(["ä", "a\u0308"]) == [("ä", "a\u0308")]
    assert platform.alike_names(["sub-1", "sub-01"]) == []


def test_subjects_that_differ_by_case_only(tmp_path, monkeypatch):
    """Where the file system ignores case, one would overwrite the other: refused. Elsewhere both are stored."""
    from eegprep.ingest import ingest
    from eegprep.manifest import parse_manifest

    text = (
        "{manifest: 1, name: cases, version: '1', title: t, citation: c, licence: {id: x}, anonymous_subjects: true,"
        " source: {kind: files, files: ['{subject}.edf']}}"
    )
    folder = tmp_path / "files"
    folder.mkdir()
    for seed, name in enumerate(("ab", "AB")):
        write_edf(folder / f"{name}.edf", eeg_uv(6, 6000, seed=seed))
    assert ingest(parse_manifest(text), folder, tmp_path / "store", workers=0).recordings == 2
    monkeypatch.setattr(platform, "ignores_case", lambda path: True)
    with pytest.raises(UsageError, match="differ only by case"):
        ingest(parse_manifest(text), folder, tmp_path / "other", workers=0)


def test_a_file_that_is_open_is_replaced_later(tmp_path, monkeypatch):
    """Windows refuses to replace an open file: it is tried again."""
    source, target = tmp_path / "new", tmp_path / "old"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    refusals = [PermissionError(), PermissionError()]
    monkeypatch.setattr(platform, "fcntl", None)
    monkeypatch.setattr(platform.time, "sleep", lambda s: None)
    true = Path.replace

    def busy(self, other):
        if refusals:
            raise refusals.pop()
        return true(self, other)

    monkeypatch.setattr(Path, "replace", busy)
    platform.replace(source, target)
    assert target.read_bytes() == b"new"


def test_memory_is_limited_on_another_system(repository):
    """Without limits of the system, a process that takes too much is ended."""
    code = (
        "import time; from eegprep.platform import limit_memory; limit_memory(300 << 20);"
        "x = bytearray(1 << 20) ; big = b'x' * (600 << 20); time.sleep(20); print('survived')"
    )
    done = other_system(repository, "-c", code)
    assert done.returncode == 137
    assert done.stdout == ""
