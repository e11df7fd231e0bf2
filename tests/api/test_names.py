"""`import eegprep`, `import eegpt`: the names that people guess, with the commands' own defaults and our errors."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import eegprep
import eegpt
from _eegpt_cli import model, prep
from eegprep.errors import UsageError

#: Options that only concern what a command prints.
PRINTED = {"as_json", "json_output", "json_", "channels", "markdown", "card_only"}
#: Names of a command's parameters that a function calls otherwise.
RENAMED = {
    "set_": "settings", "transfer_set": "transfer_settings", "unknown_electrodes": "unknown",
    "repository": "address", "files": "signal",
}  # fmt: skip
COMMANDS = {
    ("prep", "inspect"): eegprep.inspect, ("prep", "ingest"): eegprep.ingest, ("prep", "shard"): eegprep.shard,
    ("prep", "verify"): eegprep.verify, ("prep", "report"): eegprep.report, ("prep", "fetch"): eegprep.fetch,
    ("prep", "manifest new"): eegprep.draft_manifest,
    ("model", "train"): eegpt.pretrain, ("model", "transfer"): eegpt.transfer, ("model", "evaluate"): eegpt.evaluate,
    ("model", "baselines"): eegpt.baselines, ("model", "compare"): eegpt.compare, ("model", "forecast"): eegpt.forecast,
    ("model", "scaling"): eegpt.scaling, ("model", "ablation"): eegpt.ablation, ("model", "claims"): eegpt.claims,
    ("model", "embed"): eegpt.embed_files, ("model", "predict"): eegpt.predict, ("model", "export"): eegpt.export,
}  # fmt: skip


def callback_of(app: typer.Typer, name: str) -> Any:
    first, _, rest = name.partition(" ")
    if rest:
        (group,) = [g.typer_instance for g in app.registered_groups if g.typer_instance.info.name == first]
        return callback_of(group, rest)
    named = {c.name or c.callback.__name__: c.callback for c in app.registered_commands}
    return named[name]


def apps() -> dict[str, typer.Typer]:
    out = {}
    for name, module in (("prep", prep), ("model", model)):
        app = typer.Typer()
        for group in module.GROUPS:
            importlib.import_module(f"_eegpt_cli.{group}").register(app)
        out[name] = app
    return out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_defaults_equal_the_commands(command):
    """Every option of a command is a parameter of its function, with the same default."""
    options = inspect.signature(callback_of(apps()[command[0]], command[1])).parameters
    known = inspect.signature(COMMANDS[command]).parameters
    for name, option in options.items():
        if (
            name in PRINTED
            or name in ("more", "save_config", "list_settings")
            or (*command[1:], name) == ("predict", "out")
        ):
            continue  # the function returns a table
        own = known.get(name) or known[RENAMED[name]]
        if inspect.Parameter.empty in (option.default, own.default):
            assert option.default is own.default or name in ("shards", "out"), name
        else:
            assert (option.default or None) == (own.default or None), name


@pytest.mark.parametrize("package", [eegprep, eegpt])
def test_every_name_is_there(package):
    """Completion shows what exists, and what exists is shown."""
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        found = getattr(package, name)
        assert callable(found) or inspect.ismodule(found), name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        package.nothing  # noqa: B018


def test_packages_of_commands_are_callable():
    """Whatever has been imported before: `eegprep.ingest` is a package and a function."""
    import eegprep.ingest.run
    import eegpt.transfer.folds

    for found in (eegprep.ingest, eegprep.report, eegpt.transfer):
        assert callable(found)
        assert list(inspect.signature(found).parameters)
    with pytest.raises(UsageError, match="no such file, folder or data set"):
        eegprep.ingest("no such thing")


def test_imports_stay_light():
    code = (
        "import sys, eegprep, eegpt; dir(eegprep); dir(eegpt)\n"
        "heavy = {'torch', 'mne', 'numpy', 'pyarrow', 'xarray', 'pydantic', 'sklearn'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_missing_extra_is_named():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import eegprep, eegpt\n"
        "try: eegpt.load\n"
        "except ImportError as error: print(type(error).__name__, error)\n"
        "try: import eegpt.torch\n"
        "except ImportError: print('plain')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("MissingExtraError eegpt.load needs torch"), done.stderr
    assert "[model]" in done.stdout


WRONG = {
    "open_store": (eegprep, "open_store", (3,)), "open_shards": (eegprep, "open_shards", (None,)),
    "missing store": (eegprep, "open_store", ("nowhere",)), "missing shards": (eegprep, "open_shards", ("nowhere",)),
    "shard": (eegprep, "shard", ([], "out")), "shard of numbers": (eegprep, "shard", ([3], "out")),
    "inspect": (eegprep, "inspect", (["a"],)), "report": (eegprep, "report", (3,)),
    "load": (eegpt, "load", (3,)), "load nothing": (eegpt, "load", ("nowhere",)),
    "embed": (eegpt, "embed", ("nowhere.edf", "nowhere")), "predict": (eegpt, "predict", (3, "nowhere")),
    "pretrain": (eegpt, "pretrain", (3, "out")), "no out": (eegpt, "pretrain", ("shards",)),
    "transfer": (eegpt, "transfer", ([], "out")), "evaluate": (eegpt, "evaluate", (3, "shards")),
    "compare": (eegpt, "compare", ([3],)), "to_raw": (eegprep, "to_raw", (3,)),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_get_our_errors(case, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package, name, arguments = WRONG[case]
    with pytest.raises(UsageError):
        getattr(package, name)(*arguments)


def test_packaged_weights_are_found(tmp_path: Path, monkeypatch):
    from support.small_models import write_encoder

    from eegpt.runs import weights

    monkeypatch.setattr(weights, "FOLDER", tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="'base' are not part of this installation"):
        eegpt.load()
    write_encoder(tmp_path / "base")
    assert eegpt.load("base").folder == Path("base")
    write_encoder(tmp_path / "weights" / "base")
    with pytest.raises(UsageError, match=r"write \./base"):
        eegpt.load("base")
    assert eegpt.load("./base").folder == Path("base")
    (tmp_path / "base").rename(tmp_path / "other")
    assert eegpt.load().folder == tmp_path / "weights" / "base"


SCRIPT = """\
import mne
import eegprep as ep
import eegpt
import eegpt.torch
from eegpt import EEGPTClassifier, EEGPTFeatures, EEGPTRegressor

