"""Reading samples: the memory-mapped cache beside decoding and resizing the files again, in one run.

make bench
"""

import tempfile
import time
from pathlib import Path

from harness.config import Choice, Data
from harness.data.cache import build_cache
from harness.data.demo import write_demo
from harness.data.index import index_samples
from harness.data.manifest import read_manifest
from harness.data.pictures import fit, fit_mask, read_image, read_mask

ROUNDS = 5
SIZE = 96  # px


def main() -> None:
    """Print seconds for one pass over the built-in data set, and the ratio."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "demo"
        write_demo(root)
        data = Data(dataset=Choice(name="instances", settings={"root": str(root)}), size=SIZE)
        index = index_samples(data.dataset, base=root, cache=root)
        samples = read_manifest(index, data).samples
        cache = build_cache(samples, index.root, data, Path(temporary) / "cache")
        cached, decoded = [], []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for position in range(len(samples)):
                cache.image(position).sum(), cache.mask(position).sum()
            middle = time.perf_counter()
            for row in samples.itertuples():
                fit(read_image(root / str(row.sample)), SIZE).sum()
                fit_mask(read_mask(root / str(row.mask), data.masks), SIZE).sum()
            decoded.append(time.perf_counter() - middle)
            cached.append(middle - start)
    fast, slow = min(cached), min(decoded)
    print(
        f"{len(samples)} samples at {SIZE} px, best of {ROUNDS}: cache {fast:.3f} s, decoding again {slow:.3f} s"
    )
    print(f"the cache is {slow / fast:.1f} times as fast")


if __name__ == "__main__":
    main()
