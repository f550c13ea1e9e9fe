"""`storyline configuration`: is a configuration of deals, tickets and automation right, and which one is in force?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from domain.configuration import configuration_schema
from domain.errors import BadInput, Problem
from storyline.cli.shared import JsonFlag, console, groups, print_json
from storyline.configuration import as_yaml, load_configuration, read_yaml
from storyline.exits import exit_code
from storyline.settings import Settings
from storyline.types import catalogue_of

__all__ = ["app"]

app = groups("The configuration of deals, tickets, service levels, assignment and automation.")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A YAML file; docs/configuration.md says how.", show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """Tell all that is wrong with a file, each with its line. Opens no database, changes nothing."""
    try:
        text = file.read_bytes()
    except OSError:
        told = Problem("FILE", "cannot be read.", "Name a YAML file, and see who may read it.")
        raise BadInput([told]) from None
    try:
        rules = read_yaml(text, catalogue_of(Settings().types_dir))
    except BadInput as error:
        for one in error.problems:
            if as_json:
                print_json({"field": one.field, "trouble": one.trouble, "way_out": one.way_out})
            else:
                console.print(f"{one.field}: {one.trouble}", markup=False, soft_wrap=True)
        raise typer.Exit(exit_code(error)) from None
    found = {
        "pipelines": len(rules.pipelines),
        "states": len(rules.tickets.states),
        "service_levels": len(rules.service_levels),
        "assignment": len(rules.assignment),
        "automation": len(rules.automation),
    }
    if as_json:
        print_json(found)
        return
    told_counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in found.items())
    console.print(f"{file.name} is right: {told_counts}.", markup=False, soft_wrap=True)


@app.command()
def show() -> None:
    """Write the configuration that is in force, as YAML, without what is as it is by default."""
    settings = Settings()
    rules = load_configuration(settings.configuration, catalogue_of(settings.types_dir))
    console.print(as_yaml(rules), markup=False, soft_wrap=True, end="")


@app.command()
def schema() -> None:
    """Write the JSON Schema of a configuration, for editors that check and complete while one types."""
    print_json(configuration_schema())
