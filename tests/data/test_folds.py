import time

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from harness.config import Folds
from harness.data.folds import HELD_OUT, make_split, summary, with_fresh_folds
from harness.errors import DataError, LeakageError


def table(groups, *, seed=0, largest=12, classes=3):
    """Draw a sample table of sources of 1 to `largest` images, 45 % of them with objects of very different sizes."""
    rng = np.random.default_rng(seed)
    return drawn(rng, rng.integers(1, largest + 1, groups), classes)


def small_set(seed):
    """Draw 8 to 24 sources of very different numbers of images."""
    rng = np.random.default_rng(seed)
    return drawn(rng, np.minimum(rng.geometric(1 / 8, rng.integers(8, 25)), 60), 1)


def drawn(rng, images, classes):
    source = np.repeat(np.arange(len(images)), images)
    here = (rng.random(len(images)) < 0.45)[source] & (rng.random(len(source)) < 0.5)
    return pd.DataFrame(
        {
            "sample": [f"{row}.png" for row in range(len(source))],
            "group": [f"source {number:05d}" for number in source],
            "class_id": [f"class {number % classes}" for number in source],
            "positive": here * (1 + rng.lognormal(4, 1.2, len(source)).astype(int)),
            "objects": (objects := here * rng.integers(1, 4, len(source))),
            "small": (small := rng.binomial(objects, 0.4)),
            "medium": (medium := rng.binomial(objects - small, 0.5)),
            "large": objects - small - medium,
            "valid": 64 * 64,
            "fold": pd.array([pd.NA] * len(source), dtype="Int64"),
        }
    )


def tiny(positive_groups, negative_groups, *, images=2):
    names = [f"p{i}" for i in range(positive_groups)] + [f"n{i}" for i in range(negative_groups)]
    frame = pd.DataFrame({"group": np.repeat(names, images), "class_id": "one", "valid": 100})
    frame["sample"] = [f"{i}.png" for i in range(len(frame))]
    frame["positive"] = frame["group"].str.startswith("p") * 9
    frame["objects"] = frame["small"] = frame["positive"] // 9
    frame[["medium", "large"]] = 0
    return frame


def members(folds):
    """Return the groups of each fold, whatever it is called."""
    of_fold = {}
    for group, fold in sorted(folds.items()):
        of_fold.setdefault(fold, []).append(group)
    return {tuple(names) for names in of_fold.values()}


def split_of(samples, *, seed=1, manifest="m", parent=None, **settings):
    return make_split(samples, Folds(**settings), manifest=manifest, seed=seed, parent=parent)


def spread(values):
    """Return (largest - smallest) / mean."""
    return (values.max() - values.min()) / values.mean()


def positive_groups(samples, fold):
    positive = samples["positive"].to_numpy() > 0
    return [samples["group"][positive & (fold == k)].nunique() for k in range(5)]


def of_splitter(splitter, samples):
    fold = np.empty(len(samples), dtype=int)
    parts = splitter.split(samples, samples["positive"] > 0, samples["group"])
    for number, (_, validation) in enumerate(parts):
        fold[validation] = number
    return fold


def refuse_a_move(samples, split):
    """Hold the split of shuffled rows, and a child with an image more and a new group, to the split."""
    assert split_of(samples.sample(frac=1, random_state=0), held_out=0) == split
    image = samples.tail(1).assign(sample="more.png", positive=500, objects=1, small=1)
    new = image.assign(sample="new.png", group="a new one")
    child = split_of(pd.concat([new, image, samples]), manifest="n", parent=split, held_out=0)
    assert {group: child.folds[group] for group in split.folds} == split.folds


@pytest.mark.filterwarnings("ignore:The least populated class", "ignore:Number of distinct groups")
def test_no_feasible_small_set_gets_an_empty_or_positive_less_fold_where_the_usual_splitters_fail():
    splitters = {"GroupKFold": GroupKFold(5), "StratifiedGroupKFold": StratifiedGroupKFold(5)}
    lacking, refused = dict.fromkeys(splitters, 0), 0
    for samples in map(small_set, range(300)):
        if samples.loc[samples["positive"] > 0, "group"].nunique() < 5:
            with pytest.raises(DataError, match="positive groups"):
                split_of(samples)
            refused += 1
            continue
        split = split_of(samples, held_out=0)
        ours = positive_groups(samples, split.of(samples))
        assert min(ours) > 0, "no fold without a positive group, so none empty"
        assert max(ours) - min(ours) <= 1
        refuse_a_move(samples, split)
        for name, splitter in splitters.items():
            lacking[name] += min(positive_groups(samples, of_splitter(splitter, samples))) == 0
    feasible = 300 - refused
    assert feasible > 200
    assert lacking["GroupKFold"] > 0.4 * feasible, "the sets must be hard, or this test shows nothing"
    assert lacking["StratifiedGroupKFold"] > 0.05 * feasible


