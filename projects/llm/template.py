"""The chat template of a model, with what transformers gives to one (its chat_template_utils.py)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .errors import ModelError
from .values import read_object

DEFAULT, TOOLS = "default", "tool_use"


class Generation(jinja2.ext.Extension):
    """{% generation %} … {% endgeneration %}, which marks an answer for training: its content stays as it is."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> Any:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _tojson(
    x: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """As transformers has it: no HTML is escaped."""
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _environment() -> ImmutableSandboxedEnvironment:
    extensions = [Generation, "jinja2.ext.loopcontrols"]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


class Template:
    """The templates of a model by name, and the special tokens that they may write."""

    def __init__(self, texts: Mapping[str, str], special: Mapping[str, str]) -> None:
        self._texts, self._special = texts, special
        try:
            self._templates = {name: _environment().from_string(text) for name, text in texts.items()}
        except (jinja2.TemplateError, RecursionError) as error:
            raise ModelError(f"the model's chat template cannot be read: {error}; fetch the model again") from None

    @classmethod
    def from_folder(cls, folder: Path, settings: Mapping[str, Any], special: Mapping[str, str]) -> "Template | None":
        """The templates of a folder: of its own files, else of tokenizer_config.json. None where there is none."""
        texts = _texts("tokenizer_config.json", settings.get("chat_template"))
        if (folder / "chat_template.json").is_file():
            texts = _texts("chat_template.json", read_object(folder / "chat_template.json").get("chat_template"))
        files = {DEFAULT: folder / "chat_template.jinja"}
        files |= {path.stem: path for path in sorted((folder / "additional_chat_templates").glob("*.jinja"))}
        for name, path in files.items():
            if path.is_file():
                try:
                    texts = {**texts, name: path.read_text(encoding="utf-8")}
                except UnicodeDecodeError:
                    raise ModelError(f"{path} is damaged, it is not UTF-8: fetch the file again") from None
        return cls(texts, special) if texts else None

    def says(self, words: str) -> bool:
        """Whether one of the templates has these words in it."""
        return any(words in text for text in self._texts.values())

    def reads(self, name: str) -> bool:
        """Whether one of the templates asks for a variable of this name."""
        return any(name in find_undeclared_variables(_environment().parse(text)) for text in self._texts.values())

    def render(self, messages: Sequence[Mapping[str, Any]], **more: Any) -> str:
        """The conversation, up to where the answer begins. Raises ModelError if the template refuses it."""
        given = {"tools": None, "documents": None, "add_generation_prompt": True, **self._special, **more}
        name = TOOLS if given["tools"] is not None and TOOLS in self._templates else DEFAULT
        if name not in self._templates:
            there = ", ".join(self._templates)
            raise ModelError(f"the model has no default chat template, there is {there}: add chat_template.jinja")
        try:
            return self._templates[name].render(messages=messages, **given)
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise ModelError(f"the model's chat template refuses this conversation: {error}") from None


def _texts(file: str, said: Any) -> dict[str, str]:
    """By name, what a file says of templates: one, or a list of them. Raises ModelError."""
    if said is None:
        return {}
    if isinstance(said, str):
        return {DEFAULT: said}

    def pairs() -> Iterator[tuple[str, str]]:
        for entry in said if isinstance(said, list) else [None]:
            if not isinstance(entry, Mapping) or not all(
                isinstance(entry.get(key), str) for key in ("name", "template")
            ):
                raise ModelError(f"{file}'s chat_template is neither a text nor a list of named ones: fetch it again")
            yield entry["name"], entry["template"]

    return dict(pairs())