found = ep.inspect("recordings")
reveal_type(found.exit_code)
summary = ep.ingest("recordings", out="store", workers=2)
store = ep.open_store(summary.out)
reveal_type(store.raw(store.ids()[0]))
reveal_type(store["a"])
ep.shard("store", "shards", max_shard_size="512M")
reveal_type(ep.open_shards("shards"))
run = eegpt.pretrain("shards", "encoder", size="base", settings={"schedule.steps": 5})
reveal_type(run.finished)
reveal_type(eegpt.transfer("shards", "model", encoder="encoder"))
raw = mne.io.read_raw("a.fif")
reveal_type(eegpt.embed(raw))
reveal_type(eegpt.load("base"))
table = eegpt.predict(raw, "model", window_s=2.0)
reveal_type(EEGPTClassifier("base").fit(raw))
module = eegpt.torch.EEGPT(2, chs_info=["Cz"], sfreq=256.0)
reveal_type(module.electrodes)
eegpt.embed(raw, windows=3)
ep.open_store()
"""
REVEALED = (
    '"int"', '"mne.io', '"xarray', "ShardSet", '"bool"', "Results", "Dataset", "Model", "EEGPTClassifier",
    '"tuple[str, ...]"',
)  # fmt: skip


@pytest.mark.slow
def test_mypy_knows_a_users_script(tmp_path: Path):
    """Types of a user's script are known, and a wrong argument is found."""
    pytest.importorskip("mypy")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    root = Path(eegprep.__file__).parents[1]
    # In the folder and with the options of `make types`: with any other the packages are checked again from the start.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(tmp_path / "script.py")],
        capture_output=True, text=True, env={"PATH": ""}, cwd=root,
    )  # fmt: skip
    revealed = [line for line in done.stdout.splitlines() if "Revealed type" in line]
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    assert len(revealed) == len(REVEALED), done.stdout + done.stderr
    assert not any("Any" in line for line in revealed if "mne" not in line), revealed
    assert len(errors) == 2, errors
    assert "windows" in errors[0]
    assert "path" in errors[1]