@pytest.mark.parametrize("floor", [1, 2, 3])
def test_any_floor_that_can_be_kept_is_kept_in_small_sets(floor):
    for samples in map(small_set, range(300, 360)):
        positive = samples.loc[samples["positive"] > 0, "group"].nunique()
        if positive < 3 * floor:
            continue
        rows = summary(samples, split_of(samples, count=3, held_out=0, positive_floor=floor))
        assert rows["positive_groups"].min() >= floor
        assert rows["groups"].min() >= floor


def test_objects_of_each_size_are_spread_over_the_folds():
    samples = table(150, seed=3)
    fold = split_of(samples, held_out=0).of(samples)
    for kind in ("small", "medium", "large"):
        assert spread(np.bincount(fold, samples[kind])) < 0.25, kind


def test_large_objects_do_not_gather_in_one_fold():
    samples = tiny(20, 10)
    big = samples["group"].isin([f"p{n}" for n in range(5)]) & (samples["positive"] > 0)
    samples["large"], samples["small"] = big * samples["objects"], ~big * samples["objects"]
    fold = split_of(samples, held_out=0).of(samples)
    assert np.bincount(fold, samples["large"]).tolist() == [2] * 5


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_even_in_positive_groups_then_in_area_objects_and_samples(seed):
    samples = table(100, seed=seed)
    rows = summary(samples, split_of(samples, held_out=0))
    assert rows["positive_groups"].max() - rows["positive_groups"].min() <= 1
    assert spread(rows["positive_px"]) < 0.08
    assert spread(rows["objects"]) < 0.15
    assert spread(rows["samples"]) < 0.1
    assert spread(rows["groups"]) < 0.2


def test_one_source_with_almost_all_area_does_not_upset_the_positive_groups():
    samples = table(60)
    samples.loc[samples["group"] == samples["group"][samples["positive"].argmax()], "positive"] = 10**7
    counts = summary(samples, split_of(samples, held_out=0))["positive_groups"]
    assert counts.max() - counts.min() <= 1


def test_classes_are_spread_over_the_folds():
    samples = tiny(20, 20)
    samples["class_id"] = np.where(samples["group"].str.fullmatch("[pn][0-4]"), "rare", "common")
    split = split_of(samples, held_out=0)
    rare = samples[samples["class_id"] == "rare"].drop_duplicates("group")
    assert np.bincount(split.of(rare), minlength=5).tolist() == [2, 2, 2, 2, 2]


def test_where_classes_are_too_many_the_commonest_are_spread():
    samples = tiny(20, 20, images=4)
    rare = samples["group"].str.fullmatch("[pn][0-4]")
    alone = samples["group"].duplicated()  # all but the first image of a group have a class of their own
    samples["class_id"] = np.where(alone, samples["sample"], np.where(rare, "rare", "common"))
    split = split_of(samples, held_out=0)
    first = samples[rare & ~alone]
    assert np.bincount(split.of(first), minlength=5).tolist() == [2, 2, 2, 2, 2]


def test_thousands_of_classes_are_no_burden():
    samples = table(300)
    samples["class_id"] = samples["sample"]
    assert split_of(samples).count == 5


def test_the_order_of_rows_and_their_labels_do_not_matter():
    samples = table(70)
    first = split_of(samples)
    shuffled = samples.sample(frac=1, random_state=3)  # keeps the labels: they no longer are the positions
    assert split_of(shuffled) == first
    again = shuffled.set_index(pd.Index(["same"] * len(shuffled)))
    assert split_of(again) == first
    assert np.array_equal(first.of(again), first.of(shuffled))


def test_the_seed_decides_between_equal_groups_only():
    equal, unequal = tiny(20, 20), table(70)
    assert split_of(equal, seed=1).folds != split_of(equal, seed=2).folds
    assert summary(equal, split_of(equal, seed=1)).equals(summary(equal, split_of(equal, seed=2)))
    assert split_of(unequal, seed=1) == split_of(unequal, seed=1)


