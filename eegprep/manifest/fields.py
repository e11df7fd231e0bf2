"""Types of the values in manifests, recipes and locks, validated and bounded."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from eegprep.errors import UsageError
from eegprep.manifest.labels import code_text

#: More than any data set needs.
MAX_WILDCARDS = 16


def _relative(path: str) -> str:
    pure = PurePosixPath(path)
    windows = "\\" in path or re.match(r"[A-Za-z]:", path)
    control = any(ord(c) < 32 for c in path)
    if not path or pure.is_absolute() or ".." in pure.parts or windows or control or path.startswith("~"):
        raise ValueError("must be a relative path inside the data set's folder, with '/' and without '..'")
    return path


def _address(url: str) -> str:
    if not re.fullmatch(r"(https|s3|hf)://[^\s\x00-\x1f]+", url):
        raise ValueError("must be an https://, s3:// or hf:// address")
    return url


def _encoding(name: str) -> str:
    # Python's other codecs may expand, take quadratic time, or are not text (punycode, idna, zlib, rot13).
    plain = re.sub(r"[-_ ]", "", name.lower())
    if not re.fullmatch(
        r"utf8(sig)?|utf(16|32)([lb]e)?|(us)?ascii|(iso8859|latin)[0-9]{1,2}|l1|(cp|windows)[0-9]{3,4}|mac(roman|latin2)"
        r"|koi8[rtu]|gbk|gb2312|gb18030|big5(hkscs)?|eucjp|euckr|shiftjis|sjis|johab|tis620",
        plain,
    ):
        raise ValueError("must be an encoding of text such as utf-8, utf-16, latin-1, cp1252, gb18030 or shift_jis")
    return name


def _few_wildcards(pattern: str) -> str:
    found = len(re.findall(r"\*\*/|\*|\{[^{}]*\}", pattern))
    if found > MAX_WILDCARDS:
        raise ValueError(f"has {found} wildcards; at most {MAX_WILDCARDS} of `*`, `**/` and {{name}} are allowed")
    return pattern


def _variable(path: str) -> str:
    parts = path.split(".")
    if not all(re.fullmatch(r"\{(subject|trial)\}|[A-Za-z0-9_]+", p) for p in parts[1:]):
        raise ValueError("must be names of variables and fields, joined by '.', such as EEG.data")
    if not re.fullmatch(r"[A-Za-z0-9_]*\*?[A-Za-z0-9_]*(\{trial\})?[A-Za-z0-9_]*", parts[0]) or not parts[0]:
        raise ValueError("must begin with a variable's name, which may contain {trial} and one *")
    if "*" in parts[0] and "{trial}" not in parts[0]:
        raise ValueError("`*` requires {trial}, as in *_eeg{trial}")
    if path.count("{trial}") > 1 or path.count("{subject}") > 1:
        raise ValueError("{trial} and {subject} may be used once")
    return path


def whole_number(value: object) -> object:
    """Convert digits to int, since the YAML reader keeps scalars as text and `Literal` does not convert."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value) else value


def _number_as_text(value: object) -> object:
    """A code written as a number, as text."""
    return code_text(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


WholeNumber = BeforeValidator(whole_number)
Text = Annotated[str, Field(max_length=4000)]
Word = Annotated[str, BeforeValidator(_number_as_text), Field(min_length=1, max_length=200)]
_NAME = r"^[a-z0-9][a-z0-9_\-]{0,62}$"
Name = Annotated[str, Field(pattern=_NAME)]
RelativePath = Annotated[str, Field(max_length=1000), AfterValidator(_relative)]
FilePattern = Annotated[str, Field(max_length=500), AfterValidator(_relative), AfterValidator(_few_wildcards)]
Address = Annotated[str, Field(max_length=2000), AfterValidator(_address)]
VariablePath = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_variable)]
Encoding = Annotated[str, Field(max_length=40), AfterValidator(_encoding)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hz = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=-86400, le=864000, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=864000, allow_inf_nan=False)]


class StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)


def check_name(name: str) -> None:
    """UsageError if a data set cannot have this name."""
    if not isinstance(name, str) or not re.fullmatch(_NAME, name):
        raise UsageError(
            "invalid name of a data set",
            found=repr(name)[:200],
            expected="at most 63 lower-case letters, digits, - and _; the first a letter or digit",
        )
