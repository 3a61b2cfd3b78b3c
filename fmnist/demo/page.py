"""The page, on Gradio: a place for a picture, examples, the answers, and the endpoint ``/predict``."""

import base64
import io
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from fmnist.core.tables import rounded_down
from fmnist.demo import examples
from fmnist.demo.answer import PictureAnswer, Respondent, answer_picture
from fmnist.evaluation.page import asset, data_uri, environment
from fmnist.pictures.parallel import OK
from fmnist.pictures.reading import MAX_PIXELS

WAITING = 32  # pictures in the queue, at most
REMEMBERED = 2 * WAITING  # answers
TITLE = "Classify a picture"
PACKAGE = "fmnist.demo"


def build_page(respondents: Sequence[Respondent], folder: Path, uploads: Path) -> gr.Blocks:
    """Build the page; the examples go into ``folder``, which is empty, and uploads into ``uploads``."""

    # Gradio names an upload by its content and its name. So two who send the same file share it: whoever
    # comes second finds it gone, and gets the remembered answer. More are remembered than can wait.
    @lru_cache(maxsize=REMEMBERED)
    def answer_upload(path: Path, name: str) -> tuple[str, list[dict[str, Any]]]:
        if not path.exists():  # an error is not remembered, a failed reading would be
            raise gr.Error("the upload was removed meanwhile; send it again", print_exception=False)
        answered = answer_picture(respondents, path, name)
        return to_html(answered), answered.rows  # a fraction of the memory of its pictures

    def answer(upload: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        """Return what the page shows, and what ``/predict`` returns."""
        path = _uploaded(upload, uploads)
        try:
            return answer_upload(path, str(upload.get("orig_name") or path.name))
        finally:
            path.unlink(missing_ok=True)

    def show(picture: dict[str, Any] | None) -> Any:
        if picture is None:  # it was cleared, by the line below or by hand
            return gr.skip()
        return None, answer(picture)[0]

    def predict(picture: dict[str, Any] | None) -> list[dict[str, Any]]:
        if picture is None:
            raise gr.Error("there is no picture", print_exception=False)
        return answer(picture)[1]

    drawn = {name: _write_example(name, folder) for name in examples.GARMENTS}
    one_at_a_time: dict[str, Any] = {"concurrency_id": "answer", "concurrency_limit": 1}
    # the file as it was sent, because our own reader has the limits and knows more formats
    as_sent: dict[str, Any] = {"preprocess": False, **one_at_a_time}
    with gr.Blocks(title=f"fmnist: {TITLE}", analytics_enabled=False, delete_cache=(30, 300)) as page:
        gr.HTML(_opening(respondents), padding=False)
        with gr.Row():
            with gr.Column():
                picture = gr.Image(
                    label="Picture",
                    placeholder="# Drop a picture of a garment\nor paste it, or click to choose one",
                    elem_id="picture",
                    buttons=[],
                )
            with gr.Column(), gr.Row(elem_id="examples"):
                buttons = [gr.Button(name, elem_id=_element(name)) for name in drawn]
        first = _show_example(respondents, next(iter(drawn.values())))
        shown = gr.HTML(first, padding=False, elem_id="answer")
        picture.change(show, picture, [picture, shown], api_visibility="private", **as_sent)
        for button, path in zip(buttons, drawn.values(), strict=True):
            example = partial(_show_example, respondents, path)
            button.click(example, None, shown, api_visibility="private", **one_at_a_time)
        endpoint = gr.Button(visible=False)
        description = "Return a row for each run, as predict.py --output answers.json has them."
        endpoint.click(
            predict,
            picture,
            gr.JSON(visible=False),
            api_name="predict",
            api_description=description,
            **as_sent,
        )
    return page.queue(max_size=WAITING)


def _uploaded(upload: Any, uploads: Path) -> Path:
    """Return the path of an upload; refuse any other, which a client may name and the server would read."""
    named = upload.get("path") if isinstance(upload, dict) else None
    if isinstance(named, str) and "\0" not in named:
        path = Path(named)
        if path.resolve().is_relative_to(uploads.resolve()) and not path.is_dir():
            return path
    raise gr.Error("this is no uploaded picture", print_exception=False)


def launch(page: gr.Blocks, host: str, port: int, share: bool) -> None:
    """Start to serve a page, in a thread of its own."""
    page.launch(
        server_name=host,
        server_port=port,
        share=share,
        quiet=True,
        prevent_thread_lock=True,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        state_session_capacity=100,  # nothing here needs a session's state
        footer_links=["api"],
        max_file_size=3 * MAX_PIXELS,  # bytes of the largest picture in colours that is not compressed
        theme=gr.themes.Base(font="system-ui", font_mono="monospace"),  # no font is loaded
        css=asset("colours.css") + asset("demo.css", PACKAGE) + _example_css(),
        js=asset("paste.js", PACKAGE),
    )


def to_html(answer: PictureAnswer) -> str:
    """Return what the page shows of an answer."""
    templates = environment(PACKAGE)
    templates.filters |= {"address": data_uri, "share": partial(rounded_down, in_percent=True)}
    notes = list(dict.fromkeys(note for each in answer.by_run for note in each.answer.notes))
    return templates.get_template("answer.html").render(
        file=answer.file, cut_out=answer.cut_out, by_run=answer.by_run, notes=notes, ok=OK
    )


def _show_example(respondents: Sequence[Respondent], path: Path) -> str:
    return to_html(answer_picture(respondents, path, f"Example: {path.stem}"))


def _write_example(name: str, folder: Path) -> Path:
    path = folder / f"{name}.png"
    Image.fromarray(examples.draw(name)).save(path)
    return path


def _element(name: str) -> str:
    return f"example-{name.replace(' ', '-')}"


def _example_css() -> str:
    rule = "#examples #{} {{ background-image: url({}); }}\n"
    return "".join(rule.format(_element(name), _thumbnail(name)) for name in examples.GARMENTS)


def _thumbnail(name: str) -> str:
    file = io.BytesIO()
    Image.fromarray(examples.draw(name)).resize((160, 160)).save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _opening(respondents: Sequence[Respondent]) -> str:
    names = ", ".join(each.name for each in respondents)
    notes = [f"{each.name}: {note}" for each in respondents for note in each.notes]
    return environment(PACKAGE).get_template("opening.html").render(title=TITLE, names=names, notes=notes)