def test_a_hundred_thousand_samples_take_seconds():
    samples = table(20_000, largest=9)
    assert len(samples) > 95_000
    start = time.process_time()
    split_of(samples)
    assert time.process_time() - start < 20  # about 1.5 s on a free core


# Held-out groups


def test_held_out_groups_are_a_representative_fifth():
    samples = table(200)
    split = split_of(samples)
    rows = summary(samples, split).set_index("fold")
    share = rows.loc[HELD_OUT] / rows.sum()
    for column in ("groups", "positive_groups", "samples", "objects", "positive_px"):
        assert share[column] == pytest.approx(0.2, abs=0.02), column
    assert set(samples["group"].iloc[split.held_out(samples)]).isdisjoint(
        samples["group"].iloc[split.train(samples, 0)]
    )
    assert "are held out" in split.notes[0]


def test_too_few_positive_groups_hold_nothing_out_and_the_note_says_so_with_both_numbers():
    split = split_of(tiny(39, 10))
    assert HELD_OUT not in split.folds.values()
    assert split.notes[0] == "no groups are held out: 39 positive groups, and folds.held_out_from asks for 40"
    enough = split_of(tiny(40, 10))
    assert list(enough.folds.values()).count(HELD_OUT) == 8 + 2
    assert enough.notes[0] == "8 of 40 positive groups (20%) and 2 of 10 others are held out"


def test_held_out_zero_holds_nothing_out_and_says_so():
    split = split_of(tiny(60, 10), held_out=0)
    assert HELD_OUT not in split.folds.values()
    assert "folds.held_out is 0" in split.notes[0]


def test_at_least_the_wanted_positive_groups_are_held_out():
    split = split_of(tiny(40, 40), held_out=0.05)
    held_out = [group for group, fold in split.folds.items() if fold == HELD_OUT]
    assert sum(group.startswith("p") for group in held_out) == 8
    assert sum(group.startswith("n") for group in held_out) == 8


def test_holding_out_never_leaves_too_few_groups_for_the_folds():
    split = split_of(tiny(10, 10), held_out_from=10, held_out_positive=8)
    assert HELD_OUT not in split.folds.values()
    assert "8 of 10 positive groups would leave too few for 5 folds" in split.notes[0]


# What cannot be split


@pytest.mark.parametrize(
    ("samples", "settings", "words"),
    [
        (tiny(3, 1), {}, "4 groups and 5 folds; lower folds.count"),
        (
            tiny(4, 20),
            {},
            "4 positive groups .* and 5 folds of at least 1: lower folds.count to 4 or add data",
        ),
        (
            tiny(12, 20),
            {"positive_floor": 3},
            "12 positive groups .* and 5 folds of at least 3: lower folds.count to 4",
        ),
        (tiny(1, 20), {"positive_floor": 1}, "1 positive groups .*: two folds need 2"),
        (tiny(0, 20), {}, "0 positive groups"),
        (tiny(5, 5).head(0), {}, "there are none"),
    ],
)
def test_infeasible_folds_are_one_line_with_both_numbers(samples, settings, words):
    with pytest.raises(DataError, match=words) as caught:
        split_of(samples, **settings)
    assert "\n" not in str(caught.value)


def test_exactly_enough_positive_groups_give_each_fold_its_floor():
    samples = tiny(15, 3)
    assert summary(samples, split_of(samples, positive_floor=3))["positive_groups"].tolist() == [3] * 5


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_a_blank_group_is_an_error_and_no_row_is_lost(blank):
    samples = tiny(8, 8)
    samples["group"] = samples["group"].astype(object)
    samples.loc[3, "group"] = blank
    with pytest.raises(DataError, match="row 3 of 32 has no group"):
        split_of(samples)


# Given folds


def with_folds(samples, folds):
    return samples.assign(fold=pd.array([folds[group] for group in samples["group"]], dtype="Int64"))


def by_turns(samples, count=5):
    return {group: number % count for number, group in enumerate(samples["group"].unique())}


def test_given_folds_are_used_as_given():
    samples = tiny(12, 6)
    folds = by_turns(samples) | {"p11": HELD_OUT}
    split = split_of(with_folds(samples, folds))
    assert split.folds == folds
    assert "as given in the column fold" in split.notes[0]
    assert "1 held-out" in split.notes[0]


