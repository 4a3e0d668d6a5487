"""The perceptual hash of imagededup on a folder of pictures, beside the audit; imagededup is installed by hand.

python -m benchmarks.hashes FOLDER OUT
"""

import json
import sys
from pathlib import Path

DISTANCE = 10  # bits of 64, imagededup's own default


def main(folder: Path, out: Path) -> None:
    """Write all pairs of near-duplicate file names as JSON."""
    from imagededup.methods import PHash  # an extra, absent as a rule

    method = PHash(verbose=False)
    hashes = method.encode_images(image_dir=str(folder), num_enc_workers=2)
    near = method.find_duplicates(encoding_map=hashes, max_distance_threshold=DISTANCE, num_dist_workers=2)
    pairs = {tuple(sorted((name, other))) for name, others in near.items() for other in others}
    out.write_text(json.dumps(sorted(pairs)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
