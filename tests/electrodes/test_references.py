"""References and the algebra of derivations."""

from __future__ import annotations

import numpy as np
import pytest

from eegprep.electrodes import Vocabulary, resolve, resolve_all
from eegprep.electrodes.references import Derivations, canonical_reference, common_reference, stated_reference
from eegprep.electrodes.resolve import NamedChannel
from eegprep.electrodes.together import stored_reference
from eegprep.errors import UsageError
from eegprep.recording import input_names

BASE = Vocabulary.base()
BANANA = ("Fp1-F7", "F7-T7", "T7-P7", "P7-O1", "Fp1-F3", "F3-C3", "C3-P3", "P3-O1")


def graph(*names: str) -> Derivations:
    electrodes, references = zip(*(n.split("-", 1) for n in names), strict=True)
    return Derivations(electrodes, references)


def values(names) -> tuple[dict[str, float], np.ndarray]:
    places = sorted({p for n in names for p in n.split("-", 1)})
    potential = dict(zip(places, np.random.default_rng(0).standard_normal(len(places)), strict=True))
    return potential, np.array([potential[a] - potential[b] for a, b in (n.split("-", 1) for n in names)])


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("Cz", "Cz"), ("cz", "Cz"), ("T3", "T7"), ("LE", "linked ears"), ("A1A2", "linked ears"),
        ("linked ears", "linked ears"), ("linked mastoids", "linked mastoids"), ("M1+M2", "linked mastoids"),
        ("CMS/DRL", "CMS/DRL"), ("CMS", "CMS/DRL"), ("average", "average"), ("common average", "average"),
        ("REST", "REST"), ("REF", "unknown"), ("", "unknown"), ("unknown", "unknown"), ("right earlobe", "A2"),
        ("left mastoid", "M1"), ("bipolar", "bipolar"), ("contralateral mastoid", "contralateral"),
        ("placed by J. Smith", "unknown"), ("nose", "nose"),
    ],
)  # fmt: skip
def test_stated_references_are_canonical(text, reference):
    """A stated reference is an electrode, a scheme or unknown; free text is never kept."""
    assert canonical_reference(BASE, text) == reference


@pytest.mark.parametrize(
    ("name", "recorded", "reference"),
    [
        ("Fp1-F7", "average", "F7"),
        ("Fp1", "average", "average"),
        ("Fp1-REF", "linked ears", "linked ears"),
        ("Fp1-LE", "unknown", "linked ears"),
        ("Fp1-A2", "unknown", "A2"),
        ("Cz", "Cz", "unknown"),
        ("Fp1", "something", "unknown"),
    ],
)
def test_stored_reference_by_evidence(name, recorded, reference):
    """The name comes first, then the recording's statement; an electrode is not its own reference."""
    found = resolve(BASE, name)
    assert stored_reference(BASE, found, NamedChannel(name=name), recorded) == reference


@pytest.mark.parametrize(
    ("name", "code"),
    [("Fp1-XY9", "unknown_reference"), ("Fp1-Fp1", "unknown_reference"), ("XY9-Fp1", "unknown_name"),
     ("T3-T7", "unknown_reference")],
)  # fmt: skip
def test_bad_derivations_are_left_out(name, code):
    """A derivation whose second electrode is unknown, and A-A, are left out with one reason."""
    found = resolve(BASE, name)
    assert (found.electrode, found.code) == (None, code)


def test_all_derivations_are_kept():
    """FP1-F7 and FP1-F3 are both kept; the same derivation twice is not; FP1-REF and Fp1 are the same."""
    names = ("FP1-F7", "FP1-F3", "T8-P8-0", "T8-P8-1", "Cz", "Cz-REF")
    found = resolve_all(BASE, [NamedChannel(name=n) for n in names])
    assert [r.electrode for r in found] == ["Fp1", "Fp1", "T8", None, "Cz", None]
    assert input_names(["Fp1", "Fp1", "T8"], ["F7", "F3", "P8"]) == ("Fp1-F7", "Fp1-F3", "T8")


@pytest.mark.parametrize("target", ["O1", "Fp1", "C3", "average"])
def test_connected_derivations_re_reference(target):
    """Derivations that are connected give every electrode against any other, and against the average."""
    potential, rows = values(BANANA)
    derived = graph(*BANANA).to(target)
    assert not derived.missing
    recorded = {n.split("-")[0] for n in BANANA}
    mean = np.mean([potential[e] for e in recorded])
    for one in derived.combinations:
        expected = potential[one.electrode] - (mean if target == "average" else potential[target])
        assert sum(c * rows[r] for r, c in one.terms) == pytest.approx(expected, abs=1e-12)
    assert {c.electrode for c in derived.combinations} == recorded - {target}


