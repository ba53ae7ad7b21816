"""Manifests for Kubernetes with the Prometheus Operator: rules, what is scraped, and a bot with its exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.monitoring import alerts
from peak_observe.monitoring.alert_files import BY_HAND, GENERATED, document
from peak_observe.monitoring.rules import exporter

if TYPE_CHECKING:
    from peak_observe.monitoring.alert_files import Links

API = "monitoring.coreos.com/v1"
_SELECTED = """\
# The operator takes what its Prometheus selects: see `kubectl get prometheus --all-namespaces --output yaml`, there
# ruleSelector, podMonitorSelector and serviceMonitorSelector. With kube-prometheus-stack it is the label `release`.
"""
_RELABELINGS = f"""\
      relabelings:
        # The rules PeakExporterDown and PeakExporterAbsent know the job by this name.
        - targetLabel: job
          replacement: {exporter.JOB}
"""

POD_MONITOR = f"""\
{BY_HAND}\
# Scrapes the exporter that runs beside each bot (sidecar.yaml), or a program that serves itself on a port `metrics`.
{_SELECTED}\
apiVersion: {API}
kind: PodMonitor
metadata:
  name: peak-observe
  labels:
    release: prometheus
spec:
  selector:
    matchLabels:
      peak-observe.metrics: "true"
  podMetricsEndpoints:
    - port: metrics
      path: /metrics
      interval: 15s
      scrapeTimeout: 10s
{_RELABELINGS}"""

SERVICE_MONITOR = f"""\
{BY_HAND}\
# Scrapes an exporter that runs by itself, behind a Service with this label; of a bot with its exporter beside it take
# podmonitor.yaml. Both for one pod would give each alert twice.
{_SELECTED}\
apiVersion: {API}
kind: ServiceMonitor
metadata:
  name: peak-observe
  labels:
    release: prometheus
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: peak-observe-exporter
  endpoints:
    - port: metrics
      path: /metrics
      interval: 15s
      scrapeTimeout: 10s
{_RELABELINGS}"""

SIDECAR = f"""\
{BY_HAND}\
# A bot with the exporter beside it: snapshots go through a folder in memory, and the exporter sees the bot's processes,
# so it knows at once that one died. Both images are yours: examples/deploy/Dockerfile builds that of the exporter.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: bot
  labels:
    app.kubernetes.io/name: bot
spec:
  replicas: 1 # two of one bot would trade twice
  strategy:
    type: Recreate
  selector:
    matchLabels:
      app.kubernetes.io/name: bot
  template:
    metadata:
      labels:
        app.kubernetes.io/name: bot
        peak-observe.metrics: "true"
    spec:
      shareProcessNamespace: true
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 60 # orders under way end, and the last snapshot is written
      securityContext:
        runAsNonRoot: true
        runAsUser: 17325
        runAsGroup: 17325
        fsGroup: 17325
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: bot
          image: registry.invalid/bot:1.0.0
          env:
            - name: PEAK_OBSERVE_DIR
              value: /run/peak-observe
          resources:
            requests: {{cpu: 100m, memory: 256Mi}}
            limits: {{memory: 512Mi}}
          securityContext: &least
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          volumeMounts: &mounts
            - name: snapshots
              mountPath: /run/peak-observe
            - name: scratch
              mountPath: /tmp
        - name: exporter
          image: registry.invalid/peak-observe-exporter:1.0.0
          env:
            - name: PEAK_OBSERVE_DIR
              value: /run/peak-observe
          ports:
            - name: metrics
              containerPort: 17325
          readinessProbe:
            httpGet:
              path: /-/ready
              port: metrics
          livenessProbe:
            httpGet:
              path: /-/healthy
              port: metrics
            periodSeconds: 30
          resources:
            requests: {{cpu: 20m, memory: 64Mi}}
            limits: {{memory: 256Mi}}
          securityContext: *least
          volumeMounts: *mounts
      volumes:
        - name: snapshots
          emptyDir:
            medium: Memory
            sizeLimit: 64Mi
        - name: scratch
          emptyDir:
            sizeLimit: 64Mi
"""


def generated(links: Links) -> dict[str, str]:
    """Return the rules by their path below the folder that is written."""
    rule = {
        "apiVersion": API,
        "kind": "PrometheusRule",
        "metadata": {"name": "peak-observe", "labels": {"release": "prometheus"}},
        "spec": {"groups": alerts.groups(links)},
    }
    return {"kubernetes/prometheusrule.yaml": document(rule, GENERATED + _SELECTED)}


def by_hand() -> dict[str, str]:
    """Return the files that are to be edited, by their paths below the folder that is written."""
    return {
        "kubernetes/podmonitor.yaml": POD_MONITOR,
        "kubernetes/servicemonitor.yaml": SERVICE_MONITOR,
        "kubernetes/sidecar.yaml": SIDECAR,
    }
