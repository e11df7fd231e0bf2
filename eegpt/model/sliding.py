"""A cache that never grows: the oldest token goes, the electrode's own vector stays in front.

What enters: keys and values of v_e and T tokens. What leaves: those of v_e and the newest tokens, as if these had come
first. Rotary positions are relative, so the keys that stay are turned back by as many positions as went; each key is
turned a bounded number of times before it goes itself, so nothing adds up. What the states of kept tokens have seen of
the tokens that went stays in them: an endless stream looks further back than a window does, by a window for each layer.
"""

from __future__ import annotations

import torch

from eegprep.errors import UsageError
from eegpt.model.ete import ETE, Cache
from eegpt.model.fused import rotate

__all__ = ["slide"]


def slide(ete: ETE, cache: Cache, n_tokens: int = 1) -> Cache:
    """The cache without its `n_tokens` oldest tokens.

    Raises
    ------
    UsageError
        The encoder has learned positions, which cannot be turned, or the sequences are padded.
    """
    if ete.config.position == "learned":
        raise UsageError(
            "an encoder with learned positions can't run without end",
            found=f"{ete.config.max_tokens} positions",
            expected="rotary positions, or none",
        )
    if cache.n_positions_B is not None or not 0 < n_tokens < cache.n_positions:
        raise UsageError("so many tokens can't go", found=n_tokens, expected=f"1 to {cache.n_positions - 1}, unpadded")
    keys = cache.keys
    if ete.config.position == "rotary":
        back = ete._rotation(torch.tensor([-n_tokens], device=keys[0].device))
        assert back is not None  # rotary positions have a rotation
        keys = tuple(torch.cat((k[:, :, :1], rotate(k[:, :, 1 + n_tokens :], *back)), dim=2) for k in keys)
    else:
        keys = tuple(torch.cat((k[:, :, :1], k[:, :, 1 + n_tokens :]), dim=2) for k in keys)
    values = tuple(torch.cat((v[:, :, :1], v[:, :, 1 + n_tokens :]), dim=2) for v in cache.values)
    return Cache(keys=keys, values=values)
