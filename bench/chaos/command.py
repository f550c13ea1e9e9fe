"""Does Storyline keep its promises while everything that it stands on breaks? `storyline bench chaos`.

Rounds of faults on real processes, under writers that note every answer; after each round everything that was
acknowledged is held against the log and the read models. Ends with 1 when anything is lost, doubled or else wrong.
See docs/chaos.md.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import warnings
from collections.abc import Sequence

from bench.chaos.breaks import BREAKS
from bench.chaos.kills import KILLS
from bench.chaos.report import show
from bench.chaos.rounds import Round, play
from bench.chaos.scene import Fault
from bench.chaos.servers import servers
from bench.chaos.stage import Casting, stage
from bench.chaos.stalls import STALLS
from bench.chaos.without import CONTROLS
from bench.report import progress
from tests.support.kafka import NoKafkaError

__all__ = ["FAULTS", "main", "plan"]

FAULTS = {fault.name: fault for fault in (*KILLS, *STALLS, *BREAKS)}


def plan(seed: int, rounds: int, names: Sequence[str]) -> list[tuple[str, int]]:
    """[(fault, seed of the round)]: all of them in a random order, then all again. The same seed, the same plan."""
    rng = random.Random(seed)
    found: list[tuple[str, int]] = []
    while len(found) < rounds:
        found += [(name, rng.randrange(2**31)) for name in rng.sample(list(names), len(names))]
    return found[:rounds]


def main(arguments: list[str]) -> None:
    """Run it; see the module."""
    given = _parser().parse_args(arguments)
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a log line of the product's own parts is no JSON
            rounds = _run(given, seed)
    except NoKafkaError as error:
        progress(f"No chaos: {error}")
        sys.exit(2)
    show(rounds, seed, given.json)
    sys.exit(1 if any(one.red for one in rounds) else 0)


def _run(given: argparse.Namespace, seed: int) -> list[Round]:
    kafka = given.log == "kafka"
    casting = Casting(given.projectors, given.inboxes, given.apis)
    only = given.only or [CONTROLS[name] for name in given.without]
    if "one-of-three" in only:
        given.brokers = 3
    wants_disk = not only or "disk-full" in only
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # kafka-python leaves refused sockets to the collector
        with servers(kafka, given.brokers, wants_disk) as held:
            has = {"kafka"} if kafka else set()
            has |= {"broker"} if held.broker else set()
            has |= {"cluster"} if held.cluster else set()
            has |= {"projectors"} if given.projectors > 1 else set()
            has |= {"small-disk"} if held.small else set()
            names = _able(only, has)
            planned = plan(seed, given.rounds, names)
            progress(f"seed {seed}; plan: {', '.join(name for name, _ in planned)}")
            with stage(held, casting, seed, given.without) as one:
                steps = [(FAULTS[name], number) for name, number in planned]
                return list(play(one, steps, given.seconds, given.rebuild_every))


def _able(only: Sequence[str], has: set[str]) -> list[str]:
    """The faults that can be had here; those that cannot are named."""
    wanted: list[Fault] = [FAULTS[name] for name in only] or list(FAULTS.values())
    for fault in wanted:
        if fault.needs - has and (only or "cluster" not in fault.needs):
            progress(f"LEFT OUT {fault.name}: it needs {', '.join(sorted(fault.needs - has))}, not to be had here")
    found = [fault.name for fault in wanted if not fault.needs - has]
    if not found:
        progress("No fault is left.")
        sys.exit(2)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="storyline bench chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long faults go on in a round")
    parser.add_argument("--seed", type=int, help="the same seed makes the same plan; default: drawn, and printed")
    parser.add_argument("--only", action="append", choices=FAULTS, help="this fault, several times for several")
    parser.add_argument("--log", choices=("kafka", "embedded"), default="kafka")
    parser.add_argument("--projectors", type=int, default=4)
    parser.add_argument("--inboxes", type=int, default=2)
    parser.add_argument("--apis", type=int, default=2)
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument(
        "--without", action="append", choices=CONTROLS, default=[], help="a negative control: has to go red"
    )
    parser.add_argument("--rebuild-every", type=int, default=5, help="rounds between rebuilds; one is at the end")
    parser.add_argument("--json", action="store_true", help="a list of rounds, for scripts")
    return parser
