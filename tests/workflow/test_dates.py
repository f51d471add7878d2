"""Files from the future, as a clock that was set back leaves them."""

import os
import time
from pathlib import Path

from samebits.workflow import start


def test_they_get_dates_of_now_in_their_order_and_others_stay(tmp_path: Path) -> None:
    names = ["old", "first", "second", "same"]
    day = 24 * 3600
    ages = [-day, day, 2 * day, 2 * day]
    for name, age in zip(names, ages, strict=True):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() + age,) * 2)
    date = (time.time() + 2 * day) * 1e9
    for name in ("second", "same"):
        os.utime(tmp_path / name, ns=(int(date), int(date)))
    old = (tmp_path / "old").stat().st_mtime_ns
    start.date_back([tmp_path, tmp_path / "absent"])
    dates = {name: (tmp_path / name).stat().st_mtime_ns for name in names}
    assert dates["old"] == old < dates["first"] < dates["second"] == dates["same"]
    assert time.time_ns() - 10**10 < dates["first"] and dates["second"] <= time.time_ns()
