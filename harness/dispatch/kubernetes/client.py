"""Asks a cluster, by Kubernetes' own client: a program of the stack "kubernetes", a line of JSON for a line of JSON.

{"do": "create", "namespace", "manifest"}   one that is there already is as good as made
{"do": "list", "namespace", "label"}        answers {"jobs", "pods"}, of each what tells how it is
{"do": "delete", "namespace", "name"}       one that is gone is as good as deleted; its pods end first

An answer with "error" says of which sort: silent (ask again later) or refused. Names are the caller's, so that a
request of which nobody knows whether it arrived may be made again.
"""

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from kubernetes import client, config
from kubernetes.client.rest import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError, InsecureRequestWarning

PAGE = 500
SECONDS = (10, 60)  # to connect, and to answer
UNKNOWN, TAKEN, GONE, EXPIRED = 401, 409, 404, 410
LATER = (408, 429)  # and all from 500
CODES = {
    UNKNOWN: "Log in again, as your kubeconfig wants it: kubectl auth whoami",
    403: "Ask for the rights of docs/kubernetes-role.yaml there, or for more quota: kubectl -n NAMESPACE get quota",
    GONE: "Is the namespace there? kubectl get namespaces",
    422: "Compare kubernetes.yaml with docs/kubernetes.md; ./inv run --dry-run prints the manifest.",
}


def create(namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
    _taken_is_made(lambda: client.BatchV1Api().create_namespaced_job(namespace, manifest, _request_timeout=SECONDS))
    return {}


def delete(namespace: str, name: str) -> dict[str, Any]:
    options = client.V1DeleteOptions(propagation_policy="Foreground")
    try:
        client.BatchV1Api().delete_namespaced_job(name, namespace, body=options, _request_timeout=SECONDS)
    except ApiException as error:
        if error.status != GONE:
            raise
    return {}


def _taken_is_made(make: Callable[[], object]) -> None:
    try:
        make()
    except ApiException as error:
        if error.status != TAKEN:
            raise


def list_(namespace: str, label: str) -> dict[str, Any]:
    """Jobs first: a pod of a job that is listed as running may have ended by then, and never the other way round."""
    jobs = list(_items(client.BatchV1Api().list_namespaced_job, namespace, label))
    pods = list(_items(client.CoreV1Api().list_namespaced_pod, namespace, label))
    return {"jobs": [_slim(each, ("suspend",)) for each in jobs], "pods": [_slim(each, ("nodeName",)) for each in pods]}


def _items(ask: Callable[..., Any], namespace: str, label: str) -> Iterator[dict[str, Any]]:
    """The items of all pages as they came: making objects of them would take longer than all the rest."""
    more = ""
    while True:
        pages = {"limit": PAGE, **({"_continue": more} if more else {})}
        answer = ask(namespace, label_selector=label, _preload_content=False, _request_timeout=SECONDS, **pages)
        document = json.loads(answer.data)
        yield from document["items"]
        more = document["metadata"].get("continue", "")
        if not more:
            return


def _slim(item: dict[str, Any], spec: tuple[str, ...]) -> dict[str, Any]:
    kept = {name: item["metadata"].get(name) for name in ("name", "labels", "creationTimestamp", "deletionTimestamp")}
    return {
        "metadata": kept,
        "spec": {name: item["spec"].get(name) for name in spec},
        "status": item.get("status") or {},
    }


ASKED: dict[str, Callable[..., dict[str, Any]]] = {"create": create, "list": list_, "delete": delete}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What came of a request. The kubeconfig is read again once the cluster knows us no more: a token may be new."""
    do = ASKED[request.pop("do")]
    for last in (False, True):
        try:
            return do(**request)
        except ApiException as error:
            if last or error.status not in (UNKNOWN, EXPIRED):
                return _refused(error)
            config.load_config()
        except (HTTPError, OSError) as error:
            remedy = "Is the address in your kubeconfig right, and the cluster on? kubectl cluster-info"
            return {"error": "silent", "what": "The cluster does not answer.", "why": str(error), "remedy": remedy}
    raise AssertionError


def _refused(error: ApiException) -> dict[str, Any]:
    try:
        why = str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        why = str(error.reason)
    status = error.status or 500
    remedy = CODES.get(status, "Call again later; kubectl get events says more.")
    if status == UNKNOWN:
        return {"error": "silent", "what": "The cluster does not know you (401).", "why": why, "remedy": remedy}
    if status in LATER or status >= 500:
        return {"error": "silent", "what": f"The cluster does not answer ({status}).", "why": why, "remedy": remedy}
    return {"error": "refused", "what": f"The cluster refused it ({status}).", "why": why, "remedy": remedy}


def main() -> None:
    """Answer until nothing more is asked."""
    words, sys.stdout = sys.stdout, sys.stderr  # the library prints, too
    warnings.simplefilter("ignore", InsecureRequestWarning)  # a person's kubeconfig says so
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # each retry, before the error that is told
    try:
        config.load_config()
    except ConfigException as error:
        remedy = "Set KUBECONFIG; kubectl get jobs tries it."
        refusal = {"error": "refused", "what": "There is no usable kubeconfig.", "why": str(error), "remedy": remedy}
        for _ in sys.stdin:
            print(json.dumps(refusal), file=words, flush=True)
        return
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=words, flush=True)


if __name__ == "__main__":
    main()
