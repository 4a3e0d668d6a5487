"""Take a training's whole state between two steps, and put it back: what follows is equal to the bit on a CPU.

Batches and augmentation follow from (seed, repeat, fold, epoch, position in the table), and the learning rate from the
step, so neither loader nor schedule has a state; numbers are float32 or bfloat16, so no gradient scaler exists.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace

import torch
from torch import Tensor

from harness.train.snapshot import Snapshot
from harness.train.start import Begun, Epoch, FoldTraining


def capture(training: FoldTraining) -> Snapshot:
    """Return the state of a training between two steps, on the CPU; tensors there are not copied."""
    state = {f"network.{name}": value for name, value in training.network.state_dict().items()}
    if training.averaged is not None:
        state |= {f"averaged.{name}": value for name, value in training.averaged.state_dict().items()}
    for number, values in training.optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{number}.{name}": value for name, value in values.items()}
    state |= _random_states(training.device)
    state["seen"] = torch.tensor(sorted(training.seen), dtype=torch.int64)
    facts = {
        "step": training.step,
        "history": [epoch.as_dict() for epoch in training.history],
        "begun": asdict(training.begun),
        "balanced": training.loss.balanced,
        "loss_weights": [term.weight for term in training.loss.terms],
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    return Snapshot((len(training.history), training.begun.batches), tensors, facts)


def restore(training: FoldTraining, snapshot: Snapshot) -> None:
    """Put a state back into a training that was prepared anew from the same job."""
    tensors, facts = snapshot.tensors, snapshot.facts
    training.network.load_state_dict(_part(tensors, "network."))
    if training.averaged is not None:
        training.averaged.load_state_dict(_part(tensors, "averaged."))
    _restore_optimizer(training.optimizer, _part(tensors, "optimizer."))
    training.step = facts["step"]
    training.seen = frozenset(tensors["seen"].tolist())
    training.history = [Epoch(**epoch) for epoch in facts["history"]]
    training.begun = Begun(**facts["begun"])
    weights = zip(training.loss.terms, facts["loss_weights"], strict=True)
    terms = tuple(replace(term, weight=weight) for term, weight in weights)
    training.loss = replace(training.loss, terms=terms, balanced=facts["balanced"])
    torch.set_rng_state(tensors["random.cpu"])
    if training.device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random.cuda"], training.device)


def _random_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the generators that training draws from: dropout's and the like, of torch alone."""
    states = {"random.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["random.cuda"] = torch.cuda.get_rng_state(device)
    return states


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put the moments back; the groups' settings are those of the job."""
    document = optimizer.state_dict()
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        document["state"].setdefault(int(number), {})[key] = value.clone()  # not the file's own pages
    optimizer.load_state_dict(document)
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if value.shape == parameter.shape:  # laid out as the parameter, which may be channels last
                values[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
