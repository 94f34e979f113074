"""The fake answers as the contract of the service says, in every variant of it."""

from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import conformance
import pytest
from contract import BODIES, OPERATION_OF_BODY, OPERATIONS, REFERENCE, unknown_words
from conversation import Conversation, WorldError
from expectations import Variant
from field_variants import fields_of
from worlds import Collection


@pytest.fixture(scope="module")
def talk() -> Conversation:
    """One fake for all variants: each begins at its baseline."""
    return Conversation()


def failures(talk: Conversation, variants: Iterable[Variant]) -> list[str]:
    """Run variants, and return what is wrong."""
    wrong = []
    talk.collection = ("", 0)
    for variant in variants:
        if not (isinstance(variant.world, Collection) and variant.world.grows_from(talk)):
            talk.begin()
        talk.problems.clear()
        try:
            variant.world(talk)
            problem = variant.expectation.problem(talk, talk.ask(variant.request))
        except WorldError as error:
            problem = str(error)
        except (LookupError, TypeError, AttributeError) as error:  # an answer that is not what was relied on
            problem = f"{type(error).__name__}: {error}; {'; '.join(talk.problems[:1])}"
        if problem := problem or "; ".join(talk.problems):
            wrong.append(f"{variant.id}: {problem}")
    return wrong


@pytest.mark.fuzz
@pytest.mark.parametrize("operation", OPERATIONS)
def test_variants(talk: Conversation, operation: str) -> None:
    variants = conformance.variants_of(operation)
    wrong = failures(talk, variants)
    if wrong:
        pytest.fail(f"{len(wrong)} of {len(variants)} fail:\n" + "\n".join(wrong), pytrace=False)


def test_every_word_of_the_reference_is_understood() -> None:
    assert unknown_words() == []


@pytest.mark.parametrize(
    "path",
    [
        ("common",),
        ("common", "version"),
        ("operations", "ListJobs"),
        ("operations", "ListJobs", "query", "State"),
        ("operations", "DeleteJob", "states"),
        ("bodies", "ClusterDescription"),
        ("bodies", "ClusterDescription", "fields", "Name"),
        ("bodies", "ClusterDescription", "fields", "Name", "rules"),
        ("bodies", "ClusterDescription", "fields", "Name", "rules", "length"),
        ("bodies", "ClusterDescription", "fields", "Groups", "values", "fields", "Mode"),
        ("bodies", "DagJobDescription", "graphs", "cyclic"),
        ("answers", "Cluster", "fields", "Metrics", "fields", "RunningCount"),
    ],
)
def test_a_word_that_nobody_understands_is_noticed(path: tuple[str, ...]) -> None:
    reference: Any = deepcopy(dict(REFERENCE))
    node = reference
    for part in path:
        node = node[part]
    node["surprise"] = {}
    assert any(problem.endswith(".surprise") for problem in unknown_words(reference))


def test_no_two_variants_have_one_name() -> None:
    for operation in OPERATIONS:
        names = [variant.id for variant in conformance.variants_of(operation)]
        assert len(names) == len(set(names)), [name for name, count in Counter(names).items() if count > 1]


@pytest.mark.parametrize("body", BODIES)
def test_every_rule_of_every_field_has_its_variants(body: str) -> None:
    groups = {variant.label for variant in conformance.variants_of(OPERATION_OF_BODY[body])}
    for field in fields_of(body):
        for rule in field.rules:
            assert any(label.startswith(f"{rule}: {field.name}: ") for label in groups), (field.name, rule)
