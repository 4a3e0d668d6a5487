from itertools import pairwise

import pytest

from harness.data.copies.join import LARGE_SHARE, LARGEST_SHARE, SMALL_BLOB, chain_between, join_groups
from tests.data.copies.conftest import own_groups, pair

WEAK = {"inliers": 8, "agreement": 0.7}


def chained(positions, **strength):
    return [pair(a, b, **strength) for a, b in pairwise(positions)]


def are_neighbors(chain, groups, pairs):
    """Tell whether each two that follow each other in a chain are a pair or of one group."""
    linked = {(p.first, p.second) for p in pairs} | {(p.second, p.first) for p in pairs}
    return all((a, b) in linked or groups[a] == groups[b] for a, b in pairwise(chain))


def test_nothing_is_joined_where_nothing_was_found():
    assert join_groups([], [], threshold=7) == join_groups(own_groups(30), [], threshold=7)
    found = join_groups(own_groups(30), [], threshold=7)
    assert (found.names, found.runaways) == ({}, ())


def test_a_chain_of_pairs_joins_under_the_least_name():
    groups = own_groups(60)
    found = join_groups(groups, [pair(5, 9), pair(3, 9), pair(20, 21)], threshold=7)
    assert found.names == {"g005": "g003", "g009": "g003", "g021": "g020"}
    assert found.runaways == ()


def test_groups_of_several_pictures_are_joined_whole_and_pairs_within_one_change_nothing():
    groups = ["b", "b", "a", "a", "c", "c"]
    assert join_groups(groups, [pair(0, 1), pair(4, 5)], threshold=7).names == {}
    assert join_groups(groups, [pair(1, 2)], threshold=7).names == {"b": "a"}
    assert join_groups(groups, [pair(1, 2), pair(3, 4)], threshold=7).names == {"b": "a", "c": "a"}


def test_a_pair_that_is_not_sure_joins_nothing():
    assert join_groups(own_groups(30), [pair(0, 1, sure=False)], threshold=7).names == {}


@pytest.mark.parametrize("bridge", [{"inliers": 8}, {"agreement": 0.7}], ids=["few points", "low agreement"])
def test_a_weak_bridge_between_two_large_groups_is_a_runaway_and_joins_nothing_there(bridge):
    groups = own_groups(100)
    pairs = [*chained(range(10)), *chained(range(10, 20)), pair(4, 14, **bridge), pair(50, 51)]
    found = join_groups(groups, pairs, threshold=7)
    assert found.names == {"g051": "g050"}, "what is elsewhere is joined"
    (chain,) = found.runaways
    assert are_neighbors(chain, groups, pairs)
    assert {4, 14} <= set(chain), "the chain goes over the bridge"
    assert len(chain) == len(set(chain)) == 11  # from 0 over 4 and 14 to 19


def test_the_same_bridge_joins_where_it_is_strong():
    pairs = [*chained(range(10)), *chained(range(10, 20)), pair(4, 14, inliers=14, agreement=0.8)]
    found = join_groups(own_groups(100), pairs, threshold=7)
    assert found.runaways == ()
    assert set(found.names.values()) == {"g000"}
    assert len(found.names) == 19


def test_pairs_by_whole_textures_have_no_key_points_and_are_strong_by_their_agreement():
    whole, weak = ([pair(a, a + 1, inliers=0, agreement=level) for a in range(19)] for level in (0.95, 0.7))
    assert join_groups(own_groups(100), whole, threshold=7).runaways == ()
    assert len(join_groups(own_groups(100), weak, threshold=7).runaways) == 1


def test_the_chain_goes_through_declared_groups_too():
    groups = [f"g{number // 4:03}" for number in range(200)]
    pairs = [pair(4 * g + 3, 4 * g + 4, **WEAK) for g in range(5)]
    found = join_groups(groups, pairs, threshold=7)
    (chain,) = found.runaways
    assert found.names == {}
    assert are_neighbors(chain, groups, pairs)
    assert {groups[i] for i in chain} == {f"g{g:03}" for g in range(6)}


def test_the_chain_leaves_a_declared_group_however_large_it_is():
    groups = ["all"] * 50 + own_groups(60)
    pairs = chained([0, *range(50, 70)], **WEAK)
    (chain,) = join_groups(groups, pairs, threshold=7).runaways
    assert chain == (0, *range(50, 70))


def test_the_chain_goes_over_the_weak_link_though_strong_ones_reach_farther():
    pairs = [*chained(range(20)), pair(0, 50, **WEAK), *chained(range(50, 53))]
    (chain,) = join_groups(own_groups(200), pairs, threshold=7).runaways
    assert chain == (0, 50, 51, 52)


def test_of_several_pairs_between_two_groups_the_chain_shows_a_strong_one():
    groups = ["a", "a", "b", "b", *own_groups(196)]
    pairs = [pair(0, 2, **WEAK), pair(1, 3), *chained([3, *range(4, 18)], **WEAK)]
    (chain,) = join_groups(groups, pairs, threshold=7).runaways
    assert chain == (1, 3, *range(4, 18))


def test_more_than_a_third_of_all_is_a_runaway_however_strong_its_links():
    most = int(60 * LARGEST_SHARE)
    assert join_groups(own_groups(60), chained(range(most)), threshold=7).runaways == ()
    found = join_groups(own_groups(60), chained(range(most + 1)), threshold=7)
    assert found.names == {}
    assert found.runaways == (tuple(range(most + 1)),)


def test_small_sets_are_never_runaways():
    few = join_groups(own_groups(SMALL_BLOB), chained(range(SMALL_BLOB), **WEAK), threshold=7)
    assert (len(few.names), few.runaways) == (SMALL_BLOB - 1, ())
    one_more = join_groups(own_groups(SMALL_BLOB + 1), chained(range(SMALL_BLOB + 1), **WEAK), threshold=7)
    assert (one_more.names, len(one_more.runaways)) == ({}, 1)


def test_in_a_large_set_weak_links_may_join_a_small_share():
    groups = own_groups(1000)
    share = int(1000 * LARGE_SHARE)
    assert join_groups(groups, chained(range(share), **WEAK), threshold=7).runaways == ()
    assert len(join_groups(groups, chained(range(share + 1), **WEAK), threshold=7).runaways) == 1


def test_one_declared_group_that_is_most_of_the_set_is_no_runaway():
    groups = ["all"] * 50 + own_groups(10)
    assert join_groups(groups, [pair(50, 51)], threshold=7).runaways == ()
    assert join_groups(groups, [pair(50, 51)], threshold=7).names == {"g001": "g000"}


def test_several_runaways_are_told_apart():
    pairs = [*chained(range(20), **WEAK), *chained(range(40, 60), **WEAK)]
    found = join_groups(own_groups(200), pairs, threshold=7)
    assert found.runaways == (tuple(range(20)), tuple(range(40, 60)))


def test_the_chain_between_two_groups_is_the_shortest():
    groups = ["a", "b", "b", "c", "d", "e"]
    pairs = [pair(0, 1), pair(2, 3), pair(3, 5), *chained([0, 4, 5], sure=False), pair(1, 2)]
    assert chain_between(groups, pairs, ("a", "e")) == (0, 1, 2, 3, 5)
    assert chain_between(groups, pairs, ("c", "a")) == (3, 2, 1, 0)
