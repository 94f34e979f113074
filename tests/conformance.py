"""The conformance suite: from the contract of the service (`reference.yaml`) to the variants that a fake has to pass.

Run as a program, it prints how many variants each operation has, as a table.
"""

from collections import Counter
from functools import cache

from contract import OPERATIONS
from expectations import Variant
from page_variants import LISTS, page_variants
from request_variants import request_variants


@cache
def variants_of(operation: str) -> tuple[Variant, ...]:
    """Return all variants of an operation."""
    pages = page_variants(operation) if operation in LISTS else ()
    return (*request_variants(operation), *pages)


def counts() -> dict[str, int]:
    """Return how many variants each operation has."""
    return dict(Counter(variant.operation for name in OPERATIONS for variant in variants_of(name)))


def sentence() -> str:
    """Return the counts as the README tells them."""
    told = [f"{name} {count:,}" for name, count in counts().items()]
    return f"{', '.join(told)}: {sum(counts().values()):,} in all."


if __name__ == "__main__":
    print(sentence())
