"""The text of a study file: complete, commented, with what each choice was made from."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from harness.begin.advice import Advice
from harness.begin.budget import Budget
from harness.begin.sizing import USUAL_SIZE, Sizes
from harness.begin.weigh import Weighed
from harness.config import Choice

WIDTH = 110
FOLDS = 5  # as a study has them that says nothing
SMALL_LR = 1e-3  # at 4e-3 a small network predicted all background on tiles of many textures (docs/new.md)
SMALL_NETWORK = {"encoder": "tu-test_efficientnet.r160_in1k", "decoder_channels": [64, 32, 16, 16, 8]}


class Facts(NamedTuple):
    """All that a study file is written from."""

    name: str
    command: str  # that wrote it
    check: str  # the command of the next step
    dataset: Choice
    masks: Mapping[str, int]
    masks_why: str
    white: int | None
    counts: str  # pictures, objects and coverage, in words
    rules: Sequence[Weighed]  # the one that is taken first; a data set's own groups alone where it has them
    own_groups: bool
    sizes: Sizes
    advice: Advice
    folds: int
    epochs: int
    profile: str  # that a trial was timed with
    budget: Budget | None = None


def study_text(facts: Facts) -> str:
    """Return the study file."""
    parts = (_head(facts), _data(facts), _model(facts), _search(facts), _profiles(facts))
    return "\n".join("\n".join(lines) + "\n" for lines in parts)


def flow(value: Any) -> str:
    """Return a value in YAML's flow style, in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return text.strip().removesuffix("\n...").strip()


def written(choice: Choice) -> str:
    """Return a choice as a study file has it, in one line."""
    return flow({choice.name: choice.settings}) if choice.settings else choice.name


def told(rule: Weighed) -> str:
    """Return what the pictures say of a rule."""
    cut = f"cuts {rule.cut} of {rule.pairs} verified pairs" if rule.pairs else "no verified pair to cut"
    joined = f", {rule.joined} once these have joined theirs" if rule.cut else ""
    usable = "" if rule.is_usable else "; too few or too large for five folds"
    return f"{rule.rule.words}: {rule.groups} groups, {cut}{joined}{usable}"


def _head(facts: Facts) -> list[str]:
    return [
        *_comment(f"{facts.check}   what leaks, which labels are odd; then run instead of check"),
        *_comment(f"Written by: {facts.command}"),
        *_comment(facts.counts),
        f"name: {flow(facts.name)}",
        "seed: 17",
        "profile: auto # gpu where CUDA is there, else cpu",
    ]


def _data(facts: Facts) -> list[str]:
    sizes = facts.sizes
    lines = ["data:", "  dataset:", f"    {facts.dataset.name}:"]
    lines += [f"      {name}: {flow(value)}" for name, value in facts.dataset.settings.items()]
    lines += _comment(facts.masks_why, indent=2)
    lines += [f"  masks: {flow(dict(facts.masks))}"]
    if facts.white is not None:
        lines += [f"  white: {facts.white} # stored value shown as white; the files hold no larger one"]
    lines += _group(facts)
    small = f"one object in twenty has {sizes.smallest} px of area or less in the files (specks of 1 to 3 px left out)"
    if sizes.size is None:
        why = f"Pictures keep their size (longest side {sizes.longest} px): {small}"
        if sizes.longest > USUAL_SIZE and sizes.lost >= 0.005:
            why += f"; at {USUAL_SIZE} px {sizes.lost:.0%} of the objects would be lost"
        return [*lines, *_comment(f"{why}.", indent=2)]
    why = f"{small}, {sizes.kept} px at this size (longest side, {sizes.longest} px at most in the files)."
    return [*lines, *_comment(f"{why[0].upper()}{why[1:]}", indent=2), f"  size: {sizes.size}"]


def _group(facts: Facts) -> list[str]:
    if facts.own_groups:
        return [
            *_comment(f"Which pictures show one thing, {told(facts.rules[0])}.", indent=2),
            "  groups: repair # join groups whose pictures show one thing; trust takes them as they are",
        ]
    chosen, *others = facts.rules
    lines = _comment(f"Which pictures show one thing: {told(chosen)}.", indent=2)
    lines += [f"  group: {written(chosen.rule.choice)}"]
    if others:
        lines += _comment("Other rules:", indent=2)
        lines += [line for one in others for line in _other(one)]
    return [
        *lines,
        "  groups: repair # join groups whose pictures show one thing; trust takes them as they are",
    ]


