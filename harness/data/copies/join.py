"""Join the groups that sure pairs connect, and refuse to where weak links would make one blob of many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from harness.data.copies.find import Pair

SMALL_BLOB = 12  # pictures; up to here a joined group is never taken for a runaway
LARGE_SHARE = 0.05  # of all pictures; above it, links must be strong
LARGEST_SHARE = 1 / 3  # of all pictures; above it, nothing is joined whatever the links
STRONG = 2.0  # times the key points that are asked for
STRONG_AGREEMENT = 0.8

Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Joined:
    """`names` maps a declared group to what it is joined to, where that is another name.

    `runaways` are chains of positions, each neighbor a pair or a member of the same group, through sets of pictures
    that would have become one group and were left as they are; where only weak links hold one together, its chain
    goes over such a link.
    """

    names: Mapping[str, str]
    runaways: tuple[tuple[int, ...], ...] = ()


def join_groups(groups: Sequence[str], pairs: Sequence[Pair], *, threshold: int) -> Joined:
    """Return which declared groups (one a picture) the sure pairs join, each under the least of their names."""
    codes, names = _codes(groups)
    sure = [pair for pair in pairs if pair.sure and codes[pair.first] != codes[pair.second]]
    joined = _components(codes, len(names), sure)
    held = _components(codes, len(names), [pair for pair in sure if _is_strong(pair, threshold)])
    refused = _runaways(codes, joined, held)
    sure.sort(key=lambda pair: _is_strong(pair, threshold), reverse=True)
    chains = tuple(_chain(codes, sure, held, np.flatnonzero(joined == label)) for label in refused)
    mapping: dict[str, str] = {}
    for label in range(joined.max(initial=-1) + 1):
        members = sorted(names[joined == label])
        if label not in refused:
            mapping |= {str(name): str(members[0]) for name in members[1:]}
    return Joined(mapping, chains)


def _codes(groups: Sequence[str]) -> tuple[Labels, NDArray[np.object_]]:
    names, codes = np.unique(np.asarray(groups, object), return_inverse=True)
    return codes.astype(np.intp), names


def _components(codes: Labels, count: int, pairs: Sequence[Pair]) -> Labels:
    """Return the component (G,) of each group."""
    ends = np.array([(codes[p.first], codes[p.second]) for p in pairs], np.intp).reshape(-1, 2)
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.intp)


def _is_strong(pair: Pair, threshold: int) -> bool:
    found = pair.alignment
    many = found.inliers >= STRONG * threshold or found.inliers == 0  # compared by whole textures
    return many and found.agreement >= STRONG_AGREEMENT


def _runaways(codes: Labels, joined: Labels, held: Labels) -> list[int]:
    """Return the components that are too large for what holds them together."""
    members = np.bincount(codes)
    largest_member = np.zeros(joined.max(initial=-1) + 1, np.intp)
    np.maximum.at(largest_member, joined, members)
    sizes = np.bincount(joined[codes]) - largest_member + 1  # what joining adds to the largest declared group
    several = np.bincount(joined) > 1
    parts = np.unique(np.stack([joined, held]), axis=1)[0]  # each part that strong links hold, once
    falls_apart = np.bincount(parts, minlength=len(sizes)) > 1
    large = sizes > max(SMALL_BLOB, LARGE_SHARE * len(codes))
    largest = sizes > max(SMALL_BLOB, LARGEST_SHARE * len(codes))
    return [int(c) for c in np.flatnonzero(several & (large & falls_apart | largest))]


@dataclass(frozen=True)
class _Ways:
    """Shortest ways from one group to all that pairs lead to: `reached` from near to far, each from `before`."""

    reached: Labels
    before: Labels
    links: Mapping[tuple[int, int], tuple[int, int]]  # two groups -> a picture of each

    def to(self, group: int) -> tuple[int, ...]:
        """Return the pictures on the way to a group, as positions."""
        way = [group]
        while self.before[way[-1]] >= 0:
            way.append(int(self.before[way[-1]]))
        ends = [end for link in pairwise(reversed(way)) for end in self.links[link]]
        return tuple(end for end, _ in groupby(ends))


def _ways(codes: Labels, count: int, pairs: Sequence[Pair], start: int) -> _Ways:
    """Return the ways from a group; of several pairs between two groups the first is shown."""
    links: dict[tuple[int, int], tuple[int, int]] = {}
    for pair in pairs:
        a, b = int(codes[pair.first]), int(codes[pair.second])
        links.setdefault((a, b), (pair.first, pair.second))
        links.setdefault((b, a), (pair.second, pair.first))
    rows, columns = np.array(list(links), np.intp).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count)).tocsr()
    reached, before = breadth_first_order(graph, start, directed=False)
    return _Ways(reached, before, links)


def _chain(codes: Labels, pairs: Sequence[Pair], held: Labels, groups: Labels) -> tuple[int, ...]:
    """Return a shortest way through joined groups, from that of their first picture to the one farthest from it.

    Where strong links leave some groups apart from the first, it ends at the farthest of those.
    """
    start = int(codes[np.flatnonzero(np.isin(codes, groups))[0]])
    ways = _ways(codes, len(held), pairs, start)
    apart = ways.reached[held[ways.reached] != held[start]]
    return ways.to(int(apart[-1] if len(apart) else ways.reached[-1]))


def chain_between(groups: Sequence[str], pairs: Sequence[Pair], ends: tuple[str, str]) -> tuple[int, ...]:
    """Return a shortest way over sure pairs between two groups that they join, as positions; see `Joined`."""
    codes, names = _codes(groups)
    start, end = (int(np.searchsorted(names, name)) for name in ends)
    sure = [pair for pair in pairs if pair.sure and codes[pair.first] != codes[pair.second]]
    return _ways(codes, len(names), sure, start).to(end)
