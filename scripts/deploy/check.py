#!/usr/bin/env python3
"""What check-deploy.sh checks of parsed files: schemas of Kubernetes' objects, and numbers in one file that another one
counts on.

    check.py manifests CRDS FILE…            objects against the schemas of Kubernetes and of CRDs (a folder)
    check.py compose ROOT MODEL              the model of compose.yaml (JSON, by compose-go) against its other files
    check.py kubernetes ROOT KEYS FILE       the rendered objects against their configuration; KEYS: what KEDA's Kafka
                                             trigger knows, one on each line

Prints a line for each fault. Exit code 1 if there is one. Needs PyYAML, jsonschema and kubernetes-validate.
"""

import json
import pathlib
import re
import sys
import tomllib

import jsonschema
import kubernetes_validate
import yaml

# The oldest and the newest Kubernetes that the manifests are for.
KUBERNETES = ["1.29", "1.37"]
MIB = 2**20
# The default of run.memory, and the part of a container's limit that the service takes at most.
MEMORY = 512 * MIB
PART = 0.7
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "KiB": 2**10, "MiB": 2**20,
         "GiB": 2**30}

# The parser in C, where it is built: CRDs are long.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

faults = []


def fault(text):
    faults.append(text)


def expect(holds, text):
    if not holds:
        fault(text)


def documents(path):
    return list(yaml.load_all(pathlib.Path(path).read_text(), LOADER))


def size(text):
    """A size in bytes: of Compose (768m), Kubernetes (768Mi), Penstock (512MiB)."""
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]*)", str(text)).groups()
    return int(number) * UNITS[unit]


def seconds(text):
    """A duration in seconds: of Compose (30s, 1m0s), Penstock (20s)."""
    parts = re.findall(r"(\d+)(ms|s|m|h)", str(text))
    return sum(int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit] for number, unit in parts)


def configuration(path):
    with open(path, "rb") as file:
        return tomllib.load(file)


def topics_of(config):
    """What it reads, and what it produces to."""
    outputs = [publish["topic"] for route in config["route"] for publish in route.get("publish", [])]
    return config["kafka"]["topics"], outputs + [config["reject"]["topic"]] if "reject" in config else outputs


# ---- schemas


def strict(schema):
    """The schema of a CRD, which refuses fields that it does not name. (The API server would drop them silently.)"""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    # `properties` may also be the name of a field: then its value is not what an object's `properties` is.
    made = {}
    for key, value in schema.items():
        if key == "properties" and isinstance(value, dict):
            made[key] = {name: strict(each) for name, each in value.items()}
        elif key in ("items", "additionalProperties", "allOf", "anyOf", "oneOf", "not"):
            made[key] = strict(value)
        else:
            made[key] = value
    if "properties" in made and "additionalProperties" not in made:
        made["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields", False))
    return made


