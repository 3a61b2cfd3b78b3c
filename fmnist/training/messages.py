"""Error messages of the command line parser, condensed to one line for people."""

import difflib
import re

from fmnist.models import shipped_networks
from fmnist.models.classifier import Classifier
from fmnist.training.help_text import flag_names
from fmnist.training.trainer_parts import PARTS

_BOILERPLATE = (
    *("Does not validate", "Subtypes:", "Errors:", "Given value", "Problem with given"),
    *("Expected a path", "Expected a <class ", "Expected a typing.", "Expected a dot import"),
    *("Not a valid subclass of", "Subclass types expect", "a class path (str)", "a dict with"),
)
MODEL_REQUIRED = "--model: is required; --config configs/cnn.yaml has one"


def explain(message: str) -> str:
    """Condense jsonargparse's message about a wrong flag, which names every type it tried, to one line."""
    if match := re.match(r"unrecognized arguments: (\S+)", message):
        return _unknown(match[1])
    if match := re.match(r"Group '(\w+)' does not accept option '([\w.]+)'", message):
        return _unknown(f"--{match[1]}.{match[2]}")
    if match := re.search(r"Option '(\w+)' is not accepted", message):
        kind = re.search(r"class_path '([\w.]+)'", message)
        key = re.match(r'Parser key "([\w.]+)"', message)
        prefix = f"{key[1]}." if key else "model." if match.start() else ""
        return _unknown(f"--{prefix}{match[1]}", kind[1] if kind else None)
    if required := re.search(
        r'"([\w.]+)"[\s\S]*class_path \'[\w.]*?(\w+)\':\s+the following arguments are required: (\w+)',
        message,
    ):
        if required[2] == Classifier.__name__:
            return MODEL_REQUIRED
        owner, name, missing = required.groups()
        return f"--{owner} {name}: the following arguments are required: {missing}; give --{owner}.{missing}"
    if message.startswith("the following arguments are required"):
        return MODEL_REQUIRED
    if match := re.match(r"argument (?:-\w/)?(--[\w.]+)\S*: (.*)", message):
        return f"{match[1]}: {match[2]}"
    if match := re.match(r'Linked "(\S+)" must be given via "(\S+)"', message):
        return f"--{match[1]}: cannot be set apart, it is --{match[2]}"
    return _wrong_value(message)


def _wrong_value(message: str) -> str:
    """Return flag, value and what is allowed: what a class objected to, else the values or the types."""
    keys = list(dict.fromkeys(re.findall(r'Parser key "([\w.]+)"', message)))
    flag = "--" + ".".join(keys)
    nested = re.search(r"NestedArg\(key='([\w.]+)', val='?(.*?)'?\)", message)
    if nested and not flag.endswith(f".{nested[1]}"):
        flag = f"{flag}.{nested[1]}"
    value = re.search(r"(?:Got|Given) value: (?!NestedArg|Namespace|{|\[Namespace)(.*)", message)
    lines = [re.sub(r'^Parser key "[\w.]+": ?', "", line.strip(" -")) for line in message.splitlines()]
    reasons = list(dict.fromkeys(line for line in lines if line and not line.startswith(_BOILERPLATE)))
    # a flag that takes classes of several kinds reports each that it is not
    reasons = [line for line in reasons if " not correspond to a subclass of " not in line] or reasons
    if name := re.search(r"Expected a dot import path string: (.*)", message):
        return f"{flag} {name[1]}: {_unknown_class(keys[0] if keys else 'model', name[1])}"
    if not reasons:
        choices = re.findall(r"Expected a typing\.Literal\[(.*?)\]", message)
        types = re.findall(r"Expected a <class '(?!NoneType)(.*?)'>", message)
        types = ["a list like [64, 32]" if name in ("tuple", "list") else name for name in types]
        types += ["null"] * ("Expected a <class 'NoneType'>" in message and keys[1:] == [] and not nested)
        names = dict.fromkeys(", ".join(choices).replace("'", "").split(", "))
        reasons = [f"must be one of {', '.join(names)}" if choices else f"must be {' or '.join(types)}"]
    if keys == ["model"]:
        kind = "subclass of Classifier"
        reasons = [f"is no {kind}; docs/how-to/own-network.md wraps one" if kind in r else r for r in reasons]
    return f"{flag}{' ' + value[1] if value else ''}: {'; '.join(reasons)}"


def _unknown_class(key: str, name: str) -> str:
    """Say that there is no such class, and name those that there are, or the one that was probably meant."""
    if key == "model":
        networks = ", ".join(sorted(shipped_networks()))
        return f"must be one of {networks}, or the path of a class, like my_model.LitLinear"
    module, _ = PARTS.get(key.removeprefix("trainer."), (None, ()))
    names = {known.lower(): known for known in getattr(module, "__all__", ())}
    if name in names.values():
        return "cannot be built: it is abstract, of another kind, or lacks a package"
    close = difflib.get_close_matches(name.lower(), names, n=1)
    return "must be the path of a class" + (f"; did you mean {names[close[0]]}?" if close else "")


def _unknown(flag: str, model: str | None = None) -> str:
    """Say that there is no such flag, and name the one that was probably meant.

    That is one with the same last part; one with its initials, as ``lr``; the most similar one of the same
    group, as ``model.``; one that has it as a word, as ``epochs``; or the most similar one of all.
    """
    if flag.endswith((".yaml", ".yml")):
        return f"{flag}: no such flag; did you mean --config {flag}?"
    if "/" in flag and not flag.startswith("-"):
        return f'{flag}: no such flag; several values of one flag go in brackets: "[A, B]"'
    name, names = flag.lstrip("-").partition("=")[0].replace("-", "_"), flag_names(model)
    group, _, last = name.rpartition(".")
    ends = {known: known.rpartition(".")[2] for known in names}
    words = {known: [word.rstrip("s") for word in end.split("_")] for known, end in ends.items()}
    initials = {known: "".join(word[:1] for word in parts) for known, parts in words.items() if parts[1:]}
    close = (
        [known for known, end in ends.items() if end == last]
        or [known for known, letters in initials.items() if letters == last]
        or _similar(last, {known: end for known, end in ends.items() if known.rpartition(".")[0] == group})
        or [known for known, parts in words.items() if last.rstrip("s") in parts]
        or _similar(last, ends)
    )
    return f"{flag}: no such flag" + (f"; did you mean --{close[0]}?" if close else " (--help lists them)")


def _similar(last: str, ends: dict[str, str]) -> list[str]:
    """Return the flag whose last part is most similar, if one is."""
    close = difflib.get_close_matches(last, ends.values(), n=1)
    return [known for known, end in ends.items() if end in close]
