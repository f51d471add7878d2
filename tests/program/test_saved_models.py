"""What of a saved model is compared: not when it was saved, nor where its objects lay in memory."""

import json

from samebits.program import outputs


def part(date: str, first: int, second: int) -> bytes:
    shared = [{"shared_object_id": first}, {"shared_object_id": second}]
    config = {"layers": [*shared, {"shared_object_id": first}], "date_saved": date}
    return json.dumps(config).encode()


def test_dates_and_addresses_are_left_out_and_which_objects_are_the_same_is_not() -> None:
    one, other = part("2026-11-30", 140001, 140002), part("2026-12-01", 150007, 150003)
    assert outputs._undated("config.json", one) == outputs._undated("config.json", other)
    same = part("2026-11-30", 140001, 140001)
    assert outputs._undated("config.json", one) != outputs._undated("config.json", same)
    assert outputs._undated("model.weights.h5", one) == one