def _other(one: Weighed) -> Iterable[str]:
    yield f"  #   group: {written(one.rule.choice)}"
    yield from _comment(told(one), indent=2, hang=4)


def _model(facts: Facts) -> list[str]:
    lines = ["network: unet"]
    for sentence in facts.advice.why:
        lines += _comment(f"{sentence[0].upper()}{sentence[1:]}.")
    if facts.folds < FOLDS:
        why = f"as few groups show a target; {FOLDS} once there are more"
        lines = [f"folds: {{count: {facts.folds}}} # {why}", *lines]
    return [*lines, "loss: dice_bce", "augment: {recipe: reference, strength: 0.5}"]


def _search(facts: Facts) -> list[str]:
    lines = [
        "search:",
        "  window: 4 # trials that may be open at a time",
        "  pruner: {median: {after_trials: 8, after_folds: 2}}",
        "  baselines: # the first trials; everything else as above",
        *(f"    - {flow(baseline)}" for baseline in facts.advice.baselines),
        "  loss:",
        "    choice:",
    ]
    lines += [f"      {name}: {flow(settings)}" for name, settings in facts.advice.losses.items()]
    return [*lines, "  augment.strength: [0, 1]", "  train.lr: {log: [1.0e-4, 1.0e-2]}"]


def _profiles(facts: Facts) -> list[str]:
    sizes, advice = facts.sizes, facts.advice
    common = {"positive_crops": advice.positive_crops} | ({"tile": sizes.tile} if sizes.tile else {})
    small = {"epochs": facts.epochs, "batch_size": 8, "lr": SMALL_LR, "crop": sizes.crop, "average": 0.98}
    large = {"epochs": 60, "batch_size": 16, "lr": 3e-4, "crop": _largest_crop(sizes), "precision": "bf16"}
    large |= {"channels_last": True, "average": 0.999, "loader_workers": 8}
    of_cpu = small | {"validate_every": max(1, facts.epochs // 2)} | common
    lines = [
        "profiles:",
        "  cpu:",
        "    description: A small network for CPU cores; the profile `gpu` gives the numbers.",
    ]
    lines += _small_size(sizes)
    lines += ["    network:", f"      unet: {flow(SMALL_NETWORK)}", f"    train: {flow(of_cpu)}"]
    lines += _trials(facts, "cpu")
    lines += ["  gpu:", "    description: U-Net with a pretrained ResNet-101."]
    lines += ["    network:", "      unet: {encoder: resnet101, weights: imagenet}"]
    return [*lines, f"    train: {flow(large | common)}", *_trials(facts, "gpu")]


def _small_size(sizes: Sizes) -> list[str]:
    """Return the size of a CPU, where it is another one."""
    if sizes.cpu_size == sizes.size:
        return []
    why = f"A small network sees more of a picture this way; {sizes.cpu_lost:.0%} of the objects have under 4 px there."
    return [*_comment(why, indent=4), f"    data: {{size: {sizes.cpu_size}}}"]


def _trials(facts: Facts, profile: str) -> list[str]:
    trials, look = (30, 3) if profile == "gpu" else (8, 2)
    budget = facts.budget if facts.profile == profile else None
    if budget is None:
        return [f"    search: {flow({'trials': trials, 'second_look': look})} # not timed here"]
    return [
        *_comment(f"{costs(budget)} ({budget.workers} fold runs at a time; before pruning).", indent=4),
        f"    search: {flow({'trials': budget.trials, 'second_look': budget.look})}",
    ]


def costs(budget: Budget) -> str:
    """Return what a search takes."""
    once = f"{budget.trials} trials, and the best {budget.look} once more with fresh seeds and folds"
    return f"{once}, are about {in_words(budget.whole)} here, {in_words(budget.trial)} each"


def in_words(seconds: float) -> str:
    """Return a time as somebody says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _largest_crop(sizes: Sizes) -> int:
    shown = sizes.longest if sizes.size is None else sizes.size
    return max(32, min(512, -(-shown // 32) * 32))


def _comment(sentence: str, indent: int = 0, hang: int = 0) -> list[str]:
    if not sentence:
        return []
    lead = f"{' ' * indent}# {' ' * hang}"
    sentence = "".join(
        letter if letter.isprintable() else "?" for letter in sentence
    )  # YAML breaks lines at some
    return textwrap.wrap(sentence, WIDTH, initial_indent=lead, subsequent_indent=lead, break_on_hyphens=False)