def test_common_reference_gives_the_average():
    """Channels against one named reference give their average reference; the reference itself cancels."""
    names = [f"{e}-linked ears" for e in ("C3", "C4", "Cz", "Pz")]
    potential, rows = values(names)
    for one in graph(*names).to("average").combinations:
        mean = np.mean([potential[e] for e in ("C3", "C4", "Cz", "Pz")])
        assert sum(c * rows[r] for r, c in one.terms) == pytest.approx(potential[one.electrode] - mean)


def test_unconnected_derivations_are_reported():
    """Without a path there is no derivation, and the reason says so; unknown references connect nothing."""
    found = graph("Fp1-F7", "Cz-Pz").to("Pz")
    assert [c.electrode for c in found.combinations] == ["Cz"]
    assert found.missing == (("Fp1", "no derivations connect Fp1 (measured against F7) with Pz"),)
    assert not graph("Fp1-F7", "Cz-Pz").to("average").combinations
    unknown = graph("Fp1-unknown", "Cz-unknown")
    assert unknown.path("Fp1", "Cz") is None
    assert not unknown.to("average").combinations
    assert unknown.path("Fp1", "unknown") == ((0, 1.0),)
    assert graph("C3-Laplacian", "C4-Laplacian").path("C3", "C4") is None


@pytest.mark.parametrize("target", ["unknown", "bipolar", "Laplacian"])
def test_no_view_against_nothing_common(target):
    with pytest.raises(UsageError, match="cannot be re-referenced"):
        graph("C3-Cz").to(target)


def test_shortest_path_is_taken():
    """A recorded derivation is taken as it is, even if a cycle offers a longer way."""
    cycle = graph("Fp1-F7", "F7-T7", "Fp1-T7")
    assert cycle.path("Fp1", "T7") == ((2, 1.0),)
    assert cycle.path("T7", "Fp1") == ((2, -1.0),)


def test_cycles_sum_to_zero():
    """Every row that closes a cycle gives a sum that is zero for consistent derivations."""
    names = (*BANANA, "T7-F7", "O1-Fp1", "Cz-Pz", "C4-unknown")
    _, rows = values(names)
    sums = graph(*names).cycles()
    assert len(sums) == 3
    assert max(abs(sum(c * rows[r] for r, c in terms)) for terms in sums) < 1e-12
    assert graph("C3-Cz", "C4-Cz").cycles() == []


@pytest.mark.parametrize(
    ("references", "common"),
    [(["Cz", "Cz"], "Cz"), (["Cz", "M1"], None), (["unknown", "unknown"], "unknown"), (["bipolar"] * 2, None),
     (["Laplacian"] * 2, None)],
)  # fmt: skip
def test_common_reference_of_channels(references, common):
    assert common_reference(references) == common


@pytest.mark.parametrize("names", [("F3-Cz", "C3-Cz"), ("F3-Cz", "Cz-C3"), ("Cz-F3", "C3-Cz"), ("Cz-F3", "Cz-C3")])
def test_any_sign_of_two_derivations(names):
    """F3-C3 from F3-Cz and C3-Cz in any direction; a reference of one of two channels is not common to both."""
    potential, rows = values(names)
    terms = graph(*names).path("F3", "C3")
    assert sum(c * rows[r] for r, c in terms) == pytest.approx(potential["F3"] - potential["C3"])
    assert graph("F3-A1", "C3-A2").path("F3", "C3") is None
    assert graph("F3-A1", "C3-unknown").path("F3", "C3") is None


def test_a_stated_reference_is_known_or_refused():
    """A stated reference is one that we know, or `unknown` where that is allowed; a misspelt word is refused."""
    pairs = {None: "unknown", "unknown": "unknown", "REF": "unknown", "LE": "linked ears", "cz": "Cz"}
    for text, found in pairs.items():
        assert stated_reference(BASE, text) == found
    for text in ("linkd ears", "Cc", ""):
        with pytest.raises(UsageError, match="unknown reference"):
            stated_reference(BASE, text)
    with pytest.raises(UsageError, match="unknown reference"):
        stated_reference(BASE, "unknown", allow_unknown=False)


@pytest.mark.parametrize(
    ("name", "electrode", "reference"),
    [
        ("C3-4", "C3", "C4"), ("EEG F7-8", "F7", "F8"), ("Fp1-2", "Fp1", "Fp2"), ("C4-LM", "C4", "unknown"),
        ("C3-RM", "C3", "unknown"), ("C3-1", "C3", "unknown"), ("T8-P8-1", "T8", "P8"),
    ],
)  # fmt: skip
def test_short_forms_of_derivations(name, electrode, reference):
    """`C3-4` is C3-C4; LM may be the left mastoid or both; other numbers after a dash count duplicates."""
    found = resolve(Vocabulary.base(), name, kind="eeg")
    assert (found.electrode, (found.reference or "unknown").replace("REF", "unknown")) == (electrode, reference)
