"""AWS's signature, version 4, of requests that differ in their body alone: this file repeats what the SDK did once.

The SDK signs a request from scratch each time, which for an empty poll is most of the work. Here all that stays the
same is prepared once, from a request that the SDK has signed, and is only trusted if it yields that very signature.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from time import gmtime, strftime
from typing import Protocol
from urllib.parse import quote, urlsplit

_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)
_DATE, _TOKEN = "x-amz-date", "x-amz-security-token"
_OF_ONE_CALL = ("amz-sdk-invocation-id", "amz-sdk-request", "authorization", "content-length", _DATE, _TOKEN)
_UNSIGNED_BODY = "x-amz-content-sha256"


class Credentials(Protocol):
    """As the SDK has them at a moment, an immutable tuple; ``token`` is ``None`` for those of a user."""

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...

    @property
    def token(self) -> str | None: ...


class SignedRequest:
    """A POST to ``url`` whose ``headers`` (names as they were sent) are all that stays the same from call to call."""

    def __init__(
        self, url: str, headers: Mapping[str, str], signed: Iterable[str], *, region: str, service: str
    ) -> None:
        self.url = url
        self.headers = dict(headers)
        self._region = region
        self._service = service
        parts = urlsplit(url)
        self._values = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        self._values["host"] = parts.netloc
        self._names = [name for name in signed if name in self._values]
        self._start = f"POST\n{quote(parts.path or '/', safe='/~')}\n{parts.query}\n"
        self._credentials: Credentials | None = None
        self._day = ""
        self._moment: tuple[int, str] = (0, "")

    def sign(self, body: bytes, credentials: Credentials, now: float) -> dict[str, str]:
        """The headers of a request with this body; ``now`` is epoch seconds."""
        if self._moment[0] != int(now):
            self._moment = int(now), strftime("%Y%m%dT%H%M%SZ", gmtime(now))
        date = self._moment[1]
        signature = self.signature(body, credentials, date)
        headers = {**self.headers, "X-Amz-Date": date, "Authorization": f"{self._authorization}{signature}"}
        if credentials.token:
            headers["X-Amz-Security-Token"] = credentials.token
        return headers

    def signature(self, body: bytes, credentials: Credentials, date: str) -> str:
        """In hexadecimal; ``date`` as ``20260917T125050Z``."""
        if date[:8] != self._day or credentials != self._credentials:
            self._prepare(credentials, date[:8])
        canonical = f"{self._before}{date}{self._after}{sha256(body).hexdigest()}"
        to_sign = f"AWS4-HMAC-SHA256\n{date}\n{self._scope}\n{sha256(canonical.encode()).hexdigest()}"
        return hmac.digest(self._key, to_sign.encode(), "sha256").hex()

    def _prepare(self, credentials: Credentials, day: str) -> None:
        """What holds for a day and for these credentials."""
        values = {**self._values, **({_TOKEN: credentials.token} if credentials.token else {})}
        names = sorted({*self._names, _DATE, *([_TOKEN] if credentials.token else [])})
        place = names.index(_DATE)
        lines = [f"{name}:{values.get(name)}\n" for name in names]
        self._before = f"{self._start}{''.join(lines[:place])}{_DATE}:"
        self._after = f"\n{''.join(lines[place + 1 :])}\n{';'.join(names)}\n"
        self._scope = f"{day}/{self._region}/{self._service}/aws4_request"
        self._authorization = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{self._scope}, "
            f"SignedHeaders={';'.join(names)}, Signature="
        )
        key = f"AWS4{credentials.secret_key}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key, self._day, self._credentials = key, day, credentials


def learned(
    method: str, url: str, headers: Mapping[str, str], body: bytes, credentials: Credentials
) -> SignedRequest | None:
    """From a request that the SDK has signed, one that can be signed again; ``None`` if ours is another signature.

    Then the SDK signs in another way, or not at all, or the credentials have changed meanwhile.
    """
    values = {name.lower(): value for name, value in headers.items()}
    found = _SIGNED.fullmatch(values.get("authorization", ""))
    if method != "POST" or found is None or _UNSIGNED_BODY in values:
        return None
    _, region, service, names, signature = found.groups()
    signed = names.split(";")
    whole = SignedRequest(url, headers, signed, region=region, service=service)
    if whole.signature(body, credentials, values.get(_DATE, "")) != signature:
        return None
    lasting = {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_CALL}
    return SignedRequest(url, lasting, signed, region=region, service=service)
