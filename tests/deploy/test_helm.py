"""The chart, as Helm renders it: valid for Kubernetes, and its configuration for the processor."""

import json
import shutil
import subprocess

import pytest
import trustme
import yaml
from peers.running import program
from shipped_files import DEPLOY, validated

from otel_ml.baseline import Baseline

CHART = DEPLOY / "helm" / "otel-ml-processor"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
MINIMAL, SECURE, SHARED_OUT = (CHART / "ci" / f"{name}-values.yaml" for name in ("minimal", "secure", "shared-out"))
# A Helm built from its module alone takes every cluster for 1.20.
KUBERNETES = "1.34.0"

every_values_file = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)


def helm(*arguments):
    """What Helm says: exit code, stdout and stderr."""
    done = subprocess.run([program("helm"), *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def rendered(*values, **settings):
    """What would be installed, by kind and name; `settings` are JSON, by path with `__` for dots."""
    given = [part for path in values for part in ("--values", str(path))]
    given += [
        part
        for name, value in settings.items()
        for part in ("--set-json", f"{name.replace('__', '.')}={json.dumps(value)}")
    ]
    code, out, error = helm("template", "release", CHART, "--namespace", "ml", "--kube-version", KUBERNETES, *given)
    if code:
        raise ValueError(error)
    documents = [document for document in yaml.safe_load_all(out) if document]
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def notes(values, folder):
    """What Helm says after an installation; without a cluster it says nothing, so it is made to write it down."""
    chart = shutil.copytree(CHART, folder / "chart")
    (chart / "NOTES.txt").write_text((chart / "templates" / "NOTES.txt").read_text())
    wrapped = 'kind: Notes\nmetadata: {name: notes}\ntext: {{ tpl (.Files.Get "NOTES.txt") . | quote }}\n'
    (chart / "templates" / "notes.yaml").write_text(wrapped)
    given = ["--namespace", "ml", "--kube-version", KUBERNETES, "--values", values]
    code, out, error = helm("template", "release", chart, "--show-only", "templates/notes.yaml", *given)
    assert code == 0, error
    return yaml.safe_load(out)["text"]


def one(documents, kind):
    """The only document of a kind."""
    (found,) = (document for (name, _), document in documents.items() if name == kind)
    return found


def configuration(documents):
    """The processor's configuration."""
    return yaml.safe_load(one(documents, "ConfigMap")["data"]["processor.yaml"])


def pod(documents):
    return one(documents, "StatefulSet")["spec"]["template"]["spec"]


@every_values_file
def test_helm_has_nothing_to_complain_of(values):
    """Warnings are errors."""
    code, out, _ = helm("lint", "--strict", "--kube-version", KUBERNETES, "--values", values, CHART)

    assert code == 0, out


@every_values_file
@pytest.mark.parametrize("version", ["1.25", "1.34"])
def test_kubernetes_knows_every_field(values, version):
    """By the schemas of the oldest version that the chart admits, and of a later one; unknown fields are errors."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    for (kind, _), document in rendered(values).items():
        # Of the Prometheus Operator: not among Kubernetes' own.
        if kind != "ServiceMonitor":
            kubernetes_validate.validate(document, version, strict=True)


@every_values_file
def test_the_processor_accepts_the_configuration(values, tmp_path):
    """With certificates, tokens and baselines where the pod would have them."""
    documents = rendered(values)
    (tmp_path / "token").mkdir()
    (tmp_path / "token" / "token").write_text("secret")
    (tmp_path / "baselines").mkdir()
    for entry in yaml.safe_load(values.read_text()).get("baselines", []):
        model, version = entry["file"].removesuffix(".baseline").split("-")
        baseline = Baseline.build({"amount": [float(value) for value in range(100)]}, model=model, version=version)
        baseline.save(tmp_path / "baselines" / entry["file"])
    (tmp_path / "tls").mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert("processor.ml.svc")
    authority.cert_pem.write_to_path(tmp_path / "tls" / "ca.crt")
    certificate.private_key_pem.write_to_path(tmp_path / "tls" / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "tls" / "tls.crt")
    path = tmp_path / "processor.yaml"
    path.write_text(one(documents, "ConfigMap")["data"]["processor.yaml"].replace("/mnt", str(tmp_path)))
    (container,) = pod(documents)["containers"]
    environment = {variable["name"]: variable.get("value", "of a secret") for variable in container["env"]}

    assert validated(path, **environment) == (0, "")


@every_values_file
def test_pods_meet_the_restricted_standard(values):
    """What Kubernetes' Pod Security Standards call restricted, and a read-only root besides."""
    spec = pod(rendered(values))
    (container,) = spec["containers"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    writable = [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["store"]


@every_values_file
def test_everything_that_is_named_is_there(values):
    """Volumes of mounts, ports of probes and services, labels of selectors."""
    documents = rendered(values)
    template = one(documents, "StatefulSet")["spec"]["template"]
    (container,) = template["spec"]["containers"]
    claims = one(documents, "StatefulSet")["spec"].get("volumeClaimTemplates", [])
    volumes = {volume["name"] for volume in template["spec"]["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in claims}
    ports = {port["name"] for port in container["ports"]}
    services = [document for (kind, _), document in documents.items() if kind == "Service"]

    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert {container[f"{name}Probe"]["httpGet"]["port"] for name in ("startup", "liveness", "readiness")} <= ports
    for service in services:
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert one(documents, "StatefulSet")["spec"]["serviceName"] in {one["metadata"]["name"] for one in services}


def test_a_restart_is_for_what_is_dead_not_for_what_is_full():
    """/readyz says no while the log is full; a restart would not empty it."""
    (container,) = pod(rendered(MINIMAL))["containers"]

    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["startupProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("seconds", [10, 45])
def test_it_is_not_killed_while_it_may_still_send(seconds):
    """Kubernetes waits longer than service::shutdown_timeout."""
    documents = rendered(MINIMAL, shutdownTimeoutSeconds=seconds)

    assert configuration(documents)["service"]["shutdown_timeout"] == f"{seconds}s"
    assert pod(documents)["terminationGracePeriodSeconds"] == seconds + 20


def test_what_a_user_sets_is_laid_over_what_the_chart_sets():
    """Down to single keys, lists as a whole."""
    found = configuration(rendered(SECURE))

    assert found["processors"]["drift"]["min_rows"] == 500
    assert found["processors"]["drift"]["lateness"] == "30s"
    assert found["service"]["pipelines"]["traces"] == {"receivers": ["otlp"], "exporters": ["otlp_grpc/traces"]}
    assert found["service"]["pipelines"]["logs"]["processors"] == ["drift"]
    assert found["store"] == {"directory": "/var/lib/otel-ml/store", "log": {"max_size_mib": 8192}}


def test_secrets_stay_in_secrets():
    """In the configuration stand their names; in the pod, where they come from."""
    documents = rendered(SECURE)
    variables = {variable["name"]: variable for variable in pod(documents)["containers"][0]["env"]}

    assert variables["BACKEND_KEY"]["valueFrom"] == {"secretKeyRef": {"name": "backend", "key": "api-key"}}
    assert configuration(documents)["exporters"]["otlp_http/rest"]["headers"] == {"api-key": "${env:BACKEND_KEY}"}
    assert "Secret" not in {kind for kind, _ in documents}


def test_another_configuration_makes_other_pods():
    """The processor reads its configuration once."""
    first, same, other = (
        one(rendered(MINIMAL, config__processors__drift__min_rows=rows), "StatefulSet")["spec"]["template"]
        for rows in (200, 200, 300)
    )

    assert first == same
    assert first != other


def test_scraped_metrics_are_not_pushed_as_well():
    """Every series would be there twice."""
    assert configuration(rendered(SECURE))["service"]["telemetry"] == {"interval": "0s"}
    assert configuration(rendered(MINIMAL))["service"]["telemetry"] == {}


def test_several_pods_have_no_service_that_chooses_one():
    """Each model belongs to one pod: only their own names are there to send to."""
    documents = rendered(SHARED_OUT)
    services = [document["spec"] for (kind, _), document in documents.items() if kind == "Service"]

    assert [service["clusterIP"] for service in services] == ["None"]
    assert one(documents, "StatefulSet")["spec"]["replicas"] == 3


def test_the_console_is_reachable_only_where_it_is_asked_for():
    """Whoever reaches it reads what the models' data look like."""
    for values, ports in ((MINIMAL, set()), (SECURE, {13180})):
        documents = rendered(values)
        named = {
            port["containerPort"] for port in pod(documents)["containers"][0]["ports"] if port["name"] == "console"
        }

        assert named == ports
        assert bool(configuration(documents)["service"]["console"]) is bool(ports)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"config__exporters": {}}, "config.exporters: is empty"),
        ({"receiver__allowInsecure": False}, "would take telemetry in plain text or from everybody"),
        ({"receiver__allowInsecure": False, "receiver__tls__secretName": "tls"}, "or from everybody"),
        ({"receiver__tls__clientCertificates": True}, "needs receiver.tls.secretName"),
        ({"replicas": 2}, "needs a Collector before them"),
        ({"config__service__shutdown_timeout": "1m"}, "is shutdownTimeoutSeconds here"),
        ({"config__exporter": {}}, "exporter"),
        ({"replica": 2}, "replica"),
        ({"baselines": [{"file": "fraud-3.baseline"}]}, "configMap"),
        ({"baselines": [{"configMap": "fraud", "file": "../fraud"}]}, "file"),
        ({"service__grpcPort": "4317"}, "grpcPort"),
        ({"persistence__accessModes": ["ReadWriteMany"]}, "accessModes"),
        ({"secretEnv": {"KEY": {"secret": "backend"}}}, "key"),
        ({"secretEnv": {"KEY": {"secret": "a, b: {c}", "key": "key"}}}, "secret"),
        ({"receiver__tls__secretName": "<script>"}, "secretName"),
        ({"image__pullSecrets": [""]}, "pullSecrets"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_installed(settings, message):
    """With what would be valid, where Helm leaves the choice of words."""
    if settings == {"config__exporters": {}}:
        values, settings = [], {"receiver__allowInsecure": True}
    else:
        values = [MINIMAL]

    with pytest.raises(ValueError, match=message):
        rendered(*values, **settings)


def test_the_notes_say_where_to_send(tmp_path):
    """One address of all pods where there is one pod; each pod's own where a Collector shares the models out."""
    name = "release-otel-ml-processor"

    assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://{name}.ml.svc:4317\n" in notes(MINIMAL, tmp_path / "1")
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT=https://{name}.ml.svc:4317\n" in notes(SECURE, tmp_path / "2")
    assert f"  OTEL_ML_PROCESSOR_2={name}-2.{name}-pods.ml.svc:4317\n" in notes(SHARED_OUT, tmp_path / "3")


def test_the_notes_say_what_was_given_up(tmp_path):
    """Plain text from everybody; nothing on disk."""
    insecure, durable, shared_out = (notes(values, tmp_path / values.stem) for values in (MINIMAL, SECURE, SHARED_OUT))

    assert "no network policy says who that is" in insecure
    assert "allowInsecure" not in durable
    assert "ends with the pod" in shared_out


@pytest.mark.parametrize("name", ["a" * 53, "otel-ml-processor", "x", "123"])
def test_names_fit_whatever_the_release_is_called(name):
    """A service's name is a label of DNS, 63 characters; a number is a name all the same."""
    code, out, error = helm("template", name, CHART, "--kube-version", KUBERNETES, "--values", SECURE)
    assert code == 0, error
    documents = [document for document in yaml.safe_load_all(out) if document]

    assert all(len(document["metadata"]["name"]) <= 57 for document in documents)
    assert all(isinstance(label, str) for document in documents for label in document["metadata"]["labels"].values())


def test_values_that_look_like_numbers_stay_texts():
    """In YAML a key `7` would be a number, which Kubernetes refuses."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    documents = rendered(
        SECURE,
        fullnameOverride="123",
        secretEnv={"BACKEND_KEY": {"secret": "1", "key": "2"}},
        baselines=[{"configMap": "3", "file": "4"}],
        receiver__tls__secretName="5",
        image__pullSecrets=["6"],
        persistence__storageClass="7",
        priorityClassName="8",
        env=[{"name": "OTEL_ML_WINDOW", "value": "9"}],
    )

    for (kind, name), document in documents.items():
        assert isinstance(name, str)
        if kind != "ServiceMonitor":
            kubernetes_validate.validate(document, "1.34", strict=True)
