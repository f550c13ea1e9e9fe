"""How does a deployment add an event type of its own? By a file with a JSON Schema, and no code.

    {"type": "course.enrolled", "version": 2, "category": "touchpoint", "channel": "academy", "direction": "in",
     "doc": "A customer enrolled in a course.", "line": "Enrolled in {course}",
     "money": {"amount": "fee", "currency": "currency"},
     "schema": {"type": "object", "required": ["course"], "properties": {
         "course": {"type": "string", "maxLength": 40, "x-public": true}, …}},
     "upcasters": {"1": [{"rename": {"class": "course"}}, {"default": {"fee": 0}}, {"remove": ["room"]}]}}

`x-public` marks the fields that stand in clear and that folds may read; all others are personal. The schema describes
the newest version; `upcasters` raise a content of version n to n + 1, step by step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from domain.catalogue.base import DIALECT, Direction, Money
from domain.catalogue.dialect import compile_schema, problems_in, resolved
from domain.catalogue.registry import Category
from domain.catalogue.trouble import problems_of
from domain.catalogue.wording import excerpt, number
from domain.errors import BadInput, Misconfigured, Problem

__all__ = ["RESERVED", "DeploymentType", "deployment_types"]

RESERVED: Final = ("storyline", "identity", "event", "segment", "target")
"""Families that no deployment may add to."""

_TYPE: Final = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z0-9_.]+)\}")
_ADDRESS: Final = re.compile("[@\x00-\x1f\x7f]")
_LONGEST_CODE: Final = 200
_PLAIN: Final = frozenset({"string", "number", "integer", "boolean"})
_UNKNOWN: Final = "(not known)"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class _MoneyPaths(_Strict):
    amount: str
    currency: str


class _Step(_Strict):
    """One change of the fields at the top of a content."""

    rename: dict[str, str] = {}
    default: dict[str, Any] = {}
    remove: list[str] = []

    def apply(self, content: dict[str, Any]) -> None:
        for old, new in self.rename.items():
            if old in content:
                content[new] = content.pop(old)
        for name, value in self.default.items():
            content.setdefault(name, value)
        for name in self.remove:
            content.pop(name, None)


class TypeSpec(_Strict):
    """What a type's file holds."""

    type: Annotated[str, StringConstraints(max_length=100, pattern=_TYPE)]
    version: Annotated[int, Field(ge=1, le=1000)] = 1
    category: Literal["touchpoint", "record"]
    channel: Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9_.-]+$")] | None = None
    direction: Direction | None = None
    doc: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    line: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    money: _MoneyPaths | None = None
    content: Annotated[dict[str, Any], Field(alias="schema")]
    upcasters: dict[str, list[_Step]] = {}


class DeploymentType:
    """An event type of the deployment. `origin` is the file that errors name."""

    def __init__(self, spec: Any, origin: str = "the type's file") -> None:
        try:
            read = TypeSpec.model_validate(spec)
        except ValidationError as error:
            first = problems_of(error, "")[0]
            raise Misconfigured(f"{origin}: {first.field} {first.trouble} {first.way_out}") from None
        family = read.type.partition(".")[0]
        if family in RESERVED:
            raise Misconfigured(f"{origin}: the family {family}.… is Storyline's own; give the type another name.")
        self.origin = origin
        self.name, self.version, self.doc = read.type, read.version, read.doc
        self.category: Category = read.category
        self.channel, self._direction = read.channel, read.direction
        self._line, self._money = read.line, read.money
        self._schema = resolved(read.content, origin)
        self._validator = compile_schema(self._schema)
        self._steps = _steps(read, origin)
        _check_marks(self._schema, origin, "schema")
        for path in _PLACEHOLDER.findall(read.line):
            _at_path(self._schema, path, origin, "line")
        for path in (read.money.amount, read.money.currency) if read.money else ():
            if _at_path(self._schema, path, origin, "money").get("x-public") is not True:
                raise Misconfigured(f'{origin}: money names {path}, which is not marked; mark it "x-public": true.')

    def read(self, content: Any, version: int) -> tuple[dict[str, Any], dict[str, Any], Direction | None]:
        """Check a content and split it by the marks; see `EventType.read`."""
        if version < self.version:
            content = self.raise_to_current(content, version)
        problems = problems_in(self._validator, content, "data.content")
        if problems:
            raise BadInput(problems)
        public, personal = _split(content, self._schema, "data.content")
        return public, personal, self._direction

    def raise_to_current(self, content: Any, version: int) -> Any:
        """Apply the steps of each version between; what is no object stays as it is."""
        if not isinstance(content, dict):
            return content
        raised = dict(content)
        for older in range(version, self.version):
            for step in self._steps[older]:
                step.apply(raised)
        return raised

    def show(self, content: Any) -> tuple[str, Money | None]:
        """The line, and the money if both its parts are known."""
        line = _PLACEHOLDER.sub(lambda found: _as_text(_value_at(content, found.group(1))), self._line)
        return line, self._money_of(content)

    @property
    def upcasters(self) -> Mapping[int, list[_Step]]:
        """What makes a content of each older version one of the next, step by step."""
        return self._steps

    @property
    def declares_money(self) -> bool:
        """May an event of this type bring or give back money?"""
        return self._money is not None

    def schema(self) -> dict[str, Any]:
        """The deployment's schema, with its references put in place."""
        return {"$schema": DIALECT, **_as_json(self._schema)}

    def _money_of(self, content: Any) -> Money | None:
        if self._money is None:
            return None
        amount, currency = _value_at(content, self._money.amount), _value_at(content, self._money.currency)
        if isinstance(amount, bool) or not isinstance(amount, (int, float, str, Decimal)) or not currency:
            return None
        try:
            return Money(Decimal(str(amount)), str(currency))
        except InvalidOperation:
            return None


