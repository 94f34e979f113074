"""Where things are in a checkout."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"
SCENARIOS = ROOT / "fakebatch" / "scenarios"
