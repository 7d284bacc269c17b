"""Make tracezip/_preset.txt, the strings that every tracezip stream knows before its first byte.

Source: the names and values published by OpenTelemetry's semantic conventions, read from the PyPI package
opentelemetry-semantic-conventions (Apache-2.0), version 0.66b2, stable and incubating modules, deprecated names
included. A few strings that the conventions' text prescribes but the package has no constant for stand in ``PROSE``.
Nothing comes from trace data: what is not in the conventions is not here.

The output is data: one string per line, UTF-8, LF, no duplicates, likeliest first, because a lower number costs fewer
bits. A string's line number is its number in the file format, so once a version of tracezip is published this file
never changes; a later list is a second file with its own preset version (see FORMAT.md).

    python tools/make_preset.py            write the file
    python tools/make_preset.py --check    exit 1 if the file differs from what the installed package gives
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import warnings
from collections.abc import Iterable, Iterator
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

PACKAGE = "opentelemetry-semantic-conventions"
PACKAGE_VERSION = "0.66b2"
TARGET = Path(__file__).resolve().parent.parent / "tracezip" / "_preset.txt"
MAX_STRINGS = 1500


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Prescribed or given as the value to expect by the conventions' text; the package has no constant for them.
PROSE = words("""
opentelemetry exception message http https HTTP 1.0 1.1 2 3 amqp mqtt unknown_service
feature_flag feature_flag.evaluation gen_ai.client.inference.operation.details gen_ai.evaluation.result
""")

# Published before the package began to list schemas, or left out of its list.
SCHEMAS_NOT_LISTED = words("""
1.24.0 1.22.0 1.20.0 1.19.0 1.18.0 1.17.0 1.16.0 1.15.0 1.14.0 1.13.0 1.12.0 1.11.0 1.10.0
1.9.0 1.8.0 1.7.0 1.6.1 1.5.0 1.4.0
""")

# What most spans and resources carry, likeliest first. Judgement, checked only for being in the conventions.
LEADING = words("""
service.name telemetry.sdk.language telemetry.sdk.name telemetry.sdk.version opentelemetry
http.method http.status_code http.url http.target http.scheme http.route http.host http.user_agent http.flavor
GET POST http https 1.1 PUT DELETE
http.request.method http.response.status_code url.full url.path url.scheme url.query
server.address server.port client.address network.peer.address network.peer.port network.protocol.version
network.protocol.name network.transport network.type tcp ipv4
user_agent.original error.type
net.peer.name net.peer.port net.peer.ip net.host.name net.host.port net.transport ip_tcp
net.sock.peer.addr net.sock.peer.port net.sock.host.addr net.sock.host.port net.protocol.name net.protocol.version
rpc.system rpc.service rpc.method rpc.grpc.status_code grpc
db.system db.statement db.name db.operation db.user db.connection_string db.sql.table
db.system.name db.query.text db.namespace db.operation.name db.collection.name
exception exception.type exception.message exception.stacktrace exception.escaped
messaging.system messaging.destination.name messaging.destination messaging.operation messaging.operation.type
messaging.operation.name messaging.message.id messaging.batch.message_count
thread.id thread.name code.function code.namespace code.filepath code.lineno code.function.name peer.service
service.version service.namespace service.instance.id host.name host.arch process.pid os.type os.description
deployment.environment deployment.environment.name container.id linux amd64
process.executable.name process.executable.path process.command process.command_args process.command_line
process.owner process.runtime.name process.runtime.version process.runtime.description
telemetry.distro.name telemetry.distro.version
k8s.pod.name k8s.namespace.name k8s.node.name k8s.deployment.name k8s.pod.uid k8s.pod.ip
java go python nodejs dotnet cpp webjs
http.request_content_length http.response_content_length http.client_ip http.server_name
message message.type message.id SENT RECEIVED
postgresql mysql redis mongodb kafka
cloud.provider cloud.region cloud.availability_zone cloud.account.id cloud.platform aws
""")

# Namespaces by how often traces carry them; each gives its stable names, then the others, then its values.
NAMESPACES = words("""
service telemetry http url server client network user_agent error net rpc db exception messaging code thread
process host os container k8s cloud deployment otel peer message faas aws graphql feature_flag gen_ai session
enduser user event log browser device dns tls gcp azure az cassandra elasticsearch mcp openai jsonrpc
cloudevents source destination heroku cloudfoundry oci oracle oracle_cloud openshift webengine
vcs cicd test artifact app file security_rule geo opentracing linux mainframe zos cpu profile state other pool
""")

# Measurements of machines and runtimes: metrics and profiles carry them, traces do not.
NOT_IN_TRACES = frozenset({"cpython", "disk", "hw", "nfs", "onc_rpc", "pprof", "system"})

Strings = dict[str, None]  # an ordered set


class Namespace:
    """The strings of one attribute module, in three drawers."""

    def __init__(self) -> None:
        self.stable: Strings = {}
        self.unstable: Strings = {}
        self.values: Strings = {}

    def add(self, module: ModuleType, is_stable: bool) -> None:
        names = self.stable if is_stable else self.unstable
        for constant, value in vars(module).items():
            if isinstance(value, str) and constant.isupper() and not is_template(constant, value):
                names[value] = None
        self.values |= dict.fromkeys(enum_values(module))


def is_template(constant: str, value: str) -> bool:
    """True for a name such as ``http.request.header``, to which a span appends a key of its own."""
    return constant.endswith("_TEMPLATE") and not value.endswith(".template")


def enum_values(module: ModuleType) -> Iterator[str]:
    for member in vars(module).values():
        if isinstance(member, type) and issubclass(member, Enum) and member is not Enum:
            yield from (str(choice.value) for choice in member if isinstance(choice.value, str))


def read_namespaces() -> dict[str, Namespace]:
    namespaces: dict[str, Namespace] = {}
    for package_name in ("opentelemetry.semconv.attributes", "opentelemetry.semconv._incubating.attributes"):
        package = importlib.import_module(package_name)
        for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
            name = info.name.removesuffix("_attributes")
            module = importlib.import_module(f"{package_name}.{info.name}")
            namespaces.setdefault(name, Namespace()).add(module, "_incubating" not in package_name)
    return namespaces


def read_first_names() -> Iterator[str]:
    """Names and values of the conventions before 1.25, some of which the newer modules have dropped."""
    for module_name in ("opentelemetry.semconv.trace", "opentelemetry.semconv.resource"):
        module = importlib.import_module(module_name)
        for holder in ("SpanAttributes", "ResourceAttributes"):
            names = vars(getattr(module, holder, object)).items() if hasattr(module, holder) else ()
            yield from (value for constant, value in names if constant.isupper() and "." in value)
        yield from enum_values(module)


def read_schema_urls() -> list[str]:
    """Schema URLs, newest first."""
    schemas = importlib.import_module("opentelemetry.semconv.schemas").Schemas
    earlier = [f"https://opentelemetry.io/schemas/{number}" for number in SCHEMAS_NOT_LISTED]
    return [*(schema.value for schema in reversed(schemas)), *earlier]


def make_strings() -> list[str]:
    namespaces = read_namespaces()
    unknown = set(namespaces) - set(NAMESPACES) - NOT_IN_TRACES
    if unknown:
        raise SystemExit(f"make_preset: namespaces without a place in NAMESPACES: {sorted(unknown)}")
    rest: Strings = {}
    for name in NAMESPACES:
        namespace = namespaces.get(name, Namespace())
        rest |= namespace.stable | namespace.unstable | namespace.values
    known = rest | dict.fromkeys(read_first_names()) | dict.fromkeys(PROSE)
    check_leading(known)
    schema_urls = read_schema_urls()
    return list(dict.fromkeys([*LEADING, *schema_urls, *known]))


def check_leading(known: Iterable[str]) -> None:
    strangers = [string for string in LEADING if string not in set(known)]
    if strangers:
        raise SystemExit(f"make_preset: not in the conventions: {strangers}")


def render(strings: list[str]) -> bytes:
    if len(strings) > MAX_STRINGS or any(not string or "\n" in string for string in strings):
        raise SystemExit(f"make_preset: {len(strings)} strings, at most {MAX_STRINGS}, none empty or of two lines")
    return "".join(f"{string}\n" for string in strings).encode()


def main() -> int:
    parser = argparse.ArgumentParser(description="Write tracezip/_preset.txt from the semantic conventions.")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    installed = version(PACKAGE)
    if installed != PACKAGE_VERSION:
        raise SystemExit(f"make_preset: needs {PACKAGE} {PACKAGE_VERSION}, found {installed}; pip install it first")
    warnings.simplefilter("ignore", DeprecationWarning)  # the deprecated names are wanted
    strings = make_strings()
    preset = render(strings)
    if arguments.check:
        return 0 if TARGET.read_bytes() == preset else 1
    TARGET.write_bytes(preset)
    print(f"{TARGET.name}: {len(strings)} strings, {len(preset)} bytes, from {PACKAGE} {installed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
