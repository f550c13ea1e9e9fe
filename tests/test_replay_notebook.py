"""Does the notebook of the documentation run, and are the figures that it shows those of the shop's year?"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from adapters.sample import Sample

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs" / "replay.ipynb"


def shown(notebook: Any) -> str:
    """All that its cells print."""
    return "".join(one.get("text", "") for cell in notebook.cells for one in cell.get("outputs", []))


def told_revenue() -> Decimal:
    """What the shop's year comes to, told by whoever made it up."""
    amounts: dict[tuple[str, str], Decimal] = {}
    events = [told.event for told in Sample(people=100).told]
    for event in events:
        if event["type"] == "purchase.made" and event["data"]["content"]["currency"] == "GBP":
            amounts[event["source"], event["id"]] = Decimal(event["data"]["content"]["amount"])
    for event in events:
        for one in event["data"].get("about", ()):
            name = one["source"], one["id"]
            if event["type"] == "event.amended" and name in amounts:
                amounts[name] = Decimal(event["data"]["content"]["content"]["amount"])
            if event["type"] == "event.retracted":
                amounts.pop(name, None)
    return sum(amounts.values(), Decimal(0))


@pytest.mark.filterwarnings("default")  # what the notebook's machinery has to warn of is not ours
@pytest.mark.timeout(280)
def test_S45_the_notebook_runs_and_shows_what_it_says_it_shows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    kept = nbformat.read(NOTEBOOK, as_version=4)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    revenue = f"{told_revenue():.2f}"
    assert f"{revenue} {revenue} True" in shown(notebook)
    reported, today = [line for line in shown(notebook).splitlines() if " orders, " in line]
    assert reported.partition(": ")[2] != today.partition(": ")[2], "some of July was known later"
    said = shown(kept).splitlines()
    assert [line for line in shown(notebook).splitlines() if line in said] == said, (
        "what readers see is what it shows"
    )
