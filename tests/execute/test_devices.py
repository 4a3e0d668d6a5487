"""How many fold runs a GPU is given: arithmetic on what they told. None of it has run on a GPU yet."""

import pytest

from harness.execute.devices import Devices, Memory, fitting, measured

GIB = 2**30
FREE = Memory(peak=6 * GIB, available=80 * GIB, total=80 * GIB)


@pytest.mark.parametrize(
    ("peak", "available", "most", "wanted"),
    [
        (6, 80, 99, 12),  # 72 GiB are given away, 8 stay free
        (6, 80, 8, 8),  # no more than there are cores
        (36, 80, 99, 2),
        (37, 80, 99, 1),
        (100, 80, 99, 1),  # one in any case: it ran
        (6, 20, 99, 2),  # others use the GPU too
        (6, 3, 99, 1),
    ],
)
def test_as_many_fold_runs_as_memory_takes_with_a_margin(
    peak: int, available: int, most: int, wanted: int
) -> None:
    assert fitting(Memory(peak * GIB, available * GIB, 80 * GIB), peak=peak * GIB, most=most) == wanted


def test_the_first_fold_run_of_each_gpu_is_alone_until_it_told_what_it_takes() -> None:
    devices = Devices(["0", "1"], cores=16)
    assert devices.capacity == 2
    assert (devices.next([]), devices.next(["0"])) == ("0", "1")
    devices.learn("0", FREE)
    assert (devices.places("0"), devices.places("1"), devices.capacity) == (8, 1, 9)  # half of the cores each
    assert [devices.next(["0", "1", *["0"] * more]) for more in (0, 6)] == ["0", "0"]
    devices.learn("1", FREE)
    assert devices.capacity == 16
    assert devices.next(["0", "0", "1"]) == "1"


def test_a_larger_fold_run_that_comes_later_leaves_room_for_fewer() -> None:
    devices = Devices(["0"], cores=16)
    devices.learn("0", FREE)
    devices.learn("0", Memory(peak=20 * GIB, available=25 * GIB, total=80 * GIB))  # beside its neighbors
    assert devices.places("0") == 3
    devices.learn("0", FREE)
    assert devices.places("0") == 3


def test_where_memory_ran_out_beside_neighbors_one_runs_at_a_time() -> None:
    devices = Devices(["0", "1"], cores=8)
    assert not devices.thin_out("0"), "it was alone already"
    devices.learn("0", FREE)
    assert devices.thin_out("0")
    assert (devices.places("0"), devices.thin_out("0")) == (1, False)


def test_a_number_of_workers_that_is_given_is_kept_and_spread() -> None:
    devices = Devices(["a", "b"], cores=2, fixed=5)
    devices.learn("a", Memory(70 * GIB, 80 * GIB, 80 * GIB))
    taken: list[str] = []
    for _ in range(5):
        taken.append(devices.next(taken))
    assert (devices.capacity, taken.count("a"), taken.count("b")) == (5, 3, 2)
    assert not devices.thin_out("a")


def test_without_gpus_there_is_one_worker_a_core_and_nothing_to_measure() -> None:
    assert (Devices([], cores=3).capacity, Devices([], cores=3).next([])) == (3, "")
    assert Devices([], cores=3, fixed=2).capacity == 2
    assert measured() is None
