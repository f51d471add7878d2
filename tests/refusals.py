"""An error that says what it has to."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from samebits.errors import SamebitsError


@contextmanager
def refused(*parts: str, without: str = "") -> Iterator[None]:
    """What happens within is refused with these parts in the message, and without another."""
    with pytest.raises(SamebitsError) as caught:
        yield
    said = str(caught.value)
    assert [part for part in parts if part not in said] == [], said
    assert not without or without not in said
