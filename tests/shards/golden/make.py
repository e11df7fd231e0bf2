"""Write the golden shard set again: `python tests/shards/golden/make.py`.

Only for a new version of the format. Files of version 1 may not change: sets that labs have written must stay
readable, and equal recordings must go on giving equal shards.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "support"))


def golden_store():
    """Two recordings made of sines of integers: the same bits everywhere, no random numbers."""
    import numpy as np
    from synthetic import MemoryStore, manifest

    from eegprep.recording import RecordingInfo, Stretch, Trial

    infos, signals = [], {}
    for k, (subject, electrodes) in enumerate((("01", ("Cz", "O2")), ("02.b", ("Cz",)))):
        n = 1500
        steps = (np.arange(n * len(electrodes)).reshape(len(electrodes), n) * (7 + k)) % 1601 - 800
        signal = (steps / 32).astype(np.float32)
        info = RecordingInfo(
            dataset="golden",
            subject=subject,
            run="1",
            n_samples=n,
            electrodes=electrodes,
            references=tuple("M1" for _ in electrodes),
            stretches=(Stretch(start_sample=0, n_samples=900), Stretch(start_sample=1000, n_samples=500)),
            rejected={"O2": (Stretch(start_sample=100, n_samples=1),)},
            trials=(
                Trial(start_sample=10, n_samples=256, task="hand", label="left", event="T1"),
                Trial(start_sample=850, n_samples=256, task="load", label="1.5"),
            ),
            line_freq_hz=50.0,
            sigma_uv=tuple(12.5 for _ in electrodes),
            quality={"line_noise_ratio": tuple(0.25 for _ in electrodes)},
            source_sha256="0" * 64,
            signal_sha256=f"{k}" * 64,
            steps=({"step": "resample", "sfreq_hz": 256.0},),
            split=("train", "test")[k],
            attributes={"group": "a"},
        )
        infos.append(info)
        signals[info.id] = signal
    return MemoryStore(manifest("golden"), infos, signals)


def main() -> None:
    import eegprep
    from eegprep.shards import build_shard_set

    eegprep.__version__ = "golden"
    target = HERE / "set"
    shutil.rmtree(target, ignore_errors=True)
    build_shard_set([golden_store()], target, block_samples=512, max_shard_bytes=9000)
    files = {p.relative_to(target).as_posix(): p for p in sorted(target.rglob("*")) if p.is_file()}
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    (HERE / "hashes.json").write_text(json.dumps(hashes, indent=1) + "\n")


if __name__ == "__main__":
    main()
