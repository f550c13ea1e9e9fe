"""Which mapping takes in an XES file that nobody here has seen before? A proposal, to be read and mended by a person.

It takes in every event that has a time. What it guesses, it guesses by the names of attributes and activities, and
says so in a comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from adapters.xes_inspect import Facts, Survey
from adapters.xes_mapping import CASE, TRACE

__all__ = ["proposal", "summary"]

_CUSTOMER: Final = re.compile(
    r"customer|client(?!ele)|kunde|cliente|klant|debtor|patient|applicant|citizen|subscriber|e-?mail", re.IGNORECASE
)
_COMPANY: Final = re.compile(r"company|organi[sz]ation|firm", re.IGNORECASE)
_PRODUCT: Final = re.compile(r"^(case:)?(product|article|sku|produkt)(_?(id|code|no))?$", re.IGNORECASE)
_RESOURCE: Final = re.compile(r"resource|agent|employee|assignee|handler|performer|^user$", re.IGNORECASE)
_MASKED: Final = re.compile(r"(value|val|customer|client)?[ _-]?[0-9]+", re.IGNORECASE)
_NOUN: Final = r"( (a |the )?(ticket|case|incident|request|issue|claim|complaint))?"
_TYPES: Final = (
    ("ticket.opened", re.compile(rf"(insert|open|opened|create|created|register|registered|submit){_NOUN}")),
    ("ticket.assigned", re.compile(rf"(assign|assigned|take in charge){_NOUN}")),
    ("ticket.resolved", re.compile(rf"(resolve|resolved|solve|solved){_NOUN}")),
    ("ticket.reopened", re.compile(rf"(re-?open|re-?opened){_NOUN}")),
    ("ticket.closed", re.compile(rf"(close|closed){_NOUN}")),
)
_CODE: Final = 100
_REF: Final = 200


def summary(found: Survey) -> list[str]:
    """The survey in lines of text. It names activities and transitions, and no other values."""
    lines = [
        f"{', '.join(path.name for path in found.files)}: {found.traces:,} traces, {found.events:,} events"
        + (f", {found.outside:,} of them outside any trace" if found.outside else "")
        + "."
    ]
    if when := _time(found):
        facts = found.attributes[when[0]]
        lines.append(f"Times: {when[0]}, {facts.first:%Y-%m-%d} to {facts.last:%Y-%m-%d} (UTC).")
    lines.append(
        f"Against the event before in its trace: {found.copies:,} exact copies, {found.ties:,} at the same time, "
        f"{found.earlier:,} earlier. Trace names that come again: {found.traces_again:,}."
    )
    if found.troubles:
        told = ", ".join(f"{code} {count:,}" for code, count in sorted(found.troubles.items()))
        lines.append(f"Events that no mapping can take: {told}.")
    for header in found.headers:
        lines += [f"Classifier {name}: {keys}" for name, _, keys in header.classifiers[:10]]
        if header.event_globals or header.trace_globals:
            lines.append(
                f"Globals: {', '.join([*header.event_globals, *(CASE + key for key in header.trace_globals)])}"
            )
    lines += ["", "Attributes, in how many events (case: in how many traces), with how many values:"]
    for key, facts in sorted(found.attributes.items(), key=lambda pair: (pair[0].startswith(CASE), -pair[1].present)):
        changes = f", changes within {facts.changes:,} traces" if facts.changes else ""
        lines.append(
            f"  {key} ({'/'.join(sorted(facts.kinds))}): {facts.present:,}, {facts.distinct} values{changes}"
        )
    if found.more_attributes:
        lines.append("  … and further ones, which are not counted.")
    for name in (_activity(found), "lifecycle:transition"):
        if name is not None and (known := found.attributes.get(name)):
            if known.addresses:
                lines += ["", f"Values of {name} are not told: they hold addresses."]
                continue
            lines += ["", f"Values of {name}:"]
            lines += [f"  {count:,} {value}" for value, count in known.values.most_common(50)]
            lines += ["  …"] if len(known.values) > 50 or known.more else []
    return [_clean(line) for line in lines]


def proposal(found: Survey) -> str:
    """A mapping for `import xes` as TOML, the survey on top of it as comments."""
    lines = ["# Proposed by `storyline import xes --inspect`; read it before you import.", "#"]
    lines += [f"# {line}".rstrip() for line in summary(found)]
    slug = re.sub(r"[^a-z0-9_.-]+", "-", found.files[0].name.lower().partition(".xes")[0]).strip("-.")[:64] or "xes"
    lines += ["", "[event]", f"source = {_quoted(slug)}", *_identity(found), *_when(found), *_actor(found)]
    activity = _activity(found)
    lines += [f"activity = {_read(activity)}"] if activity and activity != "concept:name" else []
    lines += [*_state(found), "", *_case(found, slug), *_about(found, slug), "[order]"]
    lines.append(
        'ties = "spread"        # a microsecond later than the event before; "keep" leaves the time as it is'
    )
    lines.append('copies = "keep"        # "fold" leaves an exact copy of the event before out')
    lines += ["", *_activities(found)]
    return "\n".join(lines) + "\n"


def _identity(found: Survey) -> list[str]:
    case = _case_name(found)
    told = "traces without a name: they go by file and number" if case == TRACE else "and the position: NAME#3"
    return [f"id = {_read(case)}   # {told}"]


def _case_name(found: Survey) -> str:
    """What names a case: its trace, by the name that all traces have; where there are none, an attribute."""
    key = f"{CASE}concept:name"
    name = found.attributes.get(key)
    good = found.events - found.troubles.total()
    all_named = found.outside_named == good if found.outside else not found.traces_unnamed
    return key if name is not None and all_named and _is_ref(name) else TRACE


def _is_ref(facts: Facts) -> bool:
    """Whether the values may stand in clear on the log, as refs do."""
    return not facts.controls and not facts.addresses and facts.longest <= _REF


def _activity(found: Survey) -> str | None:
    """The attribute that says what was done: concept:name, or what a classifier names, or the busiest short text."""
    classified = (key for header in found.headers for one in header.classifiers for key in one[2].split())
    for key in ("concept:name", *classified):
        if key in found.attributes and found.attributes[key].present:
            return key
    texts = [
        (facts.present, -len(facts.values), key)
        for key, facts in found.attributes.items()
        if "string" in facts.kinds and not facts.more and not facts.times and not key.startswith(CASE)
    ]
    return max(texts)[2] if texts else None


def _time(found: Survey) -> tuple[str, str] | None:
    """The attribute that says when, and the form of its times: of those that most events have time:timestamp, or else
    the fullest, or else one of the traces."""
    good = found.events - found.troubles.total()
    best = [
        (not key.startswith(CASE) and 2 * count >= good, key == "time:timestamp", count, key, form)
        for key, facts in found.attributes.items()
        for form, count in facts.times.items()
    ]
    return max(best)[3:] if best else None


def _when(found: Survey) -> list[str]:
    when = _time(found)
    if when is None:
        return ['time = { attribute = "time:timestamp" }   # no attribute holds a time that is known: say which does']
    facts = found.attributes[when[0]]
    form = f", format = {_quoted(when[1])}" if when[1] else ""
    zone = ', zone = "UTC"' if facts.naive else ""
    lines = [f"time = {{ attribute = {_quoted(when[0])}{form}{zone} }}"]
    if facts.naive:
        lines[0] += f"   # {facts.naive:,} times have no offset: state their zone"
    missing = found.events - found.troubles.total() - facts.times[when[1]]
    if missing > 0 and not when[0].startswith(CASE):
        lines.append(f"# {missing:,} events have no such time; they are refused as `time`.")
    return lines


def _actor(found: Survey) -> list[str]:
    keys = [key for key in found.attributes if _RESOURCE.search(key) and not key.startswith(CASE) and "/" not in key]
    keys = (
        ["org:resource"] if "org:resource" in keys else sorted(keys, key=lambda key: -found.attributes[key].present)
    )
    if not keys:
        return []
    line = f"actor = {_read(keys[0])}"
    facts = found.attributes[keys[0]]
    if facts.addresses or not _is_ref(facts):
        return [f"# {line}   # not proposed: it holds more than codes, and a code stands in clear on the log"]
    return [f"{line}   # a code; it stands in clear on the log"]


def _state(found: Survey) -> list[str]:
    """The activity, with its transition where there are several, as the state; or as text, if it is no code."""
    activity = _activity(found)
    if activity is None:
        return []
    facts, step = found.attributes[activity], found.attributes.get("lifecycle:transition")
    names, longest = [activity], facts.longest
    if step is not None and len(step.values) > 1:
        names, longest = [activity, "lifecycle:transition"], longest + 1 + step.longest
    both = [one for one in (facts, step) if one is not None]
    is_code = longest <= _CODE and not any(one.controls or one.addresses for one in both)
    what = f"attribute = {_quoted(activity)}"
    if len(names) > 1:
        what = f'attributes = [{", ".join(map(_quoted, names))}], join = "+"'
    return [f"content.{'state' if is_code else 'comment'} = {{ {what} }}"]


def _case(found: Survey, slug: str) -> Iterator[str]:
    """The case as a ticket: the ref that gives it a timeline."""
    case = _case_name(found)
    yield from ("[[event.refs]]          # each case has a timeline of its own", 'kind = "ticket"')
    yield from (f"namespace = {_quoted(slug)}", f"attribute = {_quoted(case)}", "")


def _about(found: Survey, slug: str) -> Iterator[str]:
    """Whom and what it is about, as far as the names of attributes tell."""
    known = {key: facts for key, facts in found.attributes.items() if facts.present and "/" not in key}
    for wanted in (_CUSTOMER, _PRODUCT):
        keys = [key for key, facts in known.items() if wanted.search(key) and not facts.times]
        if not keys:
            continue
        key = max(keys, key=lambda key: (found.attributes[key].present, key))
        facts = found.attributes[key]
        if wanted is _PRODUCT:
            yield from _ref("product", slug, key) if _is_ref(facts) else ()
        elif 2 * facts.addresses >= facts.present:
            yield from (f"[[event.who]]           # {_clean(key)} seems to be whom it is about", 'kind = "email"')
            yield from (f"attribute = {_quoted(key)}", "")
        elif _is_ref(facts) and (_COMPANY.search(key) or all(map(_MASKED.fullmatch, facts.values))):
            yield "# Masked, or a company: a ref invents no person. A customer number would go into [[event.who]]."
            yield from _ref("organisation", slug, key)
        else:
            yield f"[[event.who]]           # {_clean(key)} seems to be whom it is about"
            yield from ('kind = "external"', f"namespace = {_quoted(slug)}", f"attribute = {_quoted(key)}", "")


def _ref(kind: str, slug: str, key: str) -> Iterator[str]:
    yield from ("[[event.refs]]", f"kind = {_quoted(kind)}", f"namespace = {_quoted(slug)}")
    yield from (f"attribute = {_quoted(key)}", "")


def _activities(found: Survey) -> Iterator[str]:
    """A rule for each activity whose name says what it is, and one for all others."""
    activity = _activity(found)
    facts = found.attributes[activity] if activity is not None else Facts()
    steps = found.attributes.get("lifecycle:transition", Facts()).values
    for kind, wanted in _TYPES:
        names = [name for name in facts.values if wanted.fullmatch(name.lower())]
        if names:
            yield from ("[[activity]]", f"names = [{', '.join(map(_quoted, sorted(names)))}]")
            yield from (['transitions = ["complete"]'] if "complete" in steps and len(steps) > 1 else [])
            yield from (f"type = {_quoted(kind)}", "")
    yield from ("[[activity]]            # any other activity", 'type = "ticket.state_changed"')


def _read(name: str) -> str:
    return f"{{ attribute = {_quoted(name)} }}"


def _quoted(text: str) -> str:
    """A text as TOML writes it: as JSON does, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _clean(text: str) -> str:
    """A text that may stand in a comment of one line."""
    return "".join(one if one.isprintable() else " " for one in text)[:300]