def test_a_given_fold_that_splits_a_group_is_a_leak_that_names_it():
    samples = tiny(12, 6)
    samples = with_folds(samples, by_turns(samples))
    samples.loc[[5, 9], "fold"] = [0, 1]
    with pytest.raises(LeakageError) as caught:
        split_of(samples)
    assert str(caught.value) == (
        "column fold: group 'p2' is in fold 0 (1 image) and fold 2 (1 image); "
        "put the group whole into one fold (1 more groups are split too)"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f | {"p1": None}, "2 of 36 rows have none, the first is row 2"),
        (lambda f: {g: k + 1 for g, k in f.items()}, r"holds the folds \[1, 2, 3, 4, 5\]"),
        (
            lambda f: {g: min(k, 3) for g, k in f.items()},
            r"holds the folds \[0, 1, 2, 3\], and folds.count is 5",
        ),
        (lambda f: f | {"p1": 7}, r"holds the folds \[0, 1, 2, 3, 4, 7\]"),
        (lambda f: f | {"p1": -2}, r"holds the folds \[-2, 0"),
        (lambda f: f | {g: 0 for g in f if g[0] == "p"}, "fold 1 has 0 positive groups among 1"),
        (lambda f: f | {"n0": HELD_OUT}, "held out has 0 positive groups among 1"),
    ],
)
def test_given_folds_that_cannot_be_used_are_one_line(change, words):
    samples = tiny(12, 6)
    with pytest.raises(DataError, match=words) as caught:
        split_of(with_folds(samples, change(by_turns(samples))))
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, LeakageError)


# Child splits


def test_one_image_more_moves_nobody():
    samples = table(80)
    parent = split_of(samples)
    for group in samples["group"].unique()[:10]:
        image = samples[samples["group"] == group].tail(1).assign(sample="new.png", positive=400, objects=2)
        more = pd.concat([samples, image])
        child = split_of(more, manifest="n", parent=parent)
        assert child.folds == parent.folds
        assert child.parent == parent.id
        assert child.id != parent.id


def test_new_groups_are_placed_evenly_and_old_ones_stay():
    samples = table(200, seed=4)
    old = samples[samples["group"] < "source 00100"]
    parent = split_of(old)
    child = split_of(samples, manifest="n", parent=parent)
    assert {group: child.folds[group] for group in parent.folds} == parent.folds
    rows = summary(samples, child).set_index("fold")
    folds = rows.drop(HELD_OUT)
    assert folds["positive_groups"].max() - folds["positive_groups"].min() <= 1
    assert spread(folds["positive_px"]) < 0.1
    assert rows.loc[HELD_OUT, "positive_groups"] / rows["positive_groups"].sum() == pytest.approx(
        0.2, abs=0.02
    )
    assert f"child of split {parent.id}: its 100 groups keep their folds, 100 groups are new" in child.notes


def test_groups_that_left_the_data_keep_their_fold_for_when_they_return():
    samples = tiny(12, 12)
    parent = split_of(samples)
    child = split_of(samples[samples["group"] != "n3"], manifest="n", parent=parent)
    assert child.folds == parent.folds


def test_a_child_that_grows_past_the_bar_holds_out_new_groups_only():
    samples = tiny(60, 10)
    parent = split_of(
        samples[samples["group"].str.fullmatch("p[0-3]?[0-9]|n.*") & (samples["group"] != "p39")]
    )
    assert HELD_OUT not in parent.folds.values()
    child = split_of(samples, manifest="n", parent=parent)
    held_out = {group for group, fold in child.folds.items() if fold == HELD_OUT}
    assert len(held_out) == 12
    assert not held_out & set(parent.folds)


def test_a_child_with_too_few_new_groups_holds_none_out_and_says_why():
    samples = tiny(43, 10)
    parent = split_of(samples[samples["group"].str.fullmatch("p[0-2]?[0-9]|p3[0-8]|n.*")])
    child = split_of(samples, manifest="n", parent=parent)
    assert HELD_OUT not in child.folds.values()
    assert child.notes[0] == "no groups are held out: 4 new positive groups could be, at least 8 are wanted"


def test_held_out_groups_of_a_parent_stay_held_out_when_the_setting_goes():
    samples = tiny(40, 10)
    parent = split_of(samples)
    child = split_of(samples, manifest="n", parent=parent, held_out=0)
    assert child.folds == parent.folds
    assert child.notes[0] == "10 groups are held out as before: folds.held_out is 0"


def test_another_fold_count_than_the_parents_is_an_error():
    samples = tiny(12, 12)
    parent = split_of(samples)
    with pytest.raises(DataError, match=f"4, and the parent split {parent.id} has count 5"):
        split_of(samples, count=4, parent=parent)


