"""Where a server is: ``[http://]host[:port]``, as MBUILD_HOST and ``--host`` say it."""

from dataclasses import dataclass
from ipaddress import ip_address

HOST = "127.0.0.1"
PORT = 11434


class BadAddress(ValueError):
    """A text that is no address of a server."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no address: it is HOST, HOST:PORT or http://HOST:PORT")
        self.text = text


@dataclass(frozen=True, slots=True)
class Address:
    """A host, by name or number, and a port; 0: any that is free."""

    host: str = HOST
    port: int = PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    @property
    def reachable(self) -> "Address":
        """The address for a client on this machine: one server may listen everywhere."""
        try:
            everywhere = ip_address(self.host).is_unspecified
        except ValueError:
            everywhere = False
        return Address(HOST, self.port) if everywhere else self


def parse(text: str) -> Address:
    """The address that *text* is; what it does not say is the default.

    >>> str(parse("localhost")), str(parse("http://10.0.0.1:80/")), str(parse(":8080"))
    ('localhost:11434', '10.0.0.1:80', '127.0.0.1:8080')

    Raises:
        BadAddress: it is none; of schemes there is only http.
    """
    scheme, separator, rest = text.strip().strip("\"'").rpartition("://")
    if separator and scheme.lower() != "http":
        raise BadAddress(text)
    rest = rest.partition("/")[0]
    if rest.startswith("["):
        host, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    elif rest.count(":") > 1:
        host, port = rest, ""
    else:
        host, _, port = rest.partition(":")
    if any(each.isspace() or each in "/@?#" for each in host):
        raise BadAddress(text)
    return Address(host or HOST, _port(port, text) if port else PORT)


def _port(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 6 and int(digits) < 65536):
        raise BadAddress(text)
    return int(digits)
