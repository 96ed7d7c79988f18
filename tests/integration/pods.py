"""What the tests of Kubernetes run a pod's container as: a process, with a folder for its image, or Docker's."""

import json
import os
from pathlib import Path
from typing import Any

from checkouts import Checkout
from containers import KINDS

from harness.dispatch.kubernetes import manifests
from harness.environments import images, inside

Document = dict[str, Any]


def image_folder(checkout: Checkout) -> Path:
    """What an image of a checkout with the toy has in /opt/homework: its stack, the harness, and what the image is."""
    folder = checkout.folder / ".cache" / "image"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(checkout.folder / ".stacks" / "base" / "bin" / "python")
    (folder / "harness").symlink_to(checkout.folder / ".venv")
    labels = {images.LABEL + "recipe": toy_image(checkout).recipe}
    (folder / inside.FILE).write_text(json.dumps({"Id": "sha256:" + "0" * 64, "Config": {"Labels": labels}}))
    return folder


def toy_image(checkout: Checkout, base: str = "") -> images.Image:
    return images.Image(hardware=KINDS["cpu"], base=base, root=checkout.folder)


def environment(container: Document, node: str) -> dict[str, str]:
    """The variables of a container, but for those of its Secret."""
    return {entry["name"]: entry.get("value", node) for entry in container["env"]}  # the others are the node's name


def docker_options(spec: Document, folder: Path) -> list[str]:
    """What a kubelet makes of a pod's specification, as options of docker run; what is not known here is an error.

    Its empty folders are made in `folder`.
    """
    (container,) = spec["containers"]
    security, pod = container["securityContext"], spec["securityContext"]
    assert set(security) <= {
        "readOnlyRootFilesystem", "allowPrivilegeEscalation", "capabilities", "seccompProfile",
    }  # fmt: skip
    assert security["allowPrivilegeEscalation"] is False and security["seccompProfile"] == {"type": "RuntimeDefault"}
    options = ["--security-opt", "no-new-privileges", "--workdir", container["workingDir"]]
    options += ["--read-only"] if security["readOnlyRootFilesystem"] else []
    options += ["--user", f"{pod['runAsUser']}:{pod['runAsGroup']}"]
    for name in security["capabilities"]["drop"]:
        options += ["--cap-drop", name]
    memory = int(manifests._bytes(container["resources"]["limits"]["memory"]))
    options += ["--memory", str(memory)]
    volumes = {volume["name"]: volume["emptyDir"] for volume in spec["volumes"]}
    for mount in container["volumeMounts"]:
        volume, place = volumes[mount["name"]], mount["mountPath"]
        if volume.get("medium") == "Memory":
            assert place == "/dev/shm" and int(volume["sizeLimit"]) <= memory, "it counts as the container's"
            options += ["--shm-size", volume["sizeLimit"]]
        else:
            own = folder / mount["name"]
            own.mkdir()
            os.chown(own, -1, pod["fsGroup"])
            own.chmod(0o2777)  # as a kubelet makes an emptyDir
            options += ["--volume", f"{own}:{place}"]
    return options
