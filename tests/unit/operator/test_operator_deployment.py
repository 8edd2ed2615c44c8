"""What a pool's pods are made of."""

from operator_kit import RENDERING, pool

from whatsam_core import names
from whatsam_core.lease import LeaseTimings
from whatsam_operator.planning.deployment import RESTARTED_AT, budget, deployment, fingerprint_of, selector_text
from whatsam_operator.planning.views import read_deployment


def rendered(known=None, **spec):
    return deployment(pool(spec=spec), RENDERING, known)


def env(body):
    listed = body["spec"]["template"]["spec"]["containers"][0]["env"]
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in listed}


def known_from(body, **template_annotations):
    stored = {**body, "metadata": {**body["metadata"], "uid": "d", "resourceVersion": "9"}}
    stored["metadata"]["annotations"] = {**stored["metadata"]["annotations"], "somebody": "else"}
    stored["spec"]["template"]["metadata"]["annotations"] = template_annotations
    return read_deployment(stored)


def test_a_connector_knows_its_pool_its_pod_and_its_clocks():
    values = env(rendered())
    assert values["WHATSAM_POOL"] == "default"
    assert values["WHATSAM_POOL_UID"] == "uid-pool-default"
    assert values["WHATSAM_POD_UID"] == {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}
    clocks = LeaseTimings(
        renew_period=float(values["WHATSAM_RENEW_PERIOD"]),
        soft_fence=float(values["WHATSAM_SOFT_FENCE"]),
        hard_fence=float(values["WHATSAM_HARD_FENCE"]),
        lease_duration=float(values["WHATSAM_LEASE_DURATION"]),
    )
    assert clocks == LeaseTimings(), "the pool's defaults are the lease's defaults"


def test_the_template_is_merged_over_and_cannot_break_the_selector():
    body = rendered(
        template={
            "image": "mine:1",
            "labels": {names.LABEL_POOL: "wrong", "team": "a"},
            "env": [{"name": "WHATSAM_LOG_LEVEL", "value": "DEBUG"}, {"name": "WHATSAM_POOL", "value": "forced"}],
            "nodeSelector": {"disk": "fast"},
            "resources": {"limits": {"memory": "1Gi"}},
        }
    )
    template = body["spec"]["template"]
    assert template["metadata"]["labels"][names.LABEL_POOL] == "default"
    assert template["metadata"]["labels"]["team"] == "a"
    assert body["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    container = template["spec"]["containers"][0]
    assert container["image"] == "mine:1"
    assert container["resources"] == {"limits": {"memory": "1Gi"}}
    assert template["spec"]["nodeSelector"] == {"disk": "fast"}
    assert env(body)["WHATSAM_LOG_LEVEL"] == "DEBUG"
    assert env(body)["WHATSAM_POOL"] == "forced"


def test_replicas_alone_roll_nothing_out_and_a_new_image_does():
    assert fingerprint_of(rendered(replicas=1)) == fingerprint_of(rendered(replicas=9))
    assert fingerprint_of(rendered()) != fingerprint_of(rendered(template={"image": "other:2"}))


def test_the_engine_reaches_the_pods_and_another_one_rolls_them():
    assert env(rendered())["WHATSAM_ENGINE"] == "neonize"
    other = rendered(engine="whatsmeow")
    assert env(other)["WHATSAM_ENGINE"] == "whatsmeow"
    assert fingerprint_of(other) != fingerprint_of(rendered())


def test_what_others_wrote_stays():
    known = known_from(rendered(), **{RESTARTED_AT: "2026-01-01T00:00:00Z"})
    again = rendered(known)
    assert again["metadata"]["resourceVersion"] == "9"
    assert again["metadata"]["annotations"]["somebody"] == "else"
    assert again["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT] == "2026-01-01T00:00:00Z"
    assert fingerprint_of(again) == fingerprint_of(rendered()), "a restart is no change of the pool"


def test_the_pool_owns_both_and_the_budget_never_waits_for_dead_pods():
    for body in (rendered(), budget(pool(), None)):
        owner = body["metadata"]["ownerReferences"][0]
        assert (owner["uid"], owner["controller"]) == ("uid-pool-default", True)
    assert budget(pool(), None)["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert selector_text("default") == "whatsam.io/pool=default,app.kubernetes.io/component=connector"
