"""What the CUDA driver answers, in words, and what to do about it.

The codes are those of CUresult in the CUDA driver API reference (CUDA 13.0); 35 is the runtime library's, which
TensorRT reports.
"""

from __future__ import annotations

MEANINGS = {
    1: "invalid value",
    2: "out of memory",
    3: "not initialized",
    4: "deinitialized",
    5: "profiler disabled",
    6: "profiler not initialized",
    7: "profiler already started",
    8: "profiler already stopped",
    34: "stub library",
    35: "insufficient driver",
    36: "call requires newer driver",
    46: "device unavailable",
    100: "no device",
    101: "invalid device",
    102: "device not licensed",
    200: "invalid image",
    201: "invalid context",
    202: "context already current",
    205: "map failed",
    206: "unmap failed",
    207: "array is mapped",
    208: "already mapped",
    209: "no binary for GPU",
    210: "already acquired",
    211: "not mapped",
    212: "not mapped as array",
    213: "not mapped as pointer",
    214: "ECC uncorrectable",
    215: "unsupported limit",
    216: "context already in use",
    217: "peer access unsupported",
    218: "invalid PTX",
    219: "invalid graphics context",
    220: "NVLink uncorrectable",
    221: "JIT compiler not found",
    222: "unsupported PTX version",
    223: "JIT compilation disabled",
    224: "unsupported exec affinity",
    225: "unsupported devside sync",
    226: "contained",
    300: "invalid source",
    301: "file not found",
    302: "shared object symbol not found",
    303: "shared object init failed",
    304: "operating system",
    400: "invalid handle",
    401: "illegal state",
    402: "lossy query",
    500: "not found",
    600: "not ready",
    700: "illegal address",
    701: "launch out of resources",
    702: "launch timeout",
    703: "launch incompatible texturing",
    704: "peer access already enabled",
    705: "peer access not enabled",
    708: "primary context active",
    709: "context is destroyed",
    710: "assert",
    711: "too many peers",
    712: "host memory already registered",
    713: "host memory not registered",
    714: "hardware stack error",
    715: "illegal instruction",
    716: "misaligned address",
    717: "invalid address space",
    718: "invalid program counter",
    719: "launch failed",
    720: "cooperative launch too large",
    721: "tensor memory leak",
    800: "not permitted",
    801: "not supported",
    802: "system not ready",
    803: "system driver mismatch",
    804: "compat not supported on device",
    805: "MPS connection failed",
    806: "MPS RPC failure",
    807: "MPS server not ready",
    808: "MPS max clients reached",
    809: "MPS max connections reached",
    810: "MPS client terminated",
    811: "CDP not supported",
    812: "CDP version mismatch",
    900: "stream capture unsupported",
    901: "stream capture invalidated",
    902: "stream capture merge",
    903: "stream capture unmatched",
    904: "stream capture unjoined",
    905: "stream capture isolation",
    906: "stream capture implicit",
    907: "captured event",
    908: "stream capture wrong thread",
    909: "timeout",
    910: "graph exec update failure",
    911: "external device",
    912: "invalid cluster size",
    913: "function not loaded",
    914: "invalid resource type",
    915: "invalid resource configuration",
    916: "key rotation",
    999: "unknown",
}
"""By CUresult."""

_DRIVER = "install the NVIDIA driver that fits this CUDA, or reboot after an update"
_RIGHTS = "give the service's user the groups video and render, and see that no other process holds the GPU for itself"
_HARDWARE = "see `dmesg` for Xid or nvgpu errors, and reboot"
_KERNEL = "reinstall CUDA and run `appliance models build` again, which compiles for this GPU"
_MPS = "restart NVIDIA's MPS server, or stop it"
_RECORDING = "set graph = false under [gpu]"
_MEMORY = "free memory of the GPU: use fewer or smaller models, or end what else runs there"
_ELSE = "see `dmesg` for Xid or nvgpu errors, and run scripts/gpu_check"

_STEPS: tuple[tuple[str, frozenset[int]], ...] = (
    (_MEMORY, frozenset({2, 701})),
    (_DRIVER, frozenset({3, 4, 36, 222, 302, 303, 802, 804})),
    (_RIGHTS, frozenset({46, 216, 304, 800})),
    (_HARDWARE, frozenset({214, 220, 226, *range(700, 720), 721, 909, 911} - {701, 704, 705, 708, 711, 712, 713})),
    (_KERNEL, frozenset({200, 209, 218, 221, 223, 225, 300, 301, 500, 703, 812, 913})),
    (_MPS, frozenset(range(805, 811))),
    (_RECORDING, frozenset({*range(900, 909), 910})),
)

_SENTENCES = {
    34: "libcuda is a stub, not a driver: install the NVIDIA driver",
    35: "driver mismatch: the CUDA driver is older than its library; update it or reboot",
    100: "no CUDA device: see that the GPU is seated and `nvidia-smi` or `dmesg` shows it; without a GPU there is "
    "nothing to do",
    803: "driver mismatch: driver and library are of different versions; reboot after an update",
    999: "unknown CUDA error: may the service open /dev/nvmap or /dev/nvidia0? (group video)",
}
"""Those that an owner is most likely to meet."""


def told(code: int, function: str) -> str:
    """One sentence with the next step; `function` of the driver answered with `code`, which is not 0."""
    if code in _SENTENCES:
        return _SENTENCES[code]
    return f"{function} failed with CUDA error {code} ({MEANINGS.get(code, 'not one we know')}): {next_step(code)}"


def next_step(code: int) -> str:
    """What an owner may do."""
    return next((step for step, codes in _STEPS if code in codes), _ELSE)
