"""What goes into a predictor and what comes out: signatures, their fields, typed values, records.

`signature` has the class, `spec` and `names` read its string form, `fields` the fields;
`values` and `decoded` turn values into text and back, through what `validating` makes of their
types, and `notes` tells a model of these (`annotations` looks into them); `plain` and `parts`
take values apart for a prompt; `types` has the library's own types of values; `example` and
`prediction` are the records. This package knows nothing of adapters and models.
"""

from __future__ import annotations

from lmstream_sync.signatures.example import Example
from lmstream_sync.signatures.fields import MISSING, Field, InputField, OutputField
from lmstream_sync.signatures.prediction import Completions, Prediction
from lmstream_sync.signatures.signature import (
    Signature,
    SignatureLike,
    SignatureMeta,
    ensure_signature,
    inputs_of,
    outputs_of,
)
from lmstream_sync.signatures.values import check_inputs, format_value, parse_value

__all__ = [
    "MISSING",
    "Completions",
    "Example",
    "Field",
    "InputField",
    "OutputField",
    "Prediction",
    "Signature",
    "SignatureLike",
    "SignatureMeta",
    "check_inputs",
    "ensure_signature",
    "format_value",
    "inputs_of",
    "outputs_of",
    "parse_value",
]
