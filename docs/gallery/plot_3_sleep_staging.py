"""
Sleep staging with EEG, EOG and EMG
===================================

A polysomnography from the file to a hypnogram. Nights of real patients may not be shipped, so six short ones are
simulated here: three electrodes, two eye electrodes and the chin, with the waves, eye movements and muscle tone that
mark each stage. Replace the folder by yours; the rest stays the same.
"""

# %%
# What each stage looks like, at 128 samples a second and in microvolt.

import os
import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal

import eegpt

RATE, EPOCH_S = 128, 30
STAGES = ["W", "N1", "N2", "N3", "R"]
CHANNELS = ["C3-A2", "C4-A1", "O2-A1", "EOG left", "EOG right", "EMG chin"]


def noise(random: np.random.Generator, low_hz: float, high_hz: float, slope: float = 0.0) -> np.ndarray:
    """One epoch of noise in a band, with an SD of 1; power falls with frequency to the power of `slope`."""
    hz = np.fft.rfftfreq(RATE * EPOCH_S, 1 / RATE)
    gain = np.where((hz >= low_hz) & (hz <= high_hz), np.maximum(hz, 0.5) ** (-slope / 2), 0)
    x = np.fft.irfft(gain * np.exp(2j * np.pi * random.random(len(hz))))
    return x / x.std()


def bursts(random: np.random.Generator, n: int, width_s: float) -> np.ndarray:
    """One epoch with `n` bumps of height 1 at random times and of random sign."""
    seconds = np.arange(RATE * EPOCH_S) / RATE
    times, signs = random.uniform(1, EPOCH_S - 1, n), random.choice([-1, 1], n)
    return sum(
        (s * np.exp(-(((seconds - t) / width_s) ** 2)) for s, t in zip(signs, times, strict=True)),
        np.zeros(len(seconds)),
    )


def epoch(stage: str, random: np.random.Generator, gain: float, alpha_hz: float) -> np.ndarray:
    """Half a minute of all channels, (6, samples) in microvolt. Epochs of one stage differ in strength."""
    x = np.stack([gain * 9 * noise(random, 0.5, 45, slope=1.5) for _ in CHANNELS])
    central, occipital, eyes, chin = slice(0, 2), 2, slice(3, 5), 5
    strength = random.lognormal(-0.6, 0.8)
    tone, movement = {"W": 16, "N1": 11, "N2": 9, "N3": 8, "R": 5}[stage], np.zeros(RATE * EPOCH_S)
    if stage == "W":  # alpha over the occiput, saccades
        alpha = gain * strength * noise(random, alpha_hz - 1, alpha_hz + 1)
        x[occipital] += 9 * alpha
        x[central] += 4 * alpha
        movement = 70 * bursts(random, random.poisson(6), 0.15)
    elif stage == "N1":  # theta, slow rolling eyes
        x[:3] += gain * strength * 5 * noise(random, 4, 7)
        movement = 12 * strength * noise(random, 0.15, 0.5)
    elif stage == "N2":  # spindles and K-complexes
        x[:3] += gain * 5 * noise(random, 3, 7)
        spindle = np.abs(bursts(random, random.poisson(2), 0.4)) * noise(random, 12, 14)
        k_complex = np.abs(bursts(random, random.poisson(1), 0.25))
        x[central] += gain * (16 * spindle - 60 * k_complex)
        x[occipital] += gain * 6 * spindle
        x[eyes] -= gain * 25 * k_complex
    elif stage == "N3":  # slow waves, which the eye electrodes see too
        slow = gain * strength * noise(random, 0.5, 1.6)
        x[:3] += 22 * slow
        x[eyes] += 10 * slow
    else:  # REM: rapid eye movements and no muscle tone; the EEG resembles that of N1
        x[:3] += gain * strength * 5 * noise(random, 3, 7)
        movement = 80 * bursts(random, random.poisson(2), 0.12)
    x[3] += movement
    x[4] -= movement  # the eyes are dipoles: what one side sees as positive, the other sees as negative
    x[chin] = tone * random.lognormal(0, 0.7) * noise(random, 12, 60)
    return x


