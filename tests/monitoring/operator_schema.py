"""Schema of the Prometheus Operator's resources (monitoring.coreos.com/v1), by the fields of its API reference.

A type is that of a value, a list of one a list, and a dictionary an object: a field that ends in `!` must be there, and
the field `*` stands for keys of one's own.
"""

from typing import Any

TEXTS = {"*": str}
SELECTOR = {"matchLabels": TEXTS, "matchExpressions": [{"key!": str, "operator!": str, "values": [str]}]}
METADATA = {"name!": str, "namespace": str, "labels": TEXTS, "annotations": TEXTS}
RELABELING = {
    "sourceLabels": [str],
    "separator": str,
    "targetLabel": str,
    "regex": str,
    "modulus": int,
    "replacement": str,
    "action": str,
}
ENDPOINT = {
    "port": str,
    "path": str,
    "scheme": str,
    "params": {"*": [str]},
    "interval": str,
    "scrapeTimeout": str,
    "honorLabels": bool,
    "honorTimestamps": bool,
    "relabelings": [RELABELING],
    "metricRelabelings": [RELABELING],
    "followRedirects": bool,
    "enableHttp2": bool,
    "filterRunning": bool,
}
COMMON = {
    "jobLabel": str,
    "selector!": SELECTOR,
    "namespaceSelector": {"any": bool, "matchNames": [str]},
    "podTargetLabels": [str],
    "sampleLimit": int,
    "targetLimit": int,
    "labelLimit": int,
    "attachMetadata": {"node": bool},
}


def _resource(spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion!": str, "kind!": str, "metadata!": METADATA, "spec!": spec}


MONITORS = {
    "PodMonitor": _resource({**COMMON, "podMetricsEndpoints!": [ENDPOINT]}),
    "ServiceMonitor": _resource({**COMMON, "targetLabels": [str], "endpoints!": [ENDPOINT]}),
}
RULE = _resource(
    {
        "groups": [
            {
                "name!": str,
                "interval": str,
                "limit": int,
                "partial_response_strategy": str,
                "rules": [
                    {
                        "record": str,
                        "alert": str,
                        "expr!": str,
                        "for": str,
                        "keep_firing_for": str,
                        "labels": TEXTS,
                        "annotations": TEXTS,
                    }
                ],
            }
        ]
    },
)


def complaints(value: Any, schema: Any, path: str = "") -> list[str]:
    """Return what a value has that the schema does not know, and what it lacks."""
    if isinstance(schema, type):
        return [] if type(value) is schema else [f"{path} is no {schema.__name__}"]
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{path} is no list"]
        return [said for n, item in enumerate(value) for said in complaints(item, schema[0], f"{path}.{n}")]
    if not isinstance(value, dict):
        return [f"{path} is no object"]
    fields = {name.removesuffix("!"): kind for name, kind in schema.items()}
    dot = f"{path}." if path else ""
    said = [f"{dot}{name[:-1]} is missing" for name in schema if name.endswith("!") and name[:-1] not in value]
    for name, item in value.items():
        kind = fields.get(name, fields.get("*"))
        said += [f"{dot}{name} is unknown"] if kind is None else complaints(item, kind, f"{dot}{name}")
    return said
