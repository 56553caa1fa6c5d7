"""The XML adapter: each field in an element of its own name, `<answer>...</answer>`.

The form is DSPy's; the wording of the prompt is ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lmstream_sync.adapters.absent import texts_of_absent_fields
from lmstream_sync.adapters.fallback import AdapterWithFallback
from lmstream_sync.adapters.prompts import placeholder
from lmstream_sync.adapters.xml_field import REFERENCE, SECTION
from lmstream_sync.adapters.xml_reader import XMLReader
from lmstream_sync.signatures.notes import type_name
from lmstream_sync.signatures.remembered import remembered
from lmstream_sync.signatures.signature import SignatureMeta, inputs_of, outputs_of
from lmstream_sync.signatures.values import format_value

__all__ = ["XMLAdapter"]

_REFERENCE = re.compile(REFERENCE)


class XMLAdapter(AdapterWithFallback):
    """Writes prompts with each field in an element of its own name, and reads replies of the same form.

    In a reply a field opens with its first opening tag (attributes are allowed) that stands in
    no other field, and ends with its own closing tag, by nothing else. Within, `&lt;` `&gt;`
    `&amp;` `&quot;` `&apos;` and `&#65;` `&#x41;` are read, other entities, tags, bare `<` and
    `&` are text; a CDATA section is read where the field begins with it. White space at both
    ends of a field is dropped; inside, every character stays, line ends too.

    Args:
        callbacks, use_native_function_calling, native_response_types, parallel_tool_calls: see `Adapter`.
        use_json_adapter_fallback: see `AdapterWithFallback`.
    """

    pure_reader = True

    def reader(self, signature: SignatureMeta) -> XMLReader:
        """A fresh reader for one reply."""
        return XMLReader(outputs_of(signature), texts_of_absent_fields(signature))

    def render(self, signature: SignatureMeta, values: Mapping[str, Any]) -> str:
        """The reply of a model that answers with these values; fields without one are left out.

        Text stands as it is, code stays readable: only what would be read as something else
        (the field's own closing tag, an entity, a CDATA section) is escaped.
        """
        return "\n\n".join(
            _element(name, _escaped(name, format_value(field, values[name])))
            for name, field in signature.output_fields.items()
            if name in values
        )

    def form(self, signature: SignatureMeta) -> str:
        """Every field in its element."""
        return _form(signature)

    def question(self, signature: SignatureMeta, values: Mapping[str, Any]) -> str:
        """Each input that has a value in its element, as it is but for that element's closing tag."""
        return "\n\n".join(
            _element(name, _without_closing_tag(name, format_value(field, values[name])))
            for name, field in inputs_of(signature).items()
            if name in values
        )

    def reminder(self, signature: SignatureMeta) -> str:
        """The tags in their order."""
        return _reminder(signature)


@remembered
def _form(signature: SignatureMeta) -> str:
    fields = [_element(name, placeholder(field)) for name, field in signature.fields.items()]
    return (
        "Each field, given or answered, stands between an opening and a closing tag of its name, "
        "in exactly this form:\n\n" + "\n\n".join(fields) + "\n\nText stands there as it is. Only where a value "
        "holds the closing tag of its own field, or something like `&lt;` that is meant as it stands, write "
        "`&lt;` for its `<` and `&amp;` for its `&`."
    )


@remembered
def _reminder(signature: SignatureMeta) -> str:
    order = ", then ".join(
        f"`<{name}>`" + ("" if field.annotation is str else f" ({type_name(field.annotation)})")
        for name, field in signature.output_fields.items()
    )
    last = next(reversed(signature.output_fields), "")
    return f"Now answer: {order}, each closed by its own closing tag, the last one by `</{last}>`."


def _element(name: str, content: str) -> str:
    return f"<{name}>\n{content}\n</{name}>"


def _escaped(name: str, text: str) -> str:
    """A value so that `XMLReader` reads it as it is."""
    text = _without_closing_tag(name, _REFERENCE.sub(lambda found: f"&amp;{found[0][1:]}", text))
    begin = len(text) - len(text.lstrip())
    return f"{text[:begin]}&lt;{text[begin + 1 :]}" if text.startswith(SECTION, begin) else text


def _without_closing_tag(name: str, text: str) -> str:
    return re.sub(rf"<(?=/{re.escape(name)}[ \t\r\n]*>)", "&lt;", text)
