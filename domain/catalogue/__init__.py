"""Which event types are built in? `builtin()` lists them; `load_catalogue` adds the deployment's own."""

from __future__ import annotations

from collections.abc import Iterable

from domain.catalogue import (
    books,
    call,
    chat,
    commerce,
    consent,
    deal,
    email,
    enrichment,
    feedback,
    identity,
    lead,
    meeting,
    note,
    profile,
    social,
    subscription,
    system,
    task,
    things,
    ticket,
    user,
    web,
)
from domain.catalogue.base import Content
from domain.catalogue.correction import Amendment, EventRetracted
from domain.catalogue.registry import BuiltIn, Catalogue, EventType

__all__ = ["builtin", "load_catalogue"]

_FAMILIES = (
    email,
    call,
    chat,
    meeting,
    commerce,
    books,
    subscription,
    web,
    feedback,
    social,
    ticket,
    deal,
    lead,
    note,
    task,
    user,
    profile,
    consent,
    identity,
    things,
    enrichment,
    system,
)


def _models() -> list[type[Content]]:
    named = [getattr(family, name) for family in _FAMILIES for name in family.__all__]
    return [*[model for model in named if issubclass(model, Content)], EventRetracted]


def builtin() -> list[EventType]:
    """The types that every deployment knows, family by family."""
    return _with_amendment([BuiltIn(model) for model in _models()])


def _with_amendment(types: list[EventType]) -> list[EventType]:
    return [*types, Amendment({one.name: one for one in types})]


def load_catalogue(deployment: Iterable[EventType] = ()) -> Catalogue:
    """The built-in types and the deployment's own. `storyline/types.py` reads those from their folder."""
    own = list(deployment)
    return Catalogue(_with_amendment([*[BuiltIn(model) for model in _models()], *own]))
