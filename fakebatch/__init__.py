"""A fake of Alibaba Cloud BatchCompute's images API.

Everything public is here, and is imported when it is first used: pytest imports this package in every run of everyone
who has it installed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import ApiError, FixtureError, Problem, ServerError
    from .fake import FakeBatch
    from .service.accounts import Account
    from .service.images import Image
    from .state.calls import Call

__all__ = ["Account", "ApiError", "Call", "FakeBatch", "FixtureError", "Image", "Problem", "ServerError"]

_HOMES = {
    "Account": "service.accounts",
    "ApiError": "errors",
    "Call": "state.calls",
    "FakeBatch": "fake",
    "FixtureError": "errors",
    "Image": "service.images",
    "Problem": "errors",
    "ServerError": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fakebatch' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"fakebatch.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
