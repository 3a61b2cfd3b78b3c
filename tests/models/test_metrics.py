"""Metrics of an epoch as JSON takes them, and the buffer of its logits."""

import json

import numpy as np
import pytest
import torch

from fmnist.core.constants import CLASSES
from fmnist.models.metrics import EpochBuffer, classification_metrics, plain_metrics


def test_plain_metrics_are_what_json_takes() -> None:
    logits, labels = torch.eye(10).repeat(3, 1), torch.arange(10).repeat(3)
    labels[0] = 3
    plain = plain_metrics(dict(classification_metrics()(logits, labels)))
    assert json.loads(json.dumps(plain)) == plain
    assert plain["accuracy"] == pytest.approx(29 / 30, abs=2e-7)
    assert plain["class_accuracy"] == {name: 0.75 if name == "Dress" else 1.0 for name in CLASSES}
    assert np.trace(plain["confusion_matrix"]) == 29


def test_a_buffer_keeps_the_order_and_uses_its_memory_again() -> None:
    buffer = EpochBuffer()
    logits, labels = torch.rand(10, 3), torch.arange(10)
    for part in (slice(0, 1), slice(1, 5), slice(5, 6), slice(6, 10)):
        buffer.append(logits[part], labels[part])
    assert len(buffer) == 10
    for column, expected in zip(buffer.columns(), (logits, labels), strict=True):
        assert torch.equal(column, expected)
    address = buffer.columns()[0].data_ptr()
    buffer.clear()
    assert len(buffer) == 0
    buffer.append(logits[:2], labels[:2])
    assert torch.equal(buffer.columns()[1], labels[:2])
    assert buffer.columns()[0].data_ptr() == address


def test_a_buffer_follows_its_device() -> None:
    buffer = EpochBuffer()
    buffer.append(torch.arange(3))
    buffer.append(torch.empty(3, dtype=torch.int64, device="meta"))
    assert len(buffer) == 6
    assert buffer.columns()[0].device.type == "meta"
