"""Bars of the leakage report, as inline SVG: what grouping prevents, folds, sizes of groups, distributions."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from harness.data.audit.sides import fold_name

FOLDS = {
    "positive_groups": "positive groups",
    "groups": "groups",
    "samples": "images",
    "objects": "objects",
    "positive_px": "target px",
}


def counterfactual_bars(counterfactual: Mapping[str, Any]) -> str:
    """Return what a split by images would have leaked beside what this one does."""
    blind, real = counterfactual["crop_level"], counterfactual["this_split"]
    sentence = (
        f"A split by images, blind to groups, would have put {blind['group']:.1%} of the validation images "
        f"({blind['positive_group']:.1%} of those with an object) beside training images of the same source, "
        f"and {blind['photo']:.1%} beside images of the same photograph; this split: {real['group']:.1%}."
    )
    shares = [("split by images", blind["group"]), ("this split", real["group"])]
    rows = "".join(
        f'<tr><td class="narrow">{name}</td><td>{bar(f"{name}: {share:.1%} leaked", share, "leak")}</td>'
        f'<td class="number">{share:.1%}</td></tr>'
        for name, share in shares
    )
    note = f"Mean of {blind['repeats']} shuffles into the same number of folds."
    return (
        f"<section><h2>What grouping prevents</h2><p>{escape(sentence)}</p>"
        f'<table class="bars">{rows}</table><p class="soft">{note}</p></section>'
    )


def fold_bars(folds: Sequence[Mapping[str, Any]], notes: Iterable[str]) -> str:
    """Return a table of folds, each number with its bar, as long as its share of the largest."""
    largest = {name: max(1, *(row[name] for row in folds)) for name in FOLDS}
    rows = []
    for row in folds:
        name, kind = fold_name(row["fold"]), "out" if row["fold"] < 0 else "bar"
        cells = "".join(
            f"<td>{row[key]:,}{bar(f'{name}: {row[key]:,} {label}', row[key] / largest[key], kind)}</td>"
            for key, label in FOLDS.items()
        )
        rows.append(
            f'<tr><td class="narrow">{name}</td>{cells}<td class="number">{row["coverage"]:.3%}</td></tr>'
        )
    top = heads(["Part", *(label.capitalize() for label in FOLDS.values())], ["Coverage"])
    said = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f'<section><h2>Folds</h2><div class="scroll"><table>{top}{"".join(rows)}</table></div>'
        f"{f'<ul>{said}</ul>' if said else ''}</section>"
    )


def group_bars(sizes: Mapping[str, Any]) -> str:
    """Return how many groups have how many images, and the largest of them."""
    largest = sizes["largest"]
    rows = ""
    for row in largest:
        label, share = f"{row['group']}: {row['images']:,} images", row["images"] / largest[0]["images"]
        rows += (
            f'<tr><td class="name">{escape(row["group"])}</td><td>{row["images"]:,}{bar(label, share, "bar")}</td>'
            f'<td>{row["with an object"]:,}</td><td class="narrow">{row["fold"]}</td></tr>'
        )
    top = heads(["Largest groups", "Images", "With an object", "Part"], [])
    named = f'<div class="scroll"><table>{top}{rows}</table></div>' if rows else ""
    return f"<section><h2>Sizes of groups</h2>{distribution(sizes['bars'])}{named}</section>"


def distribution(bars: Sequence[Mapping[str, Any]]) -> str:
    """Return a bar for each label, as long as its count; of the two keys of a bar the second names what is counted."""
    if not bars:
        return ""
    of = list(bars[0])[1]
    most = max(1, *(one[of] for one in bars), 1)
    rows = ""
    for one in bars:
        label = f"{one['label']}: {one[of]:,} {of}"
        rows += (
            f'<tr><td class="narrow">{escape(one["label"])}</td><td>{bar(label, one[of] / most, "bar")}</td>'
            f'<td class="number">{one[of]:,}</td></tr>'
        )
    return f'<table class="bars">{heads(["", ""], [of.capitalize()])}{rows}</table>'


def heads(texts: Iterable[str], numbers: Iterable[str]) -> str:
    """Return a row of headings, those over numbers to the right."""
    kinds = [("", text) for text in texts] + [(' class="number"', text) for text in numbers]
    cells = [f'<th scope="col"{kind}>{escape(text)}</th>' if text else "<td></td>" for kind, text in kinds]
    return f'<tr class="heads">{"".join(cells)}</tr>'


def bar(label: str, share: float, kind: str) -> str:
    """Return a bar of `share` in [0, 1] of its track, which a screen reader calls `label`."""
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="100%" height="8" preserveAspectRatio="none" '
        f'viewBox="0 0 100 8"><title>{escape(label)}</title><rect class="track" width="100" height="8"/>'
        f'<rect class="{kind}" width="{100 * share:.2f}" height="8"/></svg>'
    )
