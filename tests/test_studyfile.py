"""Reading study files: profiles, and complaints a user can act on."""

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.studyfile import find_study, read_study

TEXT = """
seed: 3
data: {dataset: demo}
network: {unet: {encoder: resnet34}}
train: {epochs: 9, lr: 1e-3}
search:
  trials: 5
  augment.strength: [0, 1]
profiles:
  cpu: {train: {epochs: 2}, network: unet, search: {trials: 2}}
  gpu: {train: {precision: bf16}}
"""


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str) -> Path:
        path = tmp_path / "tiny.yaml"
        path.write_text(text)
        return path

    return _write


def test_auto_takes_gpu_where_cuda_is_there(write) -> None:
    path = write(TEXT)
    assert read_study(path, cuda=True).profile == "gpu"
    assert read_study(path, cuda=False).profile == "cpu"


def test_a_profile_merges_groups_and_replaces_choices(write) -> None:
    cpu = read_study(write(TEXT), cuda=False)
    assert (cpu.train.epochs, cpu.train.lr) == (2, 0.001)
    assert cpu.network.settings == {}
    assert (cpu.search.trials, list(cpu.dimensions())) == (2, ["augment.strength"])
    gpu = read_study(write(TEXT), cuda=True)
    assert (gpu.train.epochs, gpu.train.precision, gpu.search.trials) == (9, "bf16", 5)


def test_a_profile_may_be_named(write) -> None:
    assert read_study(write("profile: gpu\n" + TEXT), cuda=False).profile == "gpu"


def test_the_name_is_the_file_name_unless_written(write) -> None:
    assert read_study(write(TEXT), cuda=False).name == "tiny"
    assert read_study(write("name: other\n" + TEXT), cuda=False).name == "other"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("epochs: 9", "epoch: 9", "train.epoch: no such setting, did you mean 'train.epochs'?"),
        ("epochs: 9", "epochs: nine", "train.epochs: 'nine': input should be a valid integer"),
        ("seed: 3", "seed: -3", "seed: -3: input should be greater than or equal to 0"),
        ("data: {dataset: demo}", "", "data: missing"),
        (
            "precision: bf16",
            "precision: bf1",
            "'bf1' is not allowed, did you mean 'bf16'?; allowed: 'fp32' or 'bf16'",
        ),
        ("augment.strength", "augment.strenth", "search.augment.strenth: no such setting"),
        ("[0, 1]", "[1, 0]", "search.augment.strength: the range starts at 1"),
        ("seed: 3", "seed: 3\nseed: 4", "line 3: the key 'seed' stands twice"),
        ("seed: 3", "seed: 3\n? [a, b]\n: 1", "line 3: a key must be text"),
        (
            "augment.strength: [0, 1]",
            "loss: {choice: {1: {}}}",
            "line 8: a key must be text; put it in quotes",
        ),
        ("seed: 3", "yes: 3", "line 2: a key must be text"),
        ("train: {epochs: 9", "train: {<<: {epochs: 3}, epochs: 9, epochs: 8", "'epochs' stands twice"),
        ("seed: 3", "seed: [", "is no valid YAML"),
        ("seed: 3", "profile: gpuu", "profile: 'gpuu' is not in profiles, did you mean 'gpu'?"),
        (
            "cpu: {train: {epochs: 2}, network: unet, search: {trials: 2}}",
            "cpu: 3",
            "profiles: must be names",
        ),
    ],
)
def test_a_complaint_names_file_path_value_and_way_out(write, old: str, new: str, said: str) -> None:
    assert old in TEXT
    path = write(TEXT.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_study(path, cuda=False)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_the_profile_not_used_is_found_too(write) -> None:
    with pytest.raises(ConfigError, match=r"profile gpu\): train\.precisio: no such setting"):
        read_study(write(TEXT.replace("precision: bf16", "precisio: bf16")), cuda=False)


def test_a_mapping_may_take_over_another_and_change_it(write) -> None:
    text = TEXT.replace("train: {epochs: 9,", "train: &long {epochs: 9,")
    text = text.replace("gpu: {train: {precision: bf16}}", "gpu: {train: {<<: *long, epochs: 4}}")
    gpu = read_study(write(text), cuda=True)
    assert (gpu.train.epochs, gpu.train.lr) == (4, 0.001)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words"])
def test_a_file_without_settings_is_refused(write, text: str) -> None:
    with pytest.raises(ConfigError, match="holds no settings"):
        read_study(write(text), cuda=False)


def test_an_unknown_study_is_answered_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "small_defects.yaml").write_text(TEXT)
    with pytest.raises(ConfigError, match="did you mean 'small_defects'"):
        find_study("smal_defects", tmp_path)
    assert find_study("small_defects", tmp_path) == tmp_path / "small_defects.yaml"


@pytest.mark.parametrize("path", sorted(Path("studies").glob("*.yaml")), ids=lambda p: p.stem)
@pytest.mark.parametrize("cuda", [False, True], ids=["cpu", "gpu"])
def test_every_shipped_study_is_valid_in_both_profiles(path: Path, cuda: bool) -> None:
    study = read_study(path, cuda=cuda)
    assert study.name == path.stem
    assert study.dimensions()
