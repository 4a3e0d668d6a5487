import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.search.lock import only_driver

HOLDER = """
import sys, time
from pathlib import Path
from harness.search.lock import only_driver
with only_driver(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(1000)
"""


def test_a_second_driver_is_told_who_has_the_study_until_that_one_is_gone(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", HOLDER, str(tmp_path / "study")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        refusal = pytest.raises(
            ConfigError, match=f"{tmp_path / 'study'}: this study is being run by process {holder.pid} on "
        )
        for _ in range(2):  # being refused does not free it
            with refusal, only_driver(tmp_path / "study"):
                pytest.fail("two drivers")
        with only_driver(tmp_path / "another study"):
            os.kill(holder.pid, signal.SIGKILL)
            holder.wait()
    with only_driver(tmp_path / "study"):
        assert str(os.getpid()) in (tmp_path / "study" / "driver.lock").read_text()


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="oops"), only_driver(tmp_path):
        raise RuntimeError("oops")
    with only_driver(tmp_path):
        pass
