"""What is said of a GPU and taken of it, told by a stand-in for TensorFlow: no test needs a GPU."""

from types import SimpleNamespace

import pytest

from reproduce.errors import InputError
from reproduce.network import backend


class Machine:
    """TensorFlow's `config` on a machine with some GPUs of a compute capability."""

    def __init__(self, gpus=1, capability=(9, 0), allowed=True):
        self.gpus, self.limits, self.resets = [SimpleNamespace(name=f"GPU:{k}") for k in range(gpus)], {}, []
        self.LogicalDeviceConfiguration = SimpleNamespace
        self.experimental = SimpleNamespace(
            get_device_details=lambda gpu: {"device_name": "NVIDIA H200", "compute_capability": capability},
            get_memory_info=lambda name: {"current": 1, "peak": 5},
            reset_memory_stats=self.resets.append,
            tensor_float_32_execution_enabled=lambda: allowed,
        )

    def list_physical_devices(self, kind):
        return self.gpus

    list_logical_devices = list_physical_devices

    def set_logical_device_configuration(self, gpu, configurations):
        self.limits[gpu.name] = configurations

    def get_logical_device_configuration(self, gpu):
        return self.limits.get(gpu.name)


@pytest.fixture
def on(monkeypatch):
    def be_on(machine):
        monkeypatch.setattr(backend, "tf", SimpleNamespace(config=machine))
        monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
        return machine

    return be_on


def test_without_a_gpu_there_is_nothing_to_limit(on):
    on(Machine(gpus=0))
    backend.limit_gpu_memory(6)
    backend.reset_peak_gpu_memory()
    assert backend.gpu_memory_limit() is None
    assert backend.device() == {"name": "CPU"}


def test_each_gpu_is_limited(on):
    machine = on(Machine(gpus=2))
    assert backend.gpu_memory_limit() is None
    backend.limit_gpu_memory(6)
    assert {name: limit[0].memory_limit for name, limit in machine.limits.items()} == {"GPU:0": 6144, "GPU:1": 6144}
    assert backend.gpu_memory_limit() == 6 * 2**30
    with pytest.raises(InputError, match="above 0"):
        backend.limit_gpu_memory(0)


@pytest.mark.parametrize(
    "capability, allowed, override, rounds",
    [((9, 0), True, None, True), ((8, 0), True, "1", True), ((9, 0), True, "0", False), ((9, 0), False, None, False),
     ((6, 1), True, None, False)],
)  # fmt: skip
def test_a_gpu_is_named_with_its_arithmetic_and_its_peak(on, monkeypatch, capability, allowed, override, rounds):
    machine = on(Machine(capability=capability, allowed=allowed))
    if override is not None:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    backend.reset_peak_gpu_memory()
    assert machine.resets == ["GPU:0"]
    assert backend.device() == {"name": "NVIDIA H200", "tensor_float_32": rounds, "peak_memory_bytes": 5}
