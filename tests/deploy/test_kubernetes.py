"""The Kubernetes manifests: as kustomize builds them, held against the schemas of several releases."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.tools import DEPLOY, prepared, run

pytestmark = pytest.mark.system

FOLDER = DEPLOY / "kubernetes"
RELEASES = ("1.27", "1.33", "1.37")
PLAIN = ("autoscaler", "deployment", "disruption", "namespace", "network", "secret-template", "service")
BROKER = ("broker/namespace", "broker/network", "broker/service", "broker/statefulset")

yaml: Any = pytest.importorskip("yaml", reason="PyYAML is not installed: pip install kubernetes-validate")


def _manifest(name: str) -> Any:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


@pytest.mark.parametrize("release", RELEASES)
def test_every_manifest_is_what_a_release_of_kubernetes_takes(release: str) -> None:
    run(
        "kubernetes-validate", "--strict", "-k", release, *(f"{name}.yaml" for name in (*PLAIN, *BROKER)), folder=FOLDER
    )


def test_every_manifest_is_built_and_the_template_is_not() -> None:
    built = {Path(name).stem for name in _manifest("kustomization")["resources"]}
    assert built == set(PLAIN) - {"secret-template"}
    assert {f"broker/{Path(name).stem}" for name in _manifest("broker/kustomization")["resources"]} == set(BROKER)
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {*PLAIN, "kustomization", "adapter-values"}


def test_what_kustomize_builds_with_the_secrets_of_prepare_is_valid(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "--kubernetes") / "kubernetes"
    text = run("kubectl", "kustomize", ".", folder=folder)
    (tmp_path / "built.yaml").write_text(text)
    run("kubernetes-validate", "--strict", "-k", RELEASES[-1], tmp_path / "built.yaml")
    built = {document["kind"]: document for document in yaml.safe_load_all(text)}
    assert set(built["Secret"]["data"]) == set(_manifest("secret-template")["stringData"])
    pod = built["Deployment"]["spec"]["template"]["spec"]
    mounted = next(volume for volume in pod["volumes"] if volume["name"] == "secrets")
    assert mounted["secret"]["secretName"] == built["Secret"]["metadata"]["name"]
    assert pod["containers"][0]["envFrom"][0]["configMapRef"]["name"] == built["ConfigMap"]["metadata"]["name"]


def test_the_broker_is_built_from_what_prepare_makes(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "--kubernetes") / "kubernetes"
    text = run("kubectl", "kustomize", "broker", folder=folder)
    (tmp_path / "built.yaml").write_text(text)
    run("kubernetes-validate", "--strict", "-k", RELEASES[-1], tmp_path / "built.yaml")
    built = {document["kind"]: document for document in yaml.safe_load_all(text)}
    pod = built["StatefulSet"]["spec"]["template"]["spec"]
    assert pod["volumes"][0]["secret"]["secretName"] == built["Secret"]["metadata"]["name"]
    places = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    configuration = (folder / "broker" / "secrets" / "mosquitto.conf").read_text()
    named = re.findall(rf"^\w+ {places['files']}/(\S+)$", configuration, re.MULTILINE)
    assert set(named) | {"mosquitto.conf"} == set(built["Secret"]["data"])
    assert f"persistence_location {places['data']}/" in configuration
    services = (folder / "secrets" / "service.toml").read_text()
    name, namespace = built["Service"]["metadata"]["name"], built["Namespace"]["metadata"]["name"]
    assert f'broker = "mqtts://{name}.{namespace}.svc:8883"' in services
    allowed = _manifest("network")["spec"]["egress"][-1]["to"][0]["namespaceSelector"]["matchLabels"]
    assert allowed == {"kubernetes.io/metadata.name": namespace}


def test_everything_means_the_same_pods() -> None:
    labels = _manifest("deployment")["spec"]["template"]["metadata"]["labels"]
    assert _manifest("deployment")["spec"]["selector"]["matchLabels"] == labels
    assert _manifest("service")["spec"]["selector"] == labels
    assert _manifest("disruption")["spec"]["selector"]["matchLabels"] == labels
    assert _manifest("network")["spec"]["podSelector"]["matchLabels"] == labels
    assert _manifest("autoscaler")["spec"]["scaleTargetRef"]["name"] == _manifest("deployment")["metadata"]["name"]


@pytest.mark.parametrize("workload", ["deployment", "broker/statefulset"])
def test_the_pods_meet_the_restricted_pod_security_standard(workload: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    pod = _manifest(workload)["spec"]["template"]["spec"]
    folder = Path(workload).parent
    assert _manifest(f"{folder}/namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_a_pod_has_time_to_answer_what_it_has_taken() -> None:
    from appliance.service.service import STOP_WITHIN_S
    from appliance.service.settings import Serve

    pod = _manifest("deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > Serve().drain_s + STOP_WITHIN_S


def test_the_autoscaler_looks_at_the_wait_that_the_adapter_gives_it() -> None:
    metric = _manifest("autoscaler")["spec"]["metrics"][0]["pods"]["metric"]["name"]
    rule = _manifest("adapter-values")["rules"]["custom"][0]
    assert rule["name"]["as"] == metric
    assert rule["seriesQuery"].startswith(metric)


def test_the_probes_ask_what_is_open_without_a_token() -> None:
    from appliance.oip.guard import OPEN

    container = _manifest("deployment")["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"] in OPEN
        assert asked["scheme"] == "HTTPS"
        assert asked["port"] in ports
    assert json.dumps(_manifest("network")).count('"http"') == 2
