"""What random calls found once: each stays fixed."""

from typing import Any

import httpx2
import pytest

from fuzz.served import CALL_WITHIN_S, Bus


@pytest.fixture
def client(bus: Bus) -> Any:
    headers = {"Authorization": f"Bearer {bus.callers['administrator']}"}
    with httpx2.Client(base_url=bus.base_url, headers=headers, timeout=CALL_WITHIN_S) as client:
        yield client


def _documented(bus: Bus, method: str, path: str) -> dict[str, Any]:
    responses: dict[str, Any] = bus.openapi["paths"][path][method]["responses"]
    return responses


def test_schema_is_published_with_the_media_type_it_is_served_with(
    bus: Bus, client: httpx2.Client
) -> None:
    response = client.get("/schemas/notice.v1.json")

    documented = _documented(bus, "get", "/schemas/{name}")["200"]["content"]
    assert list(documented) == [response.headers["content-type"]]


def test_metrics_are_published_with_the_media_type_they_are_served_with(
    bus: Bus, client: httpx2.Client
) -> None:
    served = client.get("/metrics").headers["content-type"]

    assert list(_documented(bus, "get", "/metrics")["200"]["content"]) == [served.partition(";")[0]]


def test_subscription_for_an_agency_that_the_key_may_not_see_is_a_published_404(
    bus: Bus, client: httpx2.Client
) -> None:
    body = {
        "agency_id": "agy_01k00000000000000000000002",
        "name": "Night shift",
        "areas": [{"nation": True}],
        "content_level": "id_only",
        "channel": "inbox",
    }
    theirs = {"Authorization": f"Bearer {bus.callers['school']}"}

    response = client.post("/v1/subscriptions", json=body, headers=theirs)

    assert response.status_code == 404
    assert "404" in _documented(bus, "post", "/v1/subscriptions")
