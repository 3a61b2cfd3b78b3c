"""Error messages of the command line parser, condensed to one line for people."""

import difflib
import re

from fmnist.training.help_text import flag_names

_BOILERPLATE = (
    *("Does not validate", "Subtypes:", "Errors:", "Given value", "Problem with given"),
    *("Expected a path", "Expected a <class ", "Expected a typing."),
)


def explain(message: str) -> str:
    """Condense jsonargparse's message about a wrong flag, which names every type it tried, to one line."""
    if match := re.match(r"unrecognized arguments: (\S+)", message):
        return _unknown(match[1])
    if match := re.match(r"Group '(\w+)' does not accept option '([\w.]+)'", message):
        return _unknown(f"--{match[1]}.{match[2]}")
    if match := re.search(r"Option '(\w+)' is not accepted", message):
        kind = re.search(r"class_path '[\w.]*?(\w+)'", message)
        key = re.match(r'Parser key "([\w.]+)"', message)
        prefix = f"{key[1]}." if key else "model." if match.start() else ""
        return _unknown(f"--{prefix}{match[1]}", kind[1] if kind else None)
    if match := re.match(r"the following arguments are required: (\S+)", message):
        return f"--{match[1]}: is required; --config configs/cnn.yaml has one"
    if match := re.match(r"argument (?:-\w/)?(--[\w.]+)\S*: (.*)", message):
        return f"{match[1]}: {match[2]}"
    if match := re.match(r'Linked "(\S+)" must be given via "(\S+)"', message):
        return f"--{match[1]}: cannot be set apart, it is --{match[2]}"
    return _wrong_value(message)


def _wrong_value(message: str) -> str:
    """Return flag, value and what is allowed: what a class objected to, else the values or the types."""
    flag = "--" + ".".join(dict.fromkeys(re.findall(r'Parser key "([\w.]+)"', message)))
    nested = re.search(r"NestedArg\(key='([\w.]+)', val='?(.*?)'?\)", message)
    if nested and not flag.endswith(f".{nested[1]}"):
        flag = f"{flag}.{nested[1]}"
    value = re.search(r"(?:Got|Given) value: (?!NestedArg|Namespace|{)(.*)", message)
    message = re.sub(r"Expected a dot import path string: .*", "must be the path of a class", message)
    lines = [re.sub(r'^Parser key "[\w.]+": ?', "", line.strip(" -")) for line in message.splitlines()]
    reasons = dict.fromkeys(line for line in lines if line and not line.startswith(_BOILERPLATE))
    if not reasons:
        choices = re.findall(r"Expected a typing\.Literal\[(.*?)\]", message)
        types = re.findall(r"Expected a <class '(?!NoneType)(.*?)'>", message)
        names = dict.fromkeys(", ".join(choices).replace("'", "").split(", "))
        reasons = {f"must be one of {', '.join(names)}" if choices else f"must be {' or '.join(types)}": None}
    return f"{flag}{' ' + value[1] if value else ''}: {'; '.join(reasons)}"


def _unknown(flag: str, model: str | None = None) -> str:
    """Say that there is no such flag, and name the one that was probably meant.

    That is one with the same last part; else the most similar one of the same group, as ``model.``.
    """
    name, names = flag.lstrip("-").partition("=")[0], flag_names(model)
    group, _, last = name.rpartition(".")
    same_end = [known for known in names if known.rpartition(".")[2] == last]
    ends = {known.rpartition(".")[2]: known for known in names if known.rpartition(".")[0] == group}
    close = same_end or [ends[end] for end in difflib.get_close_matches(last, ends, n=1)]
    return f"{flag}: no such flag" + (f"; did you mean --{close[0]}?" if close else " (--help lists them)")
