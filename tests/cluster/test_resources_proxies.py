"""Secrets with proxies are checked by the real API server, and workers may read one of them by its name."""

import pytest
from resources_kit import Json, Kubectl

pytestmark = pytest.mark.cluster


def proxy(**urls: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "whatsam-proxies", "namespace": "default"},
        "type": "whatsam.io/proxy",
        "stringData": urls,
    }


@pytest.mark.parametrize(
    "url", ["http://proxy:3128", "http://user:password@proxy:3128", "http://10.0.0.1:80", "socks5://proxy:1080"]
)
def test_proxies_are_taken(kubectl: Kubectl, url: str) -> None:
    kubectl.create_dry(proxy(berlin=url))


@pytest.mark.parametrize("url", ["proxy:3128", "ftp://proxy:21", "https://proxy:443", "socks4://proxy:1", "", "x"])
def test_anything_else_is_refused_and_told_what_to_do(kubectl: Kubectl, url: str) -> None:
    assert "holds URLs only, such as http://" in kubectl.refusal(proxy(berlin="http://proxy:3128", other=url))


def test_a_secret_without_any_is_refused(kubectl: Kubectl) -> None:
    assert "holds URLs only" in kubectl.refusal(proxy())


def test_other_secrets_are_no_business_of_the_policy(kubectl: Kubectl) -> None:
    kubectl.create_dry({**proxy(any="thing"), "type": "Opaque"})


def test_workers_read_this_secret_alone(kubectl: Kubectl) -> None:
    def may(name: str) -> str:
        account = "--as=system:serviceaccount:whatsam:whatsam-connector"
        return kubectl("auth", "can-i", "get", f"secrets/{name}", "-n", "whatsam", account, check=False).split()[-1]

    assert may("whatsam-proxies") == "yes"
    assert may("whatsam") == "no"
