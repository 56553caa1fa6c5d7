"""What every adapter does: it writes the prompt, reads the reply, and knows what a reply looks like.

An adapter knows signatures. It knows neither models nor programs: it is given inputs and
gives messages, is given text and gives fields.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from lmstream_sync.adapters.absent import may_be_absent
from lmstream_sync.adapters.reader import FieldDelta, FieldEvent, Finished, Reader
from lmstream_sync.callbacks import HookedCall, watching
from lmstream_sync.errors import AdapterParseError, ConfigurationError, LMStreamError
from lmstream_sync.signatures.fields import Field
from lmstream_sync.signatures.notes import type_name
from lmstream_sync.signatures.signature import SignatureMeta, outputs_of
from lmstream_sync.signatures.values import parse_value, text_of

__all__ = ["Adapter", "WholeReader"]

#: The methods that decide how a reply is read.
_READING = frozenset({"new_reader", "parse", "reader"})


class Adapter:
    """The base of adapters, and what a user's own derives from.

    It says how the prompt is written (`messages`) and how a reply is read: by a `reader`, then
    fields stream as they come, or by `parse` alone, then each streams whole when the reply is
    over. Of the two the more derived one counts. `render` is needed for demos and in tests
    (the fixture `scripted_lm`).

    Args:
        callbacks: `BaseCallback` objects that see this adapter's work, besides those of the settings.
        use_native_function_calling: a signature with `tools: list[Tool]` and an output of
            type `ToolCalls` asks the model by its own function calling, where it has that;
            `None`: as the adapter does it by itself.
        native_response_types: the types of output fields that are taken from what the model
            gives beside its text, where it does; `None`: `Reasoning` and `Citations`.
        parallel_tool_calls: sent with native function calling: whether one reply may call
            several tools; `None` leaves it to the provider.
    """

    #: What `use_native_function_calling=None` means.
    calls_functions_natively: ClassVar[bool] = False

    #: Whether what its reader makes of a text follows from the text and the signature alone, so that
    #: a text need not be read twice. Holds for the class that says so: not for one with a reader of its own.
    pure_reader: ClassVar[bool] = False

    def __init__(
        self,
        callbacks: Sequence[Any] | None = None,
        use_native_function_calling: bool | None = None,
        native_response_types: Sequence[type] | None = None,
        parallel_tool_calls: bool | None = None,
    ) -> None:
        self.parallel_tool_calls = parallel_tool_calls
        self.callbacks: list[Any] = list(callbacks or ())
        self.native_response_types = None if native_response_types is None else tuple(native_response_types)
        self.use_native_function_calling = (
            self.calls_functions_natively if use_native_function_calling is None else use_native_function_calling
        )

    def messages(
        self, signature: SignatureMeta, demos: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The prompt as role/content dicts: the system message, demos, the inputs. Called by `format`."""
        raise self._undefined("messages(self, signature, demos, inputs)")

    def reader(self, signature: SignatureMeta) -> Reader:
        """A fresh reader for one reply."""
        if type(self).parse is Adapter.parse:
            raise self._undefined("reader(self, signature), or parse(self, signature, completion)")
        return WholeReader(self, signature)

    def render(self, signature: SignatureMeta, values: Mapping[str, Any]) -> str:
        """The reply of a model that answers with these values in the form asked for; absent fields are left out."""
        raise self._undefined("render(self, signature, values)")

    def request_options(self, signature: SignatureMeta) -> Sequence[Mapping[str, Any]]:
        """Options that help a model to keep to the form (`response_format`), the best first, the last one `{}`.

        The first is sent that the endpoint does not refuse; which it was is remembered.
        """
        return ({},)

    def fallback(self) -> Adapter | None:
        """The adapter that asks once more where a reply does not parse; `None` for no second request."""
        return None

    def format(
        self, signature: SignatureMeta, demos: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Write the prompt.

        Args:
            signature: what goes in and comes out, and the instructions.
            demos: examples, dicts or `Example` objects, with fields of the signature.
            inputs: name → value of the input fields.
        """
        watchers = watching("adapter_format", self.callbacks)
        if not watchers:
            return self.messages(signature, demos, inputs)
        watched = {"signature": signature, "demos": demos, "inputs": inputs}
        with HookedCall("adapter_format", watchers, self, watched) as call:
            written = call.outputs = self.messages(signature, demos, inputs)
            return written

    def new_reader(self, signature: SignatureMeta) -> Reader:
        """What reads one reply: `reader`, or `parse` where a subclass overrides that later."""
        return WholeReader(self, signature) if self._parses() else self.reader(signature)

    def values(self, signature: SignatureMeta, finished: Finished, completion: str) -> dict[str, Any]:
        """The values that a reply's fields stand for, in the signature's order.

        A field that is absent takes its default, or `None` where its type allows that; so does one
        of a type other than text that has a default and came empty.

        Args:
            signature: says the fields and their types.
            finished: what the reader made of the reply.
            completion: the whole reply, for the error.

        Raises:
            AdapterParseError: a field is absent, or its text does not fit its type.
        """
        if self._parses():
            told = self._told_by_parse(signature, completion) if finished.values is None else finished.values
            return self._values(signature, completion, told, lambda field: told[field.name])
        watchers = watching("adapter_parse", self.callbacks)
        if not watchers:
            return self._read(signature, finished, completion)
        watched = {"signature": signature, "completion": completion}
        with HookedCall("adapter_parse", watchers, self, watched) as call:
            found = call.outputs = self._read(signature, finished, completion)
            return found

    def parse(self, signature: SignatureMeta, completion: str) -> dict[str, Any]:
        """The values in a whole reply, made by the same reader that reads a stream.

        Raises:
            AdapterParseError: a field is absent, or its text does not fit its type.
        """
        reader = self.reader(signature)
        if isinstance(reader, WholeReader):
            raise self._undefined("reader(self, signature), or all of parse")
        reader.feed(completion)
        watched = {"signature": signature, "completion": completion}
        with HookedCall("adapter_parse", watching("adapter_parse", self.callbacks), self, watched) as call:
            found = call.outputs = self._read(signature, reader.finish(), completion)
            return found

    def _told_by_parse(self, signature: SignatureMeta, completion: str) -> Mapping[str, Any]:
        """What a user's `parse` makes of a reply.

        Raises:
            AdapterParseError: it raised, or gave no dict.
        """
        fault: Exception | None = None
        try:
            told: Any = self.parse(signature, completion)
        except LMStreamError:
            raise
        except Exception as error:
            fault, told = error, None
        if isinstance(told, Mapping):
            return told
        name = type(self).__name__
        what = (
            f"{type(fault).__name__}: {fault}" if fault is not None else f"it gave {told!r:.80}, not a dict of fields"
        )
        raise AdapterParseError(
            f"{name}.parse could not read the reply: {what}. The reply was: {_shortened(completion)}",
            adapter_name=name,
            lm_response=completion,
        ) from fault

    def _parses(self) -> bool:
        """Whether `parse` was overridden, and no later than that `reader`."""
        for cls in type(self).__mro__:
            if cls is Adapter or "reader" in vars(cls):
                return False
            if "parse" in vars(cls):
                return True
        return False

    def reads_purely(self) -> bool:
        """Whether the reader in force is that of a class which says `pure_reader`."""
        for cls in type(self).__mro__:
            if not _READING.isdisjoint(vars(cls)):
                return bool(vars(cls).get("pure_reader", False))
        return False

    def _undefined(self, method: str) -> ConfigurationError:
        return ConfigurationError(f"the adapter {type(self).__name__} does not say how: define {method}")

    def _read(self, signature: SignatureMeta, finished: Finished, completion: str) -> dict[str, Any]:
        """The values that a reader's texts stand for."""
        texts = finished.fields
        if finished.values is None:
            plain: dict[str, Any] = {}
            for name, field in outputs_of(signature).items():
                if name not in texts or field.annotation is not str or field.constraints:
                    break
                plain[name] = texts[name]
            else:  # a text for each field, and each field a text: what most replies are
                return plain
        present = [
            name
            for name, field in outputs_of(signature).items()
            if texts.get(name) or (name in texts and (field.annotation is str or not field.has_default))
        ]
        return self._values(signature, completion, present, partial(_value, finished))

    def _values(
        self, signature: SignatureMeta, completion: str, present: Container[str], value: Callable[[Field], Any]
    ) -> dict[str, Any]:
        """The values of all fields, in order; of those that are absent, their defaults."""
        parsed: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for name, field in outputs_of(signature).items():
            if name not in present:
                if not may_be_absent(field):
                    wrong[name] = f"the reply has no field {name!r}"
                else:
                    parsed[name] = field.default_value() if field.has_default else None
                continue
            try:
                parsed[name] = value(field)
            except ValueError as error:
                wrong[name] = f"the field {name!r} does not fit its type {type_name(field.annotation)}: {error}"
        if not wrong:
            return parsed
        adapter = type(self).__name__
        raise AdapterParseError(
            f"{adapter}: {'; '.join(wrong.values())}. The reply was: {_shortened(completion)}",
            adapter_name=adapter,
            lm_response=completion,
            parsed_result=parsed,
            field=next(iter(wrong)),
        )


class WholeReader:
    """Reads a reply by an adapter's `parse`, when it is over: each field comes in one piece.

    Args:
        adapter: what parses.
        signature: says the fields.
    """

    def __init__(self, adapter: Adapter, signature: SignatureMeta) -> None:
        self._adapter = adapter
        self._signature = signature
        self._pieces: list[str] = []

    def feed(self, text: str) -> list[FieldEvent]:
        """Keep one piece."""
        self._pieces.append(text)
        return []

    def finish(self) -> Finished:
        """Parse; a reply that does not parse gives nothing here, and its error where its values are wanted."""
        try:
            values = self._adapter._told_by_parse(self._signature, "".join(self._pieces))
        except AdapterParseError:
            return Finished([], {})
        fields = {name: text_of(values[name]) for name in self._signature.output_fields if name in values}
        return Finished([FieldDelta(name, text, True) for name, text in fields.items()], fields, values)


def _value(finished: Finished, field: Field) -> Any:
    """What a reader read of a field, as its type has it; the complaint names the text."""
    text = finished.fields[field.name]
    if field.annotation is str and not field.constraints and finished.values is None:
        return text
    try:
        if finished.values is not None and field.name in finished.values:
            from lmstream_sync.signatures.decoded import fit_value

            return fit_value(field, finished.values[field.name])
        return parse_value(field, text)
    except ValueError as error:
        complaint = str(error)
    raise ValueError(f"{complaint} (its text was {_shortened(text)})")


def _shortened(text: str, limit: int = 500) -> str:
    return repr(text) if len(text) <= limit else f"{text[:limit]!r}... ({len(text)} characters)"