def crd_schemas(folder):
    schemas = {}
    for path in sorted(pathlib.Path(folder).glob("*.yaml")):
        for crd in documents(path):
            spec = crd["spec"]
            for version in spec["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                # Of the object's own metadata only the API server knows the fields.
                schema["properties"]["metadata"] = {"type": "object"}
                schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return schemas


def manifests(crds, *files):
    schemas = crd_schemas(crds)
    count = 0
    for name in files:
        for object in documents(name):
            count += 1
            kind = object.get("apiVersion"), object.get("kind")
            what = f"{pathlib.Path(name).name}: {object.get('kind')} {object.get('metadata', {}).get('name')}"
            if kind in schemas:
                for error in jsonschema.Draft202012Validator(schemas[kind]).iter_errors(object):
                    fault(f"{what}: {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}")
                continue
            for version in KUBERNETES:
                try:
                    kubernetes_validate.validate(object, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    fault(f"{what}: Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message[:300]}")
                except kubernetes_validate.SchemaNotFoundError as error:
                    fault(f"{what}: Kubernetes {version} has no such kind: {error.message}")
    expect(count > 0, "no object at all")
    return f"{count} objects, Kubernetes {' and '.join(KUBERNETES)}"


# ---- Compose


def compose(root, model):
    root = pathlib.Path(root)
    services = json.loads(pathlib.Path(model).read_text())["services"]
    folder = root / "deploy/compose"
    config = configuration(folder / "penstock.toml")
    penstock, kafka = services["penstock"], services["kafka"]

    for name, service in services.items():
        for port in service.get("ports", []):
            expect(port.get("host_ip") == "127.0.0.1", f"{name}: port {port['target']} is not on 127.0.0.1 alone")
        for mount in service.get("volumes", []):
            if mount["type"] == "bind":
                expect(pathlib.Path(mount["source"]).is_file(), f"{name}: no such file: {mount['source']}")
        expect("mem_limit" in service, f"{name}: no mem_limit")
        expect(not service.get("image", "").endswith(":latest"), f"{name}: latest is no version")
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                has = other == "penstock" or "healthcheck" in services[other]
                expect(has, f"{name} waits for {other}, which has no health check")

    grace = seconds(config.get("run", {}).get("shutdown_grace", "8s"))
    stop = seconds(penstock["stop_grace_period"])
    expect(stop > grace, "penstock: stop_grace_period is not above run.shutdown_grace")
    memory = size(config.get("run", {}).get("memory", MEMORY))
    expect(size(penstock["mem_limit"]) * PART >= memory, "penstock: 70 % of mem_limit is less than run.memory")
    expect(penstock.get("read_only"), "penstock: the root is not read-only")
    expect(penstock.get("cap_drop") == ["ALL"], "penstock: not without all capabilities")
    expect("no-new-privileges:true" in penstock.get("security_opt", []), "penstock: no no-new-privileges")

    broker = config["kafka"]["brokers"]
    announced = kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    expect(any(each.endswith(f"//{broker}") for each in announced), f"Kafka does not announce {broker}")
    created = re.findall(r"([\w.-]+):\d+(?= |;)", " ".join(services["topics"]["command"]))
    for topic in sum(topics_of(config), []):
        expect(topic in created, f"nobody creates the topic {topic}")
    listen = int(config["http"]["listen"].rsplit(":", 1)[1])
    expect(config["http"]["listen"].startswith("0.0.0.0:"), "penstock: http.listen is not reached from outside")
    expect([port["target"] for port in penstock["ports"]] == [listen], "penstock: not the port of http.listen")

    prometheus = documents(folder / "prometheus.yml")[0]
    targets = [target for job in prometheus["scrape_configs"] for each in job["static_configs"]
               for target in each["targets"]]
    expect(targets == [f"penstock:{listen}"], f"Prometheus scrapes {targets}")
    expect(all(job["job_name"].startswith("penstock") for job in prometheus["scrape_configs"]),
           "the job's name does not begin with penstock: the alerts would not find it")
    inside = {mount["target"] for mount in services["prometheus"]["volumes"]}
    for rules in prometheus["rule_files"]:
        expect(f"/etc/prometheus/{rules}" in inside, f"Prometheus does not get {rules}")
    dashboards = documents(folder / "grafana/dashboards.yaml")[0]
    path = dashboards["providers"][0]["options"]["path"]
    inside = {mount["target"] for mount in services["grafana"]["volumes"]}
    expect(f"{path}/penstock.json" in inside, f"Grafana finds no dashboard in {path}")

    aerospike(folder / "aerospike.conf", config)
    return f"{len(services)} services"


def aerospike(path, config):
    """Aerospike's own configuration has no parser but the server's. Its braces, and what our rules count on."""
    lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    sections, values = [], {}
    for line in filter(None, lines):
        if line.endswith("{"):
            sections.append(line[:-1].strip())
        elif line == "}":
            if not sections:
                fault("aerospike.conf: a brace too many")
                return
            sections.pop()
        else:
            name, _, value = line.partition(" ")
            values["/".join(sections + [name])] = value
    expect(not sections, f"aerospike.conf: {sections} is not closed")
    namespace = f"namespace {config['aerospike']['namespace']}"
    expect(any(key.startswith(namespace) for key in values), f"aerospike.conf: no {namespace}")
    has_ttl = any("ttl" in write for route in config["route"] for write in route.get("write", []))
    period = int(values.get(f"{namespace}/nsup-period", 0))
    expect(period > 0 or not has_ttl, "aerospike.conf: nsup-period is 0, and a write has a ttl")
    port = config["aerospike"]["hosts"].rsplit(":", 1)[1]
    expect(values.get("network/service/port") == port, f"aerospike.conf: not the port {port}")


# ---- Kubernetes


def kubernetes(root, keys, rendered):
    config = configuration(pathlib.Path(root) / "deploy/kubernetes/base/penstock.toml")
    objects = {}
    for object in documents(rendered):
        objects[object["kind"]] = object
    sts = objects["StatefulSet"]["spec"]
    template = sts["template"]
    pod, labels = template["spec"], template["metadata"]["labels"]
    container = pod["containers"][0]

    def selects(selector, what):
        pairs = selector.get("matchLabels", selector)
        expect(pairs and pairs.items() <= labels.items(), f"{what}: the selector does not match the pods")

    selects(sts["selector"], "StatefulSet")
    expect(sts["serviceName"] == objects["Service"]["metadata"]["name"], "StatefulSet: serviceName is no Service")
    selects(objects["Service"]["spec"]["selector"], "Service")
    expect(objects["Service"]["spec"].get("clusterIP") == "None", "Service: not headless")
    selects(objects["PodDisruptionBudget"]["spec"]["selector"], "PodDisruptionBudget")
    for each in pod["topologySpreadConstraints"]:
        selects(each["labelSelector"], "topologySpreadConstraints")

    # What stops a pod, and what bounds it.
    grace = seconds(config["run"].get("shutdown_grace", "8s"))
    stop = pod["terminationGracePeriodSeconds"]
    expect(stop > grace, "terminationGracePeriodSeconds is not above run.shutdown_grace")
    limits, requests = container["resources"]["limits"], container["resources"]["requests"]
    memory = size(config["run"].get("memory", MEMORY))
    expect(size(limits["memory"]) * PART >= memory, "70 % of the memory limit is less than run.memory")
    expect(limits["memory"] == requests["memory"], "the memory is not requested as a whole")
    expect("cpu" not in limits, "a CPU limit stops all threads at once")

    # The restricted Pod Security Standard, and a root that is read-only.
    security = pod["securityContext"]
    expect(security.get("runAsNonRoot") and security.get("runAsUser", 0) > 0, "the pod may run as root")
    expect(security.get("seccompProfile", {}).get("type") == "RuntimeDefault", "no seccomp profile")
    security = container["securityContext"]
    expect(security.get("allowPrivilegeEscalation") is False, "allowPrivilegeEscalation is not false")
    expect(security.get("capabilities", {}).get("drop") == ["ALL"], "not without all capabilities")
    expect(security.get("readOnlyRootFilesystem") is True, "the root is not read-only")

    # The endpoints.
    port = container["ports"][0]
    expect(config["http"]["listen"] == f"0.0.0.0:{port['containerPort']}", "containerPort is not that of http.listen")
    for probe, path in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]:
        http = container[probe]["httpGet"]
        expect((http["path"], http["port"]) == (path, port["name"]), f"{probe} does not ask {path}")

    # Static membership.
    instance = config["kafka"]["consumer"]["group.instance.id"]
    name = re.fullmatch(r"\$\{env:(\w+)\}", instance).group(1)
    field = [each["valueFrom"]["fieldRef"]["fieldPath"] for each in container["env"] if each["name"] == name]
    expect(field == ["metadata.name"], f"{name} is not the pod's name")

    # Where the configuration is.
    map_name = objects["ConfigMap"]["metadata"]["name"]
    sources = [source for volume in pod["volumes"] for source in volume["projected"]["sources"]]
    expect(any(source.get("configMap", {}).get("name") == map_name for source in sources), "no pod has the ConfigMap")
    mounted = container["volumeMounts"][0]["mountPath"]
    files = [f"{mounted}/{file}" for file in objects["ConfigMap"]["data"]]
    expect(container["args"] == ["run", *files], f"args are not: run {files}")

    if "ScaledObject" in objects:
        expect("replicas" not in sts, "an apply would set KEDA's number of pods back")
        scaled = objects["ScaledObject"]["spec"]
        expect(scaled["scaleTargetRef"]["name"] == objects["StatefulSet"]["metadata"]["name"], "KEDA scales nothing")
        known = set(pathlib.Path(keys).read_text().split())
        expect("lagThreshold" in known, "not the keys of KEDA's trigger")
        trigger = scaled["triggers"][0]["metadata"]
        for key in trigger:
            expect(key in known, f"KEDA's Kafka trigger knows no {key}")
        kafka = config["kafka"]
        expect(trigger["bootstrapServers"] == kafka["brokers"], "KEDA asks another Kafka")
        expect(trigger["consumerGroup"] == kafka["group"], "KEDA asks for another group")
        expect(trigger["topic"] in kafka["topics"], "KEDA asks for another topic")
        expect(trigger["offsetResetPolicy"] == kafka.get("start", "earliest"), "offsetResetPolicy is not kafka.start")
    if "PodMonitor" in objects:
        monitor = objects["PodMonitor"]["spec"]
        selects(monitor["selector"], "PodMonitor")
        expect(monitor["podMetricsEndpoints"][0]["port"] == port["name"], "PodMonitor: no such port")
        job = labels.get(monitor["jobLabel"], "")
        expect(job.startswith("penstock"), "the job's name does not begin with penstock: the alerts would not find it")
    if "NetworkPolicy" in objects:
        policy = objects["NetworkPolicy"]["spec"]
        selects(policy["podSelector"], "NetworkPolicy")
        open_ports = {each["port"] for rule in policy["egress"] for each in rule["ports"]}
        for address in (config["kafka"]["brokers"], config["aerospike"]["hosts"]):
            number = int(address.rsplit(":", 1)[1])
            expect(number in open_ports, f"NetworkPolicy: {address} cannot be reached")
    return f"{len(objects)} kinds of objects"


def line_of(error):
    trace = error.__traceback__
    while trace.tb_next and trace.tb_next.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace.tb_lineno


def main():
    checks = {"manifests": manifests, "compose": compose, "kubernetes": kubernetes}
    if len(sys.argv) < 3 or sys.argv[1] not in checks:
        print(__doc__, file=sys.stderr)
        return 64
    told = ""
    try:
        told = checks[sys.argv[1]](*sys.argv[2:])
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        # Something that the comparison needs is not there.
        fault(f"{sys.argv[1]}: {type(error).__name__}: {error} (scripts/deploy/check.py line {line_of(error)})")
    for text in faults:
        print(f"  FAULT: {text}")
    if not faults:
        print(f"  SUCCESS: {told}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
