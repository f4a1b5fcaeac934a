"""Pauses of Python's collector end as they began."""

import gc

import pytest

from mavrl.garbage import uncollected


def test_the_collector_is_off_inside_and_on_again_after_an_error():
    assert gc.isenabled()

    @uncollected()
    def fail():
        raise ValueError(f"collecting: {gc.isenabled()}")

    with pytest.raises(ValueError, match="collecting: False"):
        fail()
    assert gc.isenabled()


def test_one_that_was_off_stays_off():
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
