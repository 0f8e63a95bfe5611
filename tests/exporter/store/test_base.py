"""Owners as they stand in a lease, and what failed when a batch failed."""

from __future__ import annotations

import os

import pytest

from exporter.core.model import WorkerId
from exporter.store.base import Batch, Owner, this_process
from exporter.telemetry import Operation
from tests.exporter.store.records import record


def test_a_lease_says_who_holds_it() -> None:
    """Host, process and a token survive the way through a store."""
    owner = this_process()
    assert Owner.from_json(owner.to_json().encode()) == owner
    assert (owner.pid, owner.name) == (os.getpid(), f"{owner.host}:{os.getpid()}")
    assert owner.token != this_process().token


@pytest.mark.parametrize("text", [b"", b"7", b"{}", b"\xff", b'{"host":1,"pid":"x","token":2}'])
def test_a_lease_that_cannot_be_read_still_has_a_holder(text: bytes) -> None:
    """Somebody else's text in it is no reason to take it away from them."""
    assert str(Owner.from_json(text)) == f"pid 0 on an unknown host, its lease being {text!r}"


def test_a_failed_batch_is_counted_for_what_was_in_it() -> None:
    """An empty one does nothing but extend the lease."""
    gone = [WorkerId("w1")]
    batches = Batch([record()], gone), Batch((), gone, record().history), Batch((), gone), Batch()
    assert [batch.operation for batch in batches] == [
        Operation.SAVE,
        Operation.SAVE,
        Operation.FORGET,
        Operation.LEASE,
    ]
