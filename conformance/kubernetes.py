"""Holds deploy/kubernetes against the schemas of Kubernetes, which the PyPI package kubernetes-validate brings along.

Beside it what a schema does not know: images have a tag, so that they are not pulled anew for each pod, and no password is
part of a URL. Skips with a sentence where the package is not installed.
"""
import sys
from pathlib import Path

try:
    import kubernetes_validate
    import yaml
except ImportError:
    print("skipped: pip install kubernetes-validate")
    sys.exit(0)

VERSION = "1.27"


def containers(thing):
    if isinstance(thing, dict):
        yield from thing.get("containers", [])
        for value in thing.values():
            yield from containers(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from containers(value)


def main():
    folder = Path(__file__).parent.parent / "deploy" / "kubernetes"
    # That it sees what is wrong.
    wrong = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, "spec": {"paralelism": 8}}
    try:
        kubernetes_validate.validate(wrong, VERSION, strict=True)
        raise SystemExit("a wrong manifest passes")
    except kubernetes_validate.ValidationError:
        pass
    count = 0
    names = set()
    for file in sorted(folder.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            kubernetes_validate.validate(document, VERSION, strict=True)
            name = document["kind"], document["metadata"]["name"]
            assert name not in names, f"{file.name}: {name} is there twice"
            names.add(name)
            for container in containers(document):
                tag = container["image"].rpartition(":")[2]
                assert tag not in (container["image"], "latest"), f"{file.name}: {container['image']} has no tag"
                assert not any("$(" in word for word in container.get("args", [])), \
                    f"{file.name}: what stands for a secret is put into a URL as it is"
            count += 1
    print(f"Kubernetes {VERSION}: {count} manifests are right")


if __name__ == "__main__":
    main()
