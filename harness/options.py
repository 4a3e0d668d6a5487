"""The options that one verb of the command line alone has."""

import argparse
from collections.abc import Callable
from pathlib import Path

from harness.tracking.store import PORT


def add_own_options(one: argparse.ArgumentParser, verb: str) -> None:
    """Add what a verb asks for beside name, home and the form of its answer."""
    if verb in OPTIONS:
        OPTIONS[verb](one)


def _new(one: argparse.ArgumentParser) -> None:
    one.add_argument("--images", metavar="DIR", type=Path, help="folder of pictures")
    one.add_argument(
        "--masks", metavar="DIR", type=Path, help="folder of masks; may be the same (also of --from csv)"
    )
    text = "annotations of a tool: coco, yolo, labelme, cvat, voc, mvtec, kolektor, supervisely, csv"
    one.add_argument("--from", dest="source", metavar=("FORMAT", "PATH"), nargs=2, help=text)
    text = "pictures without a mask or label file: clean takes them as showing no target"
    one.add_argument("--missing", choices=["clean"], help=text)
    text = "of an import, those that are targets (all)"
    one.add_argument("--classes", metavar="CLASS", nargs="+", help=text)


def _run(one: argparse.ArgumentParser) -> None:
    one.add_argument("--trials", type=int, help="the total budget, instead of the study file's")


def _check(one: argparse.ArgumentParser) -> None:
    text = (
        "train twice on small settings: by how much a split by pictures, blind to groups, flatters the score"
    )
    one.add_argument("--cost", action="store_true", help=text)


def _compare(one: argparse.ArgumentParser) -> None:
    text = "number of a trial that ran all its folds, two or more"
    one.add_argument("trials", metavar="TRIAL", type=int, nargs="+", help=text)


def _reproduce(one: argparse.ArgumentParser) -> None:
    which = one.add_mutually_exclusive_group(required=True)
    which.add_argument("--trial", metavar="N", type=int, help="a trial of the study's last run")
    which.add_argument("--run", metavar="ID", help="a fold run in MLflow")
    which.add_argument("--model", action="store_true", help="the trial that is the champion")
    one.add_argument("--fold", metavar="K", type=int, help="one of the trial's folds (0)")


def _promote(one: argparse.ArgumentParser) -> None:
    text = "promote although evidence is missing, for this reason, which stays on the version for ever"
    one.add_argument("--force", metavar="REASON", help=text)


def _rollback(one: argparse.ArgumentParser) -> None:
    text = "the reason, which is kept in the history"
    one.add_argument("--why", metavar="TEXT", default="no reason was given", help=text)


def _predict(one: argparse.ArgumentParser) -> None:
    one.add_argument("images", metavar="IMAGES", type=Path, nargs="+", help="pictures, or folders of them")
    one.add_argument("--out", metavar="DIR", type=Path, required=True, help="where results are written to")
    one.add_argument("--tile", metavar="PX", type=int, default=1024, help="side of a tile (1024)")
    one.add_argument("--overlap", metavar="PX", type=int, default=128, help="of neighboring tiles (128)")
    text = "px of the model a px of the picture, by tiles (as in training)"
    one.add_argument("--scale", metavar="S", type=float, help=text)
    _backend(one)


def _monitor(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "images", metavar="IMAGES", type=Path, nargs="+", help="new pictures, or folders of them"
    )


def _serve(one: argparse.ArgumentParser) -> None:
    one.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines ask, too (127.0.0.1)")
    one.add_argument("--port", type=int, default=5001, help="0 takes a free one (5001)")
    one.add_argument("--limit-mb", type=float, default=64.0, help="largest request in MB (64)")
    one.add_argument("--timeout", type=float, default=60.0, help="seconds until an answer, at most (60)")
    _backend(one)


def _backend(one: argparse.ArgumentParser) -> None:
    text = "what computes: torch, or the version's ONNX graph by onnx or openvino (torch)"
    one.add_argument("--backend", default="torch", help=text)


def _doctor(one: argparse.ArgumentParser) -> None:
    text = "drop weights of pruned and bettered trials until those of a study take at most so many GB (0)"
    one.add_argument("--prune", metavar="GB", type=float, nargs="?", const=0.0, help=text)


def _ui(one: argparse.ArgumentParser) -> None:
    one.add_argument("--port", type=int, default=PORT)


OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "new": _new,
    "run": _run,
    "check": _check,
    "compare": _compare,
    "reproduce": _reproduce,
    "promote": _promote,
    "rollback": _rollback,
    "predict": _predict,
    "serve": _serve,
    "monitor": _monitor,
    "doctor": _doctor,
    "ui": _ui,
}
