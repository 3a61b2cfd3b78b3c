"""The promised exit statuses, and what is said of bad input."""

import pytest

from fmnist.core.errors import InputError, exits_cleanly


def test_bad_input_is_said_without_a_traceback_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    @exits_cleanly
    def main() -> None:
        raise InputError("--data.shift 99: must lie between 0 and 27")

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.err == "error: --data.shift 99: must lie between 0 and 27\n"
    assert shown.out == ""


def test_ctrl_c_exits_130(capsys: pytest.CaptureFixture[str]) -> None:
    @exits_cleanly
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_defect_keeps_its_traceback() -> None:
    @exits_cleanly
    def main() -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        main()


@pytest.mark.parametrize("status", [0, 2, 143])
def test_other_exits_pass_through(status: int) -> None:
    @exits_cleanly
    def main() -> None:
        raise SystemExit(status)

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == status


def test_arguments_result_and_name_are_those_of_main() -> None:
    @exits_cleanly
    def main(args: list[str], *, last: str) -> list[str]:
        """Say what it does."""
        return [*args, last]

    assert main(["a"], last="b") == ["a", "b"]
    assert (main.__name__, main.__doc__) == ("main", "Say what it does.")
