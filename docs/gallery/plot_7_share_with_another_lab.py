"""
Share a data set with another lab
=================================

Equal recordings and an equal manifest give equal shards, byte for byte. So two labs compare one hash, and a damaged
copy is refused.
"""

# %%
# Lab A and lab B each have the recordings and the manifest; nothing else passes between them.

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

work = Path(tempfile.mkdtemp())


def run(*words: object) -> int:
    done = subprocess.run([str(w) for w in words], cwd=work, capture_output=True, text=True)
    print("$", *words)
    print(done.stdout + (done.stderr if done.returncode else ""))
    return done.returncode


for lab, workers in (("lab-a", 1), ("lab-b", 2)):
    run("eegprep", "ingest", "eegmat_sample", "--out", f"{lab}/store", "--workers", workers)
    run("eegprep", "shard", f"{lab}/store", "--out", f"{lab}/shards")

# %%
# One line to compare.

for lab in ("lab-a", "lab-b"):
    print(lab, hashlib.sha256((work / lab / "shards" / "SHA256SUMS").read_bytes()).hexdigest())

# %%
# The licence permits sharing the shards themselves, so lab B may also copy them. One flipped bit on the way, and
# ``eegprep verify --deep`` refuses the set with exit code 3.

shutil.copytree(work / "lab-a" / "shards", work / "copy")
run("eegprep", "verify", "copy", "--deep")
shard = next((work / "copy" / "shards" / "Cz").glob("*.tar"))
damaged = bytearray(shard.read_bytes())
damaged[20000] ^= 1
shard.write_bytes(damaged)
print("exit code", run("eegprep", "verify", "copy", "--deep"))
