"""`fakebatch scenarios`: what ships with the package, and what goes wrong in each."""

import argparse
from itertools import groupby

from ..scenarios import scenarios


def list_scenarios(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes its options
    """Print the name of each set, and below it those of its scenarios, with their first sentences."""
    known = list(scenarios())
    width = max(len(scenario.name) for scenario in known)
    for name, group in groupby(known, key=lambda scenario: scenario.belongs_to):
        print(f"{name} (all of these)")
        for scenario in group:
            about, _, _ = scenario.about.partition(". ")
            print(f"  {scenario.name:{width}}  {about.rstrip('.')}.")
    return 0