def test_given_folds_hold_whatever_the_parent_has():
    samples = tiny(12, 12)
    parent = split_of(with_folds(samples, by_turns(samples)))
    moved = with_folds(samples, by_turns(samples) | {"p1": 3})
    split = split_of(moved, parent=parent)
    assert split.folds["p1"] == 3
    assert split.parent is None
    assert split.id != parent.id


# Leave one group out


def test_each_positive_group_is_a_fold_of_its_own_and_the_others_are_spread():
    samples = tiny(7, 15)
    split = split_of(samples, scheme="leave_one_group_out")
    rows = summary(samples, split)
    assert split.count == 7
    assert rows["positive_groups"].tolist() == [1] * 7
    assert rows["groups"].min() >= 3
    assert rows["groups"].sum() == 22
    assert "7 folds, one for each positive group that is not held out" in split.notes[1]


def test_held_out_groups_get_no_fold_when_one_group_is_left_out():
    samples = tiny(30, 10)
    split = split_of(samples, scheme="leave_one_group_out", held_out_from=20)
    assert split.count == 22
    assert sorted(set(split.folds.values())) == [HELD_OUT, *range(22)]


def test_new_positive_groups_get_new_folds_and_nobody_moves():
    samples = tiny(9, 8)
    parent = split_of(samples[~samples["group"].isin(["p3", "p8", "n2"])], scheme="leave_one_group_out")
    child = split_of(samples, manifest="n", parent=parent, scheme="leave_one_group_out")
    assert {group: child.folds[group] for group in parent.folds} == parent.folds
    assert (parent.count, child.count) == (7, 9)
    assert {child.folds["p3"], child.folds["p8"]} == {7, 8}


def test_leaving_one_group_out_does_not_depend_on_the_order_of_rows():
    samples = table(30)
    split = split_of(samples, scheme="leave_one_group_out")
    assert split_of(samples.sample(frac=1, random_state=1), scheme="leave_one_group_out") == split


@pytest.mark.parametrize(
    ("samples", "settings", "words"),
    [
        (
            tiny(31, 3),
            {},
            "one fold for each of 31 positive groups, 2 to 30 are possible; use groups or repeated",
        ),
        (tiny(1, 9), {}, "one fold for each of 1 positive groups"),
        (tiny(9, 9), {"positive_floor": 2}, "folds.positive_floor: 2, and leave_one_group_out"),
    ],
)
def test_what_cannot_be_left_out_is_one_line(samples, settings, words):
    with pytest.raises(DataError, match=words) as caught:
        split_of(samples, scheme="leave_one_group_out", **settings)
    assert "\n" not in str(caught.value)


# Repeated


def test_repeats_differ_are_each_balanced_and_hold_out_the_same_groups():
    samples = table(120)
    split = split_of(samples, scheme="repeated", repeats=3)
    assert split.count == 15
    held_out = [{g for g, f in folds.items() if f == HELD_OUT} for folds in split.assignments]
    assert held_out[0] == held_out[1] == held_out[2] != set()
    rows = summary(samples, split)
    assert rows["fold"].tolist() == [*range(15), HELD_OUT]
    for first in (0, 5, 10):
        repeat = rows.iloc[first : first + 5]
        assert repeat["positive_groups"].max() - repeat["positive_groups"].min() <= 1
        assert spread(repeat["positive_px"]) < 0.1
        assert spread(repeat["samples"]) < 0.15
    together = [
        {frozenset(g for g, f in folds.items() if f == k) for k in range(15)} for folds in split.assignments
    ]
    assert len(together[0] & together[1]) <= 2  # the empty set, and hardly a fold


def test_the_first_repeat_is_the_split_without_repeats():
    samples = table(60)
    assert split_of(samples, scheme="repeated", repeats=2).folds == split_of(samples).folds


def test_repeats_are_the_same_for_any_order_of_rows_and_children_move_nobody():
    samples = table(60)
    old = samples[samples["group"] < "source 00050"]
    settings = {"scheme": "repeated", "repeats": 3}
    parent = split_of(old, **settings)
    assert split_of(old.sample(frac=1, random_state=1), **settings) == parent
    child = split_of(samples, manifest="n", parent=parent, **settings)
    for before, now in zip(parent.assignments, child.assignments, strict=True):
        assert {group: now[group] for group in before} == before
        assert len(now) == 60


