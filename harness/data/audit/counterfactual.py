"""What a split by samples instead of groups would have leaked: the number that shows what grouping is for."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.data.audit.sides import HELD_OUT, Positions

REPEATS = 5  # shuffles that the shares are averaged over


def crop_level_leak(samples: pd.DataFrame, count: int, seed: int) -> dict[str, Any]:
    """Return what `count` shuffled folds of samples, blind to groups, leak: the mean over five shuffles.

    The keys are those of `leaked_shares`, and `repeats`.
    """
    shares = [leaked_shares(samples, _blind_folds(len(samples), count, seed + i)) for i in range(REPEATS)]
    return {"repeats": REPEATS} | {key: float(np.mean([s[key] for s in shares])) for key in shares[0]}


def leaked_shares(samples: pd.DataFrame, fold: Positions) -> dict[str, float]:
    """Return the share of validated or held-out samples whose source is also in the training rows, in [0, 1].

    `group` and `photo` are shares of all samples, `positive_group` and `positive_photo` of those with an
    object. `fold` (N,) holds fold numbers, -1 for held out.
    """
    positive = samples["positive"].to_numpy() > 0
    shares = {}
    for name, columns in (("group", ["group"]), ("photo", ["group", "photo"])):
        leaked = _source_trains(samples[columns], fold)
        shares[name] = _share(leaked)
        shares[f"positive_{name}"] = _share(leaked[positive])
    return shares


def _source_trains(source: pd.DataFrame, fold: Positions) -> NDArray[np.bool_]:
    """Tell for each row (N,) whether a row of the same source stands in a fold that is not its own."""
    codes = source.groupby(list(source.columns), sort=False).ngroup().to_numpy()
    pairs = pd.DataFrame({"source": codes, "fold": fold})
    folds = pairs[pairs["fold"] != HELD_OUT].drop_duplicates().groupby("source").size()
    count = pairs["source"].map(folds).fillna(0).to_numpy()
    return np.asarray(count - (fold != HELD_OUT) > 0)


def _share(leaked: NDArray[np.bool_]) -> float:
    return float(leaked.mean()) if len(leaked) else 0.0


def _blind_folds(samples: int, count: int, seed: int) -> Positions:
    fold = np.empty(samples, dtype=np.intp)
    for number, part in enumerate(np.array_split(np.random.default_rng(seed).permutation(samples), count)):
        fold[part] = number
    return fold
