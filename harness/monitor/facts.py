"""What is other about new pictures without any statistics, and what of them could not be compared."""

from collections.abc import Iterator, Sequence

from harness.monitor.arrivals import Arrival
from harness.monitor.copies import Searched
from harness.monitor.reference import Reference


def plain_facts(
    reference: Reference, fresh: Sequence[Arrival], searched: Searched, *, compared: bool
) -> list[str]:
    """Return sentences; `compared` tells whether answers were."""
    said = [*_files(reference, fresh)]
    if missed := int((~searched.verifiable).sum()):
        said.append(
            f"in {missed} pictures too little stands out to recognize copies: copies of other than equal pixels may "
            "be missed there"
        )
    if not compared:
        said.append(
            "answers are not compared: too little is kept of what fold models said of single pictures"
        )
    return said


def _files(reference: Reference, fresh: Sequence[Arrival]) -> Iterator[str]:
    """Yield in what the files are other: sizes, unless those trained on have any, channels and formats."""
    known, of_all = reference.trained, f"of {len(fresh)}"
    sizes = set(zip(known["width"], known["height"], strict=True))
    other = [one for one in fresh if (one.width, one.height) not in sizes]
    if other and len(sizes) < len(known) / 2:
        yield (
            f"{len(other)} {of_all} have a size that no training picture has, such as {other[0].width} x "
            f"{other[0].height} px: sharpness, noise and texture are measured in px of the file"
        )
    channels = set(known["channels"])
    if colored := [one for one in fresh if one.channels not in channels]:
        yield f"{len(colored)} {of_all} have {_channels(colored[0])}, as no training picture has"
    endings = set(known["sample"].str.rpartition(".")[2].str.lower())
    stored = [one.path.suffix for one in fresh if one.path.suffix.lower().removeprefix(".") not in endings]
    if stored:
        yield f"{len(stored)} {of_all} are {stored[0]} files, training pictures {', '.join(sorted(endings))}"


def _channels(one: Arrival) -> str:
    return "color" if one.channels == 3 else "gray alone"