def test_each_row_is_validated_once_a_repeat_and_never_trains_its_own_fold():
    samples = table(40)
    split = split_of(samples, scheme="repeated", repeats=2, held_out=0)
    for first in (0, 5):
        rows = np.concatenate([split.validation(samples, fold) for fold in range(first, first + 5)])
        assert sorted(rows) == list(range(len(samples)))
    for fold in range(10):
        groups = [set(samples["group"].iloc[side(samples, fold)]) for side in (split.train, split.validation)]
        assert not groups[0] & groups[1]
        assert len(groups[0] | groups[1]) == 40


@pytest.mark.parametrize(("groups", "count"), [(9, 3), (9, 5), (12, 5)])
def test_a_few_groups_of_many_sizes_are_repeated_too_with_positive_groups_spread_evenly(groups, count):
    for seed in range(5):
        samples, rng = tiny(groups, 0, images=1), np.random.default_rng(seed)
        samples["positive"], samples["objects"] = rng.integers(20, 4000, groups), rng.integers(1, 20, groups)
        split = split_of(samples, scheme="repeated", repeats=5, count=count, held_out=0)
        for folds in split.assignments:
            positive = np.bincount([fold % count for fold in folds.values()], minlength=count)
            assert positive.max() - positive.min() <= 1
        assert len({frozenset(members(folds)) for folds in split.assignments}) == 5


def test_sets_too_small_for_different_repeats_are_one_line():
    with pytest.raises(
        DataError, match=r"folds\.repeats: 3, and 5 groups gave 1 different assignments to 5 folds"
    ):
        split_of(tiny(5, 0), scheme="repeated", repeats=3)


@pytest.mark.parametrize(
    "settings", [{"scheme": "leave_one_group_out"}, {"scheme": "repeated", "repeats": 2}]
)
def test_given_folds_fit_one_assignment_only(settings):
    samples = tiny(12, 6)
    with pytest.raises(DataError, match=r"column fold: gives one fold a group, and folds\.scheme is"):
        split_of(with_folds(samples, by_turns(samples)), **settings)


def test_a_child_of_another_scheme_is_an_error():
    samples = tiny(12, 12)
    parent = split_of(samples)
    with pytest.raises(
        DataError,
        match=f"folds.scheme: leave_one_group_out, and the parent split {parent.id} has scheme groups",
    ):
        split_of(samples, scheme="leave_one_group_out", parent=parent)


def fresh_of(samples, **settings):
    settings = Folds(held_out_from=10, held_out_positive=4, **settings)
    split = make_split(samples, settings, manifest="m", seed=1)
    return split, with_fresh_folds(split, samples, 1)


def test_fresh_folds_are_other_folds_of_the_same_groups_and_hold_out_the_same():
    samples = table(60)
    split, fresh = fresh_of(samples)
    assert fresh.assignments[0] == split.folds
    assert fresh.count == 10
    assert fresh.parent == split.id != fresh.id
    first, second = (fresh.of(samples, repeat) for repeat in (0, 1))
    assert ((first == HELD_OUT) == (second == HELD_OUT)).all()
    assert set(second) - {HELD_OUT} == set(range(5, 10))
    moved = (first != second - 5)[first != HELD_OUT]
    assert moved.mean() > 0.5
    assert with_fresh_folds(split, samples, 1).id == fresh.id
    for fold in range(5, 10):
        rows = fresh.validation(samples, fold)
        assert not set(samples["group"].iloc[rows]) & set(samples["group"].iloc[fresh.train(samples, fold)])


def test_fresh_folds_of_repeats_are_one_repeat_more_and_differ_from_all():
    _, fresh = fresh_of(table(60), scheme="repeated", repeats=2)
    assert fresh.count == 15
    parts = {frozenset(members(folds)) for folds in fresh.assignments}
    assert len(parts) == 3


def test_given_folds_and_groups_left_out_one_by_one_are_repeated_as_they_are_and_a_note_says_so():
    many = table(60)
    given = many.assign(fold=pd.factorize(many["group"])[0] % 5)
    for rows, settings in ((given, {}), (table(20), {"scheme": "leave_one_group_out"})):
        split, fresh = fresh_of(rows, **settings)
        each = split.count
        assert fresh.count == 2 * each
        assert {g: f if f == HELD_OUT else f + each for g, f in split.folds.items()} == fresh.assignments[1]
        assert "the same folds" in fresh.notes[-1]
