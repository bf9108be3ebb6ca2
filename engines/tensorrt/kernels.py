"""The fused kernel as a file that this machine's driver loads: compiled where it runs, when the appliance is installed.

`python -m engines.tensorrt.kernels` compiles it for the GPU that is here. A fatbin of CUDA 13 need not load on a driver
of CUDA 12, so none is shipped; without one, pictures are prepared on the processor.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from engines.digest import of_bytes
from engines.durable import replace
from engines.engine import EngineUnavailable
from engines.gpu import probe
from engines.manifest import ImageInput
from engines.tensorrt.options import default_folder

SOURCES = tuple(Path(__file__).with_name(name) for name in ("letterbox.cuh", "letterbox.cu"))

_NVCC = "/usr/local/cuda/bin/nvcc"
"""Where JetPack has it; no service has that folder on its path."""
_COMPILE_S = 300.0


def can_prepare(spec: ImageInput) -> bool:
    """Whether the kernel does what this input asks for: all but the antialiased crop of classifiers."""
    return spec.fit != "center-crop" and 0 not in spec.scale


def fatbin_path(compute_capability: tuple[int, int], folder: Path | None = None) -> Path:
    """Where the kernel for such a GPU is, or would be; changed sources have another name."""
    digest = of_bytes(b"".join(path.read_bytes() for path in SOURCES)).removeprefix("sha256:")
    name = f"letterbox-{digest[:16]}-sm{compute_capability[0]}{compute_capability[1]}.fatbin"
    return (folder or default_folder()) / name


def load(compute_capability: tuple[int, int], folder: Path | None = None) -> bytes:
    """The compiled kernel; raises EngineUnavailable when there is none for such a GPU."""
    path = fatbin_path(compute_capability, folder)
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineUnavailable(
            f"the kernel that prepares pictures is not compiled ({path.name}: {error.strerror}); they are prepared on "
            "the processor: `appliance models build` compiles it where nvcc is installed"
        ) from error


def find_nvcc() -> str:
    """The compiler: `$NVCC`, on the path, or where JetPack has it. Raises EngineUnavailable."""
    found = os.environ.get("NVCC") or shutil.which("nvcc") or (_NVCC if os.access(_NVCC, os.X_OK) else None)
    if found is None:
        raise EngineUnavailable("nvcc is not installed: apt-get install cuda-nvcc, or set NVCC to where it is")
    return found


def compile_for(compute_capability: tuple[int, int], folder: Path | None = None) -> Path:
    """Compile, unless it is there already; returns the file. Raises EngineUnavailable with what nvcc said."""
    path = fatbin_path(compute_capability, folder)
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".new-{path.name}-{os.getpid()}")
    architecture = f"{compute_capability[0]}{compute_capability[1]}"
    command = [find_nvcc(), "-fatbin", "-O3", f"-gencode=arch=compute_{architecture},code=sm_{architecture}"]
    try:
        ended = subprocess.run(
            [*command, "-o", str(draft), str(SOURCES[1])], capture_output=True, text=True, timeout=_COMPILE_S
        )
        if ended.returncode != 0:
            raise EngineUnavailable(f"nvcc cannot compile the kernel for sm_{architecture}: {ended.stderr.strip()}")
        replace(path, draft.read_bytes())
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineUnavailable(f"nvcc cannot be run: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return path


def main() -> None:
    try:
        gpu = probe()
        print(f"{gpu.name}: {compile_for(gpu.compute_capability)}")
    except EngineUnavailable as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
