"""What goes wrong on the wire: this file is the chances of each fault, and the many faces that some have."""

from __future__ import annotations

CAPS = {
    # the way there
    "connection refused": 0.1,
    "connect timed out": 0.03,
    # answers of the service, or of something in front of it
    "throttled": 0.2,
    "unavailable": 0.15,
    "unknown code": 0.1,
    "error page": 0.1,
    "error without words": 0.1,
    "no access": 0.03,
    "key refused": 0.05,
    "iterator expired": 0.05,
    # the way back
    "connection reset": 0.1,
    "read timed out": 0.01,
    "body cut": 0.1,
    "body empty": 0.1,
    "page instead of an answer": 0.1,
    "member missing": 0.15,
    "answer repeated": 0.1,
    "null iterator": 0.1,
    "listing lags": 0.5,
    "slow call": 0.1,
    # the store
    "store unavailable": 0.1,
    "store answer lost": 0.1,
    "store slow": 0.05,
    "store call held": 0.03,
    "disk refuses": 0.1,
    # the destination
    "destination refused": 0.5,
    "destination slow": 0.2,
    "receipt missing": 0.3,
    # the function
    "function failed": 0.4,
    "function failed after its work": 0.2,
    "function refused": 0.4,
    "function slow": 0.1,
    "function hangs": 0.02,
    "partial": 0.5,
    "odd answer": 0.1,
}
"""Chances per call; the highest that a world can have."""

THROTTLES = {
    "kinesis": ("ProvisionedThroughputExceededException", "LimitExceededException", "KMSThrottlingException"),
    "dynamodb": ("LimitExceededException", "ThrottlingException", "ProvisionedThroughputExceededException"),
}

KEY_REFUSALS = (
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
    "KMSNotFoundException",
    "KMSOptInRequired",
    "KMSThrottlingException",
)
"""The six words that Kinesis has for a key that does not decrypt."""

NO_ACCESS = (
    ("ExpiredTokenException", "The security token included in the request is expired"),
    ("InvalidSignatureException", "Signature expired: 20231114T221320Z is now earlier than 20231114T222320Z"),
    ("AccessDeniedException", "User is not authorized to perform this action"),
    ("UnrecognizedClientException", "The security token included in the request is invalid."),
)
"""Credentials that expired under way, a clock that is off, a policy that was changed."""

PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"

MUST_BE_SEEN = (
    *CAPS,
    "payload too large",
    "function error",
    "function answer cut",
    "function answer reset",
    "function timed out",
    "function 429",
    "function 5xx",
    "function connection refused",
)
"""What a run must have shown often enough to be worth something; the last ones are faces of what ails the function."""
