"""Check of what resizing to `data.size` does to objects: none may vanish from the masks that networks learn from."""

import pandas as pd

from harness.data.audit.finding import Finding, more, passed, warned
from harness.data.audit.sides import Assignment
from harness.data.measures import TINY

HEAD = ("M1", "Objects survive resizing")
MANY = 0.1  # share of all objects that may be tiny


def vanishing_objects(samples: pd.DataFrame, split: Assignment) -> Finding:
    """M1: every object keeps a pixel at `data.size`, and few have less than four there."""
    objects, lost, tiny = (int(samples[name].sum()) for name in ("objects", "lost", "tiny"))
    few = f"{tiny:,} of {objects:,} objects have fewer than {TINY} px"
    if not lost and tiny <= MANY * objects:
        return passed(*HEAD, "warn", f"Each of {objects:,} objects keeps a pixel as it is trained on; {few}.")
    hit = (samples["lost" if lost else "tiny"] > 0).to_numpy()
    rest = more(int(hit.sum()) - 1, "image")
    first = samples["sample"].astype(str)[hit].min()
    if lost:
        text = (
            f"data.size {samples['shown'].max()} leaves {lost:,} of {objects:,} objects without a pixel, the first "
            f"in {first!r}{rest}; {_remedy(samples)}; at {samples['shown'].max()} px {few}."
        )
    else:
        small = (samples["shown"] < samples[["height", "width"]].max(axis=1)).to_numpy()[hit].any()
        remedy = "; raise data.size if they are" if small else "; they are as small in the files themselves"
        text = f"{few}, the first in {first!r}{rest}; look whether they are meant{remedy}."
    columns = {"lost": "lost", "tiny": "tiny", "objects": "objects", "smallest px": "smallest_px"}
    worse = samples["lost"].to_numpy() + samples["tiny"].to_numpy() / (1 + tiny)
    return warned(HEAD, samples, hit, text, columns | {"kept from data.size": "keeps_at"}, worse)


def _remedy(samples: pd.DataFrame) -> str:
    """Return the size that keeps all objects; at their full size nothing is resized."""
    losing = samples[samples["lost"] > 0]
    return f"data.size {losing['keeps_at'].max()} keeps all"
