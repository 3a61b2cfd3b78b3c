"""What shortens the trainings and fits of tests."""

from types import ModuleType

import pytest


def leave_out_figures(patch: pytest.MonkeyPatch, outputs: ModuleType) -> None:
    """Let ``training.outputs`` or ``baselines.report`` draw nothing, which takes most of the time."""
    patch.setattr(outputs, "draw_figures", lambda *_: {})
    patch.setattr(outputs, "write_tensorboard", lambda *_: None)