random = np.random.default_rng(0)
fig, axes = plt.subplots(1, 5, figsize=(10, 4), sharey=True)
for ax, stage in zip(axes, STAGES, strict=True):
    seen = epoch(stage, random, 1.0, 10.0)[:, : 10 * RATE]
    ax.plot(np.arange(10 * RATE) / RATE, seen.T - 160 * np.arange(6), lw=0.5, color="k")
    ax.set(title=stage, xlabel="s", yticks=-160 * np.arange(6), yticklabels=CHANNELS)
fig.tight_layout()
plt.show()

# %%
# Six nights as EDF+ files, one cycle of sleep each, with the scoring as annotations.

work = Path(tempfile.mkdtemp())
nights = work / "nights"
nights.mkdir()
for subject in range(1, 7):
    gain, alpha_hz = random.uniform(0.7, 1.4), random.uniform(8.5, 11)
    lengths = random.multivariate_hypergeometric([9, 5, 11, 9, 8], 34)
    stages = np.repeat(STAGES, lengths)
    x = np.concatenate([epoch(stage, random, gain, alpha_hz) for stage in stages], axis=1).clip(-500, 500)
    Edf(
        [EdfSignal(row, RATE, label=name, physical_dimension="uV", physical_range=(-500, 500))
         for name, row in zip(CHANNELS, x, strict=True)],
        annotations=[EdfAnnotation(EPOCH_S * i, EPOCH_S, f"Sleep stage {stage}") for i, stage in enumerate(stages)],
    ).write(nights / f"sleeper-{subject}.edf")  # fmt: skip

# %%
# The manifest says how file names give the subject and which annotations are classes. The last night stays apart.

(work / "night.yaml").write_text(
    """\
manifest: 1
name: night
version: "1"
title: Six simulated nights
citation: simulated
licence: {id: CC0-1.0}
anonymous_subjects: true
line_freq_hz: 50
source:
  kind: files
  files: ["sleeper-{subject}.edf"]
tasks:
  - name: stage
    classes: [wake, n1, n2, n3, rem]
    trials:
      by: event
      labels:
        Sleep stage W: wake
        Sleep stage N1: n1
        Sleep stage N2: n2
        Sleep stage N3: n3
        Sleep stage R: rem
      length_s: 30
"""
)
unseen = (nights / "sleeper-6.edf").rename(work / "new-night.edf")


def run(*words: object) -> None:
    done = subprocess.run([str(w) for w in words], cwd=work, capture_output=True, text=True)
    print("$", *words)
    print(done.stdout + (done.stderr if done.returncode else ""))


# %%
# ``--kinds`` keeps eyes and muscles beside the EEG, each with the filter that suits it.

run("eegprep", "ingest", "night.yaml", "--source", "nights", "--kinds", "eeg,eog,emg", "--out", "store")
run("eegprep", "shard", "store", "--out", "shards")

# %%
# The encoder has seen neither these electrodes' derivations nor any EOG or EMG: ``extend`` gives each channel that it
# does not know a row of its own. Five folds: each night is scored by a model of the other four.

encoder = Path(os.environ.get("EEGPT_DEMO", "demo/sample")).absolute() / "encoder-0"  # what `make demo` leaves
options = ["--encoder", encoder, "--unknown-electrodes", "extend", "--set", "model.graph=false", "--scheme", "loso"]
run("eegpt", "transfer", "--shards", "shards", "--out", "model", *options)

# %%
# The night that stayed apart, straight from its file. Windows are as long as the trials in training.

table = eegpt.predict(unseen, work / "model")
hypnogram = table.loc[table.groupby("trial")["probability"].idxmax(), "class"].to_numpy()
order = ["n3", "n2", "n1", "rem", "wake"]
scored = np.array([{"W": "wake", "R": "rem"}.get(stage, stage.lower()) for stage in stages])  # of the last night
print(f"{(hypnogram == scored).mean():.0%} of {len(scored)} epochs as scored")

fig, ax = plt.subplots(figsize=(8, 3))
minutes = np.arange(len(scored) + 1) / 2
for staged, style in ((scored, {"color": "0.7", "lw": 5, "label": "scored"}), (hypnogram, {"color": "C3", "lw": 1.5})):
    places = [order.index(stage) for stage in staged]
    ax.step(minutes, [*places, places[-1]], where="post", **{"label": "predicted", **style})
ax.set(xlabel="minutes", yticks=range(5), yticklabels=order, title="A night that the model has not seen")
ax.legend(loc="lower right")
fig.tight_layout()
plt.show()
