"""GET /metrics: for admins, and without anything that a user could be told by."""

from prometheus_client.parser import text_string_to_metric_families

from tests.api.composed import Composed, refusal


async def test_prometheus_needs_an_admins_key(gateway: Composed) -> None:
    ada, admin = await gateway.person("ada"), await gateway.person("root", admin=True)
    refusal(await gateway.client().get("/metrics"), 401)
    refusal(await ada.http.get("/metrics"), 403)
    response = await admin.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_turns_and_requests_show_without_who_and_where(gateway: Composed) -> None:
    ada, admin = await gateway.person("ada"), await gateway.person("root", admin=True)
    session = await ada.new_session()
    await ada.say(session, "Good morning.")
    await ada.http.get(f"/chat/sessions/{session}")
    await ada.http.get("/somewhere/else")
    text = (await admin.http.get("/metrics")).text
    counted = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "gateway_requests_total"
    }
    assert counted == {
        ("POST", "/chat/sessions", "201"): 1,
        ("POST", "/v1/chat/completions", "200"): 1,
        ("GET", "/chat/sessions/{session_id}", "200"): 1,
        ("GET", "unknown", "404"): 1,
    }
    assert 'gateway_turns_total{model="fast",provider="openai",status="complete",stream="false"} 1.0' in text
    assert "gateway_requests_in_flight 1.0" in text  # this one
    for secret in (session, ada.user_id, ada.key, "ada", "Good morning"):
        assert secret not in text
