"""Turn EEG recordings of any format into per-electrode shards.

`eegprep` is the data side of EEGPT. It reads a lab's files (`sources`), standardises them (`standardise`, `ingest`)
and writes the shard set (`shards`) that the model side reads. It never imports torch.

Every command of `eegprep` is a function here, with the same defaults. Names are imported on first use.

Examples
--------
>>> import eegprep as ep
>>> ep.inspect("recordings")  # doctest: +SKIP
>>> ep.ingest("recordings", out="store")  # doctest: +SKIP
>>> ep.shard("store", out="shards")  # doctest: +SKIP
>>> ep.open_shards("shards").raw("recordings/s1/-/-")  # doctest: +SKIP
"""

from typing import TYPE_CHECKING

from eegprep.lazy import attach

if TYPE_CHECKING:
    from eegprep import datasets as datasets
    from eegprep.api import catalogue as catalogue
    from eegprep.api import draft_manifest as draft_manifest
    from eegprep.api import fetch as fetch
    from eegprep.api import ingest as ingest
    from eegprep.api import inspect as inspect
    from eegprep.api import open_shards as open_shards
    from eegprep.api import open_store as open_store
    from eegprep.api import report as report
    from eegprep.api import shard as shard
    from eegprep.api import verify as verify
    from eegprep.electrodes import Vocabulary as Vocabulary
    from eegprep.electrodes import load_vocabulary as load_vocabulary
    from eegprep.errors import EEGPTError as EEGPTError
    from eegprep.errors import InputError as InputError
    from eegprep.errors import RefusedError as RefusedError
    from eegprep.errors import UsageError as UsageError
    from eegprep.manifest import Manifest as Manifest
    from eegprep.manifest import Recipe as Recipe
    from eegprep.manifest import find_manifest as find_manifest
    from eegprep.manifest import load_manifest as load_manifest
    from eegprep.manifest import load_recipe as load_recipe
    from eegprep.remote.share import pull as pull
    from eegprep.remote.share import push as push
    from eegprep.shards.reader import ShardSet as ShardSet
    from eegprep.store import Store as Store
    from eegprep.store.raw import to_raw as to_raw

__version__ = "0.1.0"

_HOMES = {
    "inspect": "api", "ingest": "", "open_store": "api", "shard": "api", "verify": "api", "open_shards": "api",
    "report": "", "catalogue": "api", "fetch": "api", "draft_manifest": "api",
    "find_manifest": "manifest", "load_manifest": "manifest", "load_recipe": "manifest",
    "load_vocabulary": "electrodes", "push": "remote.share", "pull": "remote.share", "to_raw": "store.raw",
    "Store": "store", "ShardSet": "shards.reader", "Manifest": "manifest", "Recipe": "manifest",
    "Vocabulary": "electrodes",
    "datasets": "",
    "EEGPTError": "errors", "InputError": "errors", "UsageError": "errors", "RefusedError": "errors",
}  # fmt: skip
__all__ = list(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
