"""Resource of this process: a name and an instance where the program gave none."""

from __future__ import annotations

import os
import uuid

from opentelemetry.sdk.environment_variables import OTEL_RESOURCE_ATTRIBUTES
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource

from peak_observe.telemetry.snapshot import writer

_RANDOM = 4  # the version of a UUID, RFC 9562
_UNNAMED = "unknown_service"  # what the SDK takes where nobody gave a name


class Identity:
    """Identity of this process, another one in a forked child: two writers of one series contradict each other."""

    def __init__(self) -> None:
        self._born = self._pid = os.getpid()
        self._id = ""

    def named(self, resource: Resource) -> Resource:
        """Return a resource with `service.name` and `service.instance.id`; what the program gave stays."""
        own: dict[str, str] = {}
        if str(resource.attributes.get(SERVICE_NAME, _UNNAMED)).startswith(_UNNAMED):
            own[SERVICE_NAME] = writer.process_name()
        if os.getpid() != self._born or _is_random(str(resource.attributes.get(SERVICE_INSTANCE_ID, ""))):
            own[SERVICE_INSTANCE_ID] = self._instance()
        return resource.merge(Resource(own)) if own else resource

    def _instance(self) -> str:
        if not self._id or self._pid != os.getpid():
            self._pid = os.getpid()
            # A replica's own name is that of the process that began; its children need others.
            named = writer.instance() if self._pid == self._born else ""
            self._id = named or str(uuid.uuid4())
        return self._id


def _is_random(given: str) -> bool:
    """Return whether an instance has no name, or one that the SDK threw the dice for."""
    if not given:
        return True
    try:
        version = uuid.UUID(given).version
    except ValueError:
        return False
    return version == _RANDOM and given not in os.environ.get(OTEL_RESOURCE_ATTRIBUTES, "")