def deployment_types(specs: Iterable[tuple[str, Any]], taken: Iterable[str]) -> list[DeploymentType]:
    """Types out of (file name, its JSON). `taken`: names of the built-in types. Raises Misconfigured."""
    known = dict.fromkeys(taken, "a built-in type")
    found = []
    for origin, spec in specs:
        made = DeploymentType(spec, origin)
        if made.name in known:
            raise Misconfigured(f"{origin}: {made.name} is already the name of {known[made.name]}; give it another.")
        known[made.name] = f"the type in {origin}"
        found.append(made)
    return found


def _steps(spec: TypeSpec, origin: str) -> Mapping[int, list[_Step]]:
    wanted = [str(version) for version in range(1, spec.version)]
    if sorted(spec.upcasters) != sorted(wanted):
        told = f"one for each of {', '.join(wanted)}" if wanted else "none, because there is one version only"
        raise Misconfigured(f"{origin}: upcasters are not those that version {spec.version} needs; give {told}.")
    return {int(version): steps for version, steps in spec.upcasters.items()}


def _types(schema: Mapping[str, Any]) -> list[str]:
    kind = schema.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def _check_marks(schema: Mapping[str, Any], origin: str, place: str) -> None:
    """A public field is a number, a truth value, or a short code; an object's leaves are marked one by one."""
    if "x-public" in schema:
        _check_public(schema, f"{origin}: {place}")
        return
    for name, child in schema.get("properties", {}).items():
        _check_marks(child, origin, f"{place}/{name}")
    if isinstance(schema.get("items"), dict):
        _check_marks(schema["items"], origin, f"{place}/items")
        if schema["items"].get("x-public") is not None:
            raise Misconfigured(f"{origin}: {place}/items is marked; mark the array itself.")


def _check_public(schema: Mapping[str, Any], place: str) -> None:
    if schema["x-public"] is not True:
        raise Misconfigured(f"{place} has an x-public that is not true; leave it out where a field is personal.")
    of = schema.get("items") if "array" in _types(schema) else schema
    kinds = [kind for kind in _types(of) if kind != "null"] if isinstance(of, dict) else []
    if not isinstance(of, dict) or not kinds or not set(kinds) <= _PLAIN:
        raise Misconfigured(f"{place} is marked public; only a field with a plain type, or an array of them, can be.")
    coded = "enum" in of or "const" in of or of.get("maxLength", _LONGEST_CODE + 1) <= _LONGEST_CODE
    if "string" in kinds and not coded:
        way_out = f"only codes are public: add enum, or maxLength up to {_LONGEST_CODE}"
        raise Misconfigured(f"{place} is a public text; {way_out}.")


def _at_path(schema: Mapping[str, Any], path: str, origin: str, used_in: str) -> Mapping[str, Any]:
    for name in path.split("."):
        found = schema.get("properties", {}).get(name)
        if found is None:
            raise Misconfigured(
                f"{origin}: {used_in} names {path}, which the schema does not have; add or rename it."
            )
        schema = found
    return schema


def _split(value: Any, schema: Mapping[str, Any], field: str) -> tuple[Any, Any]:
    """(public, personal) of an object, or of an array of objects, by the marks."""
    if isinstance(value, list):
        pairs = [_split(item, schema["items"], f"{field}[{place}]") for place, item in enumerate(value)]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    public: dict[str, Any] = {}
    personal: dict[str, Any] = {}
    properties = schema.get("properties", {})
    for name, item in value.items():
        child = properties.get(name, {})
        if child.get("x-public"):
            _check_code(item, f"{field}.{name}")
            public[name] = item
        elif _has_marks(child) and _is_splittable(item):
            public[name], personal[name] = _split(item, child, f"{field}.{name}")
        else:
            personal[name] = item
    return public, personal


def _is_splittable(item: Any) -> bool:
    return isinstance(item, dict) or (isinstance(item, list) and all(isinstance(one, (dict, list)) for one in item))


def _has_marks(schema: Mapping[str, Any]) -> bool:
    if schema.get("x-public"):
        return True
    children = [*schema.get("properties", {}).values()]
    if isinstance(schema.get("items"), dict):
        children.append(schema["items"])
    return any(_has_marks(child) for child in children)


def _check_code(item: Any, field: str) -> None:
    for one in item if isinstance(item, list) else [item]:
        if isinstance(one, str) and _ADDRESS.search(one):
            way_out = "Send a code without @ and control characters; it stands in clear, so never an address."
            raise BadInput([Problem(field, "is not a code.", way_out)])


def _value_at(content: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(content, dict):
            return None
        content = content.get(name)
    return content


def _as_json(value: Any) -> Any:
    """The schema's exact decimals as plain JSON numbers."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _as_json(item) for name, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, list) else value


def _as_text(value: Any) -> str:
    if value is None or value == "":
        return _UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, Decimal)):
        return number(value)
    return excerpt(value) if isinstance(value, str) else _UNKNOWN
