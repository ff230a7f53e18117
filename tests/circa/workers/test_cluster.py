"""Workers on a Ray cluster of two nodes on this machine: the same results, also when a node is killed."""

import sys
import threading
import time

import pytest
import torch
from programs import residual, weights
from torch import nn

import circa
from circa import workers
from circa.errors import ParameterError
from circa.workers.cluster import Cluster


@pytest.fixture(scope="module")
def nodes():
    """A head and a second node, each of one core."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'circa[ray]'")
    from ray.cluster_utils import Cluster as Nodes

    memory = {"object_store_memory": 100 << 20}
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **memory})
    try:
        nodes.second = nodes.add_node(num_cpus=1, **memory)
        yield nodes
    finally:
        nodes.shutdown()


@pytest.fixture(scope="module")
def converted() -> circa.ConvertedModel:
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(4, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 8, 3), nn.Flatten(), nn.Linear(8 * 100, 5)
    )
    return circa.convert(network.eval(), images(32))


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 4, 12, 12, generator=torch.Generator().manual_seed(5))


def infer(server: circa.Server, converted: circa.ConvertedModel, count: int) -> None:
    x = images(count)
    with circa.connect(server.address, timeout=60.0, keep_shares=True) as session:
        private = session.infer(x)
        assert torch.equal(private, converted(x, client_shares=session.last_shares))


def places(pool: Cluster) -> list[str]:
    """The node of each worker."""
    node = "__import__('ray').get_runtime_context().get_node_id()"  # a function of ours would need this file
    return [lane._executor.submit(eval, node).result(60) for lane in pool._lanes]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_server_on_two_nodes_one_of_which_is_killed(nodes, converted):
    import ray

    with circa.Server(converted, port=0, timeout=60.0, ray=nodes.address) as server:
        pool = server._workers
        assert isinstance(pool, Cluster)
        assert server.workers == "2 workers (Ray actors)"  # one for each core of the cluster
        homes = places(pool)
        assert len(set(homes)) == 2
        infer(server, converted, 3)

        client = threading.Thread(target=infer, args=(server, converted, 24))
        submitted = pool.submit
        begun = threading.Event()

        def submit(lane, task):
            begun.set()
            return submitted(lane, task)

        pool.submit = submit
        client.start()
        assert begun.wait(60)
        nodes.remove_node(nodes.second, allow_graceful=False)
        client.join(120)
        assert not client.is_alive()
        infer(server, converted, 2)
        assert set(places(pool)) < set(homes)
        assert [lane.ready.result() for lane in pool._lanes] != pool.processes
    assert not ray.is_initialized()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_no_cluster_there():
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'circa[ray]'")
    prepared = workers.prepare(residual(), weights(residual()))
    start = time.monotonic()
    with pytest.raises(ParameterError, match=r"no Ray cluster answers at 127.0.0.1:1 .*ray start --head"):
        workers.start(prepared, ray="127.0.0.1:1")
    assert time.monotonic() - start < 20


def test_without_ray_its_name_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    prepared = workers.prepare(residual(), weights(residual()))
    with pytest.raises(ParameterError, match=r"pip install 'circa\[ray\]', on every machine"):
        workers.start(prepared, ray="127.0.0.1:1")
