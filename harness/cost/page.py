"""The cost as one self-contained page: two scores, the interval of their difference, and why."""

from collections.abc import Iterable, Mapping
from typing import Any

from harness.cost.answer import COVERS, Answer, Inflation
from harness.data.audit.drawing import Figure
from harness.report.markup import document, listed, paragraph, section, table
from harness.report.plot import BLUE, FAINT, GRAY, ORANGE, Plot, axis, scripts, upright

HOW = (
    "The study's first baseline was trained twice on small settings: with folds of single pictures, as somebody deals "
    "them who does not know that several show one thing, and with folds of whole groups. Pictures, recipe, seeds and "
    "number of folds are the same; each picture was scored once, by the model of its fold that was not trained on it."
)
CHOSEN = (
    "Of each group the picture whose IoU gained most by the leak, the largest gains first: no typical ones."
)
COLORS = (ORANGE, BLUE)


def page(known: Mapping[str, Any], found: Answer, figures: Iterable[Figure]) -> str:
    """Return the page; `known` are the facts of the comparison as cost.json has them."""
    scores = [
        [score.split, f"{score.iou_mean:.4f} ± {score.iou_std:.4f}", f"{score.iou_pooled:.4f}"]
        for score in found.scores
    ]
    shown = "".join(figure.to_html() for figure in figures)
    return document(
        f"Cost of a leak: {known['name']}",
        f"<header><h1>{found.verdict}</h1>",
        paragraph(f"Inflation of the score of {known['name']}: {found.inflation.sentence}."),
        paragraph(COVERS, "soft") + "</header>",
        section("Two scores of the same recipe", _plots(found), _leak(known)),
        section(
            "In numbers",
            table(
                ("folds dealt as", "IoU, mean ± std of the folds", "pooled IoU"),
                scores,
                words=("folds dealt as",),
            ),
            table(("difference", "IoU"), _differences(found), words=("difference", "IoU"), prose=True),
        ),
        section(
            "Why: the same thing on both sides",
            paragraph(CHOSEN, "soft"),
            f'<div class="pictures">{shown}</div>',
        )
        if shown
        else "",
        section("How it was measured", paragraph(HOW), _settings(known)),
        scripts=scripts(),
    )


def _leak(known: Mapping[str, Any]) -> str:
    return paragraph(
        f"Split by pictures, {known['leaked']:.0%} of {known['pictures']:,} validated pictures stood beside training "
        "pictures of the same thing; split by groups, none did."
    )


def _settings(known: Mapping[str, Any]) -> str:
    facts = (
        f"{known['pictures']:,} pictures of {known['groups']:,} groups, {known['positive_groups']:,} of them with an "
        f"object; {known['folds']} folds each way; seed {known['seed']}; {known['seconds']:.0f} s of training."
    )
    capped = [f"{cap['what']}: {cap['study']} in the study, {cap['here']} here" for cap in known["caps"]]
    said = "Other than in the study:" if capped else "Nothing was other than in the study."
    return paragraph(facts) + paragraph(said) + listed(capped)


def _differences(found: Answer) -> list[list[str]]:
    rows = [["mean over folds (the inflation)", found.inflation.sentence], ["pooled", found.pooled.sentence]]
    if found.control:
        rows.append(["control: pooled, pictures whose group has no other", found.control.sentence])
    return rows


def _plots(found: Answer) -> str:
    return f'<div class="plots">{_two_scores(found).to_html()}{_interval(found).to_html()}</div>'


def _two_scores(found: Answer) -> Plot:
    traces: list[dict[str, Any]] = []
    for score, color in zip(found.scores, COLORS, strict=True):
        count = len(score.iou_folds)
        marker = {"color": color, "size": 9, "opacity": 0.55}
        points = {
            "x": [score.split] * count,
            "y": list(score.iou_folds),
            "marker": marker,
            "showlegend": False,
        }
        traces.append({"type": "scatter", "mode": "markers", "name": "folds", **points})
        traces.append(
            {
                "type": "scatter",
                "mode": "markers+text",
                "x": [score.split],
                "y": [score.iou_mean],
                "text": [f"  {score.iou_mean:.3f}"],
                "textposition": "middle right",
                "textfont": {"size": 15},
                "marker": {
                    "color": color,
                    "size": 26,
                    "symbol": "line-ew-open",
                    "line": {"width": 4, "color": color},
                },
                "showlegend": False,
            }
        )
    first, second = found.scores
    says = f"Mean over folds {first.iou_mean:.3f} ({first.split}) and {second.iou_mean:.3f} ({second.split})."
    layout = {"xaxis": {"range": [-0.6, 1.7]}, "yaxis": axis("IoU", rangemode="tozero")}
    return Plot("IoU of each fold, and their mean", says, traces, layout)


def _interval(found: Answer) -> Plot:
    shown: dict[str, Inflation] = {"control": found.control} if found.control else {}
    shown |= {"pooled": found.pooled, "mean over folds": found.inflation}
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [one.value],
            "y": [name],
            "marker": {"color": GRAY if name == "control" else ORANGE, "size": 12},
            "error_x": _bars(one),
            "showlegend": False,
        }
        for name, one in shown.items()
    ]
    layout = {"xaxis": axis("IoU, split by picture less split by group"), "shapes": [upright(0)]}
    return Plot(
        "Inflation",
        f"{found.inflation.sentence}. Left of the dashed line a split by pictures would flatter nothing.",
        traces,
        layout | {"yaxis": {"gridcolor": FAINT}},
    )


def _bars(one: Inflation) -> dict[str, Any]:
    if one.low is None or one.high is None:
        return {"visible": False}
    return {
        "type": "data",
        "symmetric": False,
        "array": [one.high - one.value],
        "arrayminus": [one.value - one.low],
        "thickness": 3,
        "width": 8,
    }
