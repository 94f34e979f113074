"""`FakeBatch`: one world, served.

It puts the layers together; what it does itself is starting, stopping and resetting.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from .errors import NotStartedError, ServerError
from .forks import in_child
from .service.accounts import Account
from .service.apps import APPS, App
from .service.clusters.live import Clusters
from .service.clusters.operations import CLUSTERS
from .service.clusters.records import Cluster
from .service.description import describe
from .service.images import IMAGES, Image
from .service.jobs.live import Jobs
from .service.jobs.operations import JOBS
from .service.jobs.records import Job
from .service.progress import End, Event, PhaseLength, RuleBuilder
from .service.registry import ANY, summary
from .service.script import CallNumbers, Step, StepBuilder
from .service.world import World
from .state.calls import Call, Calls
from .state.clock import Clock, WorldClock, utc_now
from .state.collection import Collection
from .state.parameters import MOST_BODY_BYTES, MOST_CONTROL_BYTES
from .wire.application import CONTROL
from .wire.application import App as Application
from .wire.responses import refuse
from .wire.server import Server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from .redirect.hosts import Target

Fixture = str | os.PathLike[str] | Image | Job | Cluster | App
"""What a world is made of: the path of a fixture file, the name of a scenario, or a record."""

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here


class FakeBatch:
    """A fake of BatchCompute: in this process, on a local port.

    Fixtures are paths of fixture files, names of scenarios of the package (`"fakebatch:throttled"`) and records, in any
    number and order; with none, the packaged default catalogue. `accounts` add to those of the files: with any,
    requests must be signed. `clock` is the server's, and dates new records; it returns a datetime (UTC if it has no
    zone); by default it is the machine's. `port` 0 picks a free one. `control` offers the control interface at
    `/_fakebatch/`, for tests in other languages and for people: to requests for an IP address, for `localhost`, or for
    one of `control_hosts`. `tls` serves HTTPS, with certificates for which `ca_bundle` vouches. `on_call` is called, in
    a thread of the server's, with each `Call`, before its answer is sent. It may use the fake, stop it too, but not ask
    it over HTTP: the answer would wait for this thread.

    In a `with` statement it is served from its beginning to its end. It is a WSGI application as well, for any WSGI
    server or test client.

    Raises FixtureError, listing everything that is wrong with the fixture files, and TypeError for an option of the
    wrong type.
    """

    def __init__(
        self,
        *fixtures: Fixture,
        accounts: Iterable[Account] = (),
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        on_call: Callable[[Call], None] | None = None,
        control: bool = False,
        control_hosts: Iterable[str] = (),
    ) -> None:
        _check_options(host, port, clock, on_call, control)
        self._has_control, self._control_hosts = control, _names(control_hosts)
        self._host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        self._port, self._tls = port, tls
        self._server: Server | None = None
        # By whether they speak TLS. The one that was not asked for is added when a redirect needs it. A stop keeps
        # them, so that a test can play an outage.
        self._ports: dict[bool, int] = {}
        self._starting = threading.RLock()
        in_child(self, FakeBatch._after_fork)
        self.world: World = World(describe(fixtures or None, accounts), clock or utc_now)
        self._app = Application(self.world, on_call, self._answer_control if control else None)

    def _answer_control(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        from .control.api import answer

        return answer(self.world, self._control_hosts, environ, start_response)

    def show(self, world: World) -> None:
        """Serve another world under the same URL, from its baseline on. What is still being asked is cut off."""
        if self._server is not None:
            self._server.hang_up()
        world.begin()
        self.world = self._app.world = world

    def start(self) -> Self:
        """Listen, and answer from now on, on the ports of before if it was stopped.

        Raises ServerError if a port is taken, and if it has ended since it was started.
        """
        with self._starting:
            if self._server is not None and self._server.is_inherited:
                # The parent goes on serving on its ports.
                self._server, self._ports = None, {}
            if self._server is None:
                larger = (CONTROL, MOST_CONTROL_BYTES) if self._has_control else None
                self._server = Server(self._app, refuse, self._tell, MOST_BODY_BYTES, larger)
                ports = {self._tls: self._port, **self._ports}
                try:
                    for tls, port in ports.items():
                        self._listen(self._server, tls, port)
                except BaseException:
                    self.stop()
                    raise
            self._running()
        return self

    def _listen(self, server: Server, tls: bool, port: int = 0) -> int:
        choose = None
        if tls:
            from .wire.certificates import choose_context

            choose = choose_context(self._host)
        self._ports[tls] = server.listen(self._host, port, choose)
        return self._ports[tls]

    def _serve(self, *, tls: bool) -> int:
        """Return the port that speaks TLS or the one that does not, which is added if it is not there yet.

        Raises ServerError if the fake is not started.
        """
        with self._starting:
            server = self._running()
            return self._ports[tls] if tls in self._ports else self._listen(server, tls)

    def stop(self) -> None:
        """Stop, within milliseconds: connections are dropped, delayed answers are never sent.

        It can be started again, and listens on the same ports then. Raises ServerError if it had ended before.
        """
        with self._starting:
            server, self._server = self._server, None
            if server is not None:
                if server.is_inherited:  # the ports are its parent's
                    self._ports = {}
                try:
                    server.check()
                finally:
                    server.stop()

    def _tell(self, error: BaseException) -> None:
        self.world.tell(error)

    def _after_fork(self) -> None:
        """Take a lock of its own for a forked child."""
        self._starting = threading.RLock()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise what went wrong unseen since this was last asked: what a callback (`on_call`, `clock`, a reply's
        function) or the fake itself raised while it answered requests, and an `on(...)` that never got an effect.

        Of several such things, raises all as an ExceptionGroup.
        """
        failures = self.world.take_failures()
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise BaseExceptionGroup("several things went wrong while the fake answered requests", failures)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request, as WSGI has it, with no socket. A scripted drop is raised as a ConnectionError."""
        return self._app(environ, start_response)

    def _running(self) -> Server:
        server = self._server
        if server is None:
            raise NotStartedError("this fake is not started; use it in a with statement, or call start()")
        try:
            server.check()
        except ServerError:
            self._server = None
            raise
        return server

    @property
    def host(self) -> str:
        """The address it listens on. Raises ServerError, as `port` and `url` do, if it is not started."""
        self._running()
        return self._host

    @property
    def _reached_at(self) -> str:
        """The address at which clients on this machine reach it: not every system connects to `0.0.0.0` and `::`."""
        return _LOOPBACK.get(self.host, self.host)

    @property
    def port(self) -> int:
        """The port it listens on."""
        self._running()
        return self._ports[self._tls]

    @property
    def url(self) -> str:
        """Where it is: `http://127.0.0.1:49152`, or `https://...` with TLS.

        Of one that listens on all addresses of the machine, this machine's own.
        """
        address = self._reached_at
        host = f"[{address}]" if ":" in address else address
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def ca_bundle(self) -> str:
        """The path of a PEM file with the certificate that vouches for the fake: for `verify=` and the like.

        Raises ServerError, saying what to install, where the extra `fakebatch[tls]` is missing.
        """
        from .wire.certificates import ca_bundle

        return ca_bundle()

    @contextmanager
    def redirect(self) -> Iterator[Self]:
        """Lead the service's host names to this fake, in this process, while the `with` statement runs.

        `batchcompute.{region}.aliyuncs.com` and `batchcompute-vpc.{region}.aliyuncs.com`, of any region, on port 80
        and, with the extra `fakebatch[tls]`, on port 443, with certificates that clients trust meanwhile. It works for
        what resolves and connects through the standard library, uvloop or aiodns, in any thread, and in forked children
        and processes of `multiprocessing`. Clients that obey `no_proxy` ask past the environment's proxies meanwhile,
        where they are made inside of it. Name lookups by gevent, and queries of name servers, are refused.

        Raises ServerError if the fake is not started, and RuntimeError inside of another fake's redirect, and where
        gevent has replaced the sockets of this process.
        """
        from .redirect.hosts import Redirect

        with Redirect(self._target()):
            yield self

    def environment(self) -> dict[str, str]:
        """Return the variables with which a child Python process is redirected as well.

        They are to be merged into its environment, and hold while this fake runs. A child of Python 3.8 or later is
        redirected from its start on, as by `redirect`, and an older one ends and says why. One that takes no notice of
        its environment (`python -I`, `-E` or `-S`) is not redirected.

        Raises ServerError if it is not started.
        """
        from .redirect.hosts import ENVIRONMENT_VARIABLE, described

        folders = [str(Path(__file__).parent / "redirect" / "child"), os.environ.get("PYTHONPATH", "")]
        return {
            ENVIRONMENT_VARIABLE: described(self._target()),
            "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        }

    def _target(self) -> "Target":
        from .redirect.hosts import Target
        from .wire.certificates import ca_bundle

        return Target(self._reached_at, self._plain_port, self._tls_port, ca_bundle)

    def _plain_port(self) -> int:
        return self._serve(tls=False)

    def _tls_port(self) -> int:
        return self._serve(tls=True)

    @property
    def images(self) -> Collection[Image]:
        """The images, by Id: a live collection."""
        return self.world.collection(IMAGES)

    @property
    def jobs(self) -> Jobs:
        """The jobs, by Id: a live collection, and what moves them by hand."""
        return cast("Jobs", self.world.collection(JOBS))

    @property
    def clusters(self) -> Clusters:
        """The clusters, by Id: a live collection, and what moves their VMs by hand."""
        return cast("Clusters", self.world.collection(CLUSTERS))

    @property
    def apps(self) -> Collection[App]:
        """The apps, by name: a live collection. Another owner's is `42:echo`, a public one `Public:echo`."""
        return self.world.collection(APPS)

    @property
    def clock(self) -> WorldClock:
        """The time that moves progress, and that new things get: `fake.clock.advance(90)`, in seconds."""
        return self.world.clock

    @property
    def events(self) -> list[Event]:
        """The notifications that the service would have sent since the last reset, JSON-ready, in order of time."""
        return self.world.events

    def progress(
        self,
        *,
        job: str | None = None,
        cluster: str | None = None,
        waiting: PhaseLength | None = None,
        running: PhaseLength | None = None,
        starting: PhaseLength | None = None,
        deleting: PhaseLength | None = None,
        end: End = "Finished",
    ) -> RuleBuilder:
        """Say how those jobs, or those clusters, go on by themselves that are created or started from now on.

        As in `fake.progress(job="nightly-*", waiting=1, running=3)`. `job` or `cluster` is a name, with `*` and `?`.
        `waiting` and `running` (of each layer of a job's DAG), `starting` (of VMs) and `deleting` are a number of
        polls, `"30s"`, `"2m"` or `"1h"` by `fake.clock`, or `"forever"`. `end="Stopped"` has somebody else stop it.
        The newest rule that matches counts. It holds until the next `reset()`.

        Raises ValueError for a length that is none, and TypeError for a name that is no text.
        """
        return self.world.progress(
            job=job, cluster=cluster, waiting=waiting, running=running, starting=starting, deleting=deleting, end=end
        )

    @property
    def calls(self) -> Calls:
        """What was asked and answered since the last reset. A call is here before its response reaches the client."""
        return self.world.calls

    @property
    def expect(self) -> Any:
        """The free data of the fixture file's section `expect`; None if there is none."""
        return self.world.expect

    @property
    def unused_steps(self) -> list[Step]:
        """The steps of the script that have not acted since the last reset."""
        return self.world.unused_steps

    @property
    def never_used_steps(self) -> list[Step]:
        """The steps of the script that have never acted in this test, whatever resets there were in it."""
        return self.world.never_used_steps

    def on(
        self,
        operation: str = ANY,
        calls: CallNumbers | None = None,
        where: Mapping[str, str | int | float | bool] | None = None,
        *,
        account: str | None = None,
        host: str | None = None,
    ) -> StepBuilder:
        """Return a step, to be told what to do: it is in the script from its first effect on.

        As in `fake.on("ListImages", calls=2).fail("Throttling")`. `operation` may be `"any"`. `calls` counts, from 1,
        the calls that match: `2`, `"2-4"`, `"3-"`, or a list of these; without it the step acts at each. `where` gives
        values that parameters of the path, the query or the body must have. `account` is the access key Id that must
        have signed, `host` the host name, with `*`, that the request must be for.

        Raises ValueError for an unknown operation or parameter and for malformed `calls`, and TypeError for values of
        another type. An `on(...)` that never gets an effect is a mistake, of which `check` tells.
        """
        return self.world.on(operation, calls, where, account, host)

    def sdk_client(self, access_key_id: str | None = None, access_key_secret: str | None = None, **options: Any) -> Any:
        """Return a client of the official SDK that is pointed here; the options are those of `batchcompute.Client`.

        The key is by default that of the first account, or any where there are no accounts. None of the SDK's
        process-wide settings is touched: clients of several fakes work side by side, and there is nothing to restore.

        Raises ModuleNotFoundError, saying what to install, where the SDK is missing.
        """
        from .sdk import client

        account = next(iter(self.world.accounts.values()), Account("any-id", "any-secret"))
        key_id = account.access_key_id if access_key_id is None else access_key_id
        secret = account.access_key_secret if access_key_secret is None else access_key_secret
        ca = self.ca_bundle if self._tls else None
        return client(self._reached_at, self.port, key_id, secret, ca, **options)

    def reset(self) -> None:
        """Return to the fixtures: images, script, calls, and everything else that requests have left behind."""
        self.world.reset()

    def __repr__(self) -> str:
        where = self.url if self._server else "not started"
        return f"<FakeBatch {where}, {summary(self.world.collections)}>"


def _names(hosts: object) -> frozenset[str]:
    names: list[object] = list(hosts) if isinstance(hosts, Iterable) and not isinstance(hosts, str) else [None]
    known = [name.lower() for name in names if isinstance(name, str) and name and ":" not in name]
    if len(known) < len(names):
        raise TypeError(f"control_hosts is a list of host names such as ['fakebatch'], without ports, not {hosts!r}")
    return frozenset(known)


def _check_options(host: object, port: object, clock: object, on_call: object, control: object) -> None:
    if not isinstance(host, str):
        raise TypeError(f"host is a text such as '127.0.0.1', not {host!r}")
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"port is a number from 0 (a free one) to 65535, not {port!r}")
    if clock is not None and not callable(clock):
        raise TypeError(f"clock is a function that returns a datetime, not {clock!r}")
    if on_call is not None and not callable(on_call):
        raise TypeError(f"on_call is a function that is called with each Call, not {on_call!r}")
    if not isinstance(control, bool):
        raise TypeError(f"control is True or False, not {control!r}; the hosts that it answers to are control_hosts")
