"""`whatsam-operator plan` looks at a cluster while an operator works in it, and writes nothing."""

import asyncio
from typing import cast

from operator_cluster import Client, Faults, clock
from operator_virtual import run
from operator_world import NAMESPACE, Operator, World

from whatsam_core import names
from whatsam_core.storage.cluster import DEPLOYMENTS, NODES, PDBS, PODS, SESSIONS, Cluster, Forbidden
from whatsam_operator.services.explain import ExplainService
from whatsam_operator.storage.reading import Reader


class LittleRight(Faults):
    """The asker may read one namespace only, and writes nothing."""

    def __init__(self, *refused):
        self.refused = refused

    async def before(self, verb, kind, key):
        assert verb in ("get", "list"), f"a look at the cluster must not {verb}"
        if kind in self.refused:
            raise Forbidden(f"{kind.plural} is forbidden")


def look(world, *sessions, refused=(NODES,)):
    client = cast("Cluster", Client(world.server, LittleRight(*refused)))
    return ExplainService(Reader(client, NAMESPACE), clock, image="whatsam/connector:0.1.0").run(frozenset(sessions))


def test_a_look_tells_what_the_operator_then_does():
    run(looked_at())


async def looked_at():
    world = World(sessions_per_worker=2)
    try:
        operator = Operator(world)
        world.add_session("a")
        world.add_session("b")
        await world.settled()
        await asyncio.sleep(20)
        quiet = await look(world, "a")
        (one,) = quiet.sessions
        assert one.steps == ()
        assert all("write its status" in step for step in quiet.pools[0].steps)
        assert any("nodes may not be read" in note for note in quiet.notes)

        with_less = await look(world, refused=(NODES, DEPLOYMENTS, PDBS))
        assert with_less.pools[0].steps == (), "what may not be read is not taken to be missing"
        assert len(with_less.notes) == len(quiet.notes) + 2

        operator.task.cancel()  # nobody leads: what is to be done stays to be done
        world.add_session("late")
        annotations = {"metadata": {"annotations": {names.ANNOTATION_CORDON: "true"}}}
        world.server.patch(PODS, (NAMESPACE, world.pods[0].name), annotations, None)
        world.pods[1].boot.frozen = True
        await asyncio.sleep(20)
        explanation = await look(world)
        verdicts = {worker.worker: worker.verdict for worker in explanation.pools[0].workers}
        assert verdicts == {"w0": "alive", "w1": "expired", "w2": "alive"}
        assert any("revoke the Lease" in step for step in explanation.pools[0].steps)
        late = next(one for one in explanation.sessions if one.session.endswith("late"))
        assert late.steps == (f"set its finalizers to ['{names.FINALIZER_OPERATOR}']",)

        finalizers = {"metadata": {"finalizers": [names.FINALIZER_OPERATOR]}}
        world.server.patch(SESSIONS, (NAMESPACE, "late"), finalizers, None)
        explanation = await look(world)
        late = next(one for one in explanation.sessions if one.session.endswith("late"))
        assert late.chosen == "w2"
        assert {view.worker: view.refused for view in late.workers} == {
            "w0": "it is cordoned",
            "w1": "its Lease is not in order",
            "w2": None,
        }
        Operator(world)
        await world.settled()
        assert world.status("late")["assignment"]["worker"] == "w2"
    finally:
        await world.close()
