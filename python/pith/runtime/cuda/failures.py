"""What the CUDA driver refuses -> typed errors that say what to do."""

from __future__ import annotations

from typing import Any

from ...errors import GpuArchitectureError, GpuError, GpuLaunchError, GpuMemoryError, NoGpuError

_NO_DRIVER = "`nvidia-smi` must list the GPU; target='emulate:sm_90' runs kernels on the CPU, slowly"
_RESTART = (
    "the context is lost: restart the process, with CUDA_LAUNCH_BLOCKING=1 to be told which kernel it was, "
    "or compile for target='emulate:...' to be told which access"
)
_RECOMPILE = "compile for this GPU: pith.compile(..., target=...); pith.runtime.cuda.devices() names its chip"
_CAPTURE = "leave what waits for the device out of the capture, and run the kernel once before it"

#: Name of a driver error, less ``CUDA_ERROR_`` -> class, what to do.
_KNOWN: dict[str, tuple[type[GpuError], str]] = {
    "OUT_OF_MEMORY": (GpuMemoryError, "drop arrays, or call torch.cuda.empty_cache(): PyTorch keeps what it freed"),
    "NO_DEVICE": (NoGpuError, f"CUDA_VISIBLE_DEVICES may hide it; {_NO_DRIVER}"),
    "INVALID_DEVICE": (NoGpuError, "pith.runtime.cuda.devices() lists what there is"),
    "NOT_INITIALIZED": (NoGpuError, _NO_DRIVER),
    "STUB_LIBRARY": (NoGpuError, "the toolkit's stub of libcuda was found first: take it out of LD_LIBRARY_PATH"),
    "DEVICE_UNAVAILABLE": (NoGpuError, "another process holds it exclusively: nvidia-smi -q -d COMPUTE"),
    "SYSTEM_NOT_READY": (NoGpuError, "start nvidia-fabricmanager, or wait for it"),
    "SYSTEM_DRIVER_MISMATCH": (NoGpuError, "libcuda and the kernel module differ: reboot, or install one driver"),
    "COMPAT_NOT_SUPPORTED_ON_DEVICE": (NoGpuError, "the forward-compatibility libcuda needs a data-center GPU"),
    "NO_BINARY_FOR_GPU": (GpuArchitectureError, _RECOMPILE),
    "UNSUPPORTED_PTX_VERSION": (
        GpuArchitectureError,
        "the PTX is newer than the driver: update the driver, or store machine code (pith compile --cubin)",
    ),
    "INVALID_PTX": (GpuArchitectureError, _RECOMPILE),
    "INVALID_IMAGE": (GpuArchitectureError, _RECOMPILE),
    "JIT_COMPILER_NOT_FOUND": (
        GpuArchitectureError,
        "libnvidia-ptxjitcompiler is missing: install it, or store machine code (pith compile --cubin)",
    ),
    "LAUNCH_OUT_OF_RESOURCES": (GpuLaunchError, "the block needs more registers than there are: use a smaller tile"),
    "INVALID_HANDLE": (GpuLaunchError, "the stream must belong to the arrays' device"),
    "LAUNCH_TIMEOUT": (GpuLaunchError, f"a display's watchdog stopped it; {_RESTART}"),
    **dict.fromkeys(
        (
            "ILLEGAL_ADDRESS",
            "MISALIGNED_ADDRESS",
            "LAUNCH_FAILED",
            "ILLEGAL_INSTRUCTION",
            "ASSERT",
            "HARDWARE_STACK_ERROR",
        ),
        (GpuLaunchError, _RESTART),
    ),
    **dict.fromkeys(
        ("STREAM_CAPTURE_UNSUPPORTED", "STREAM_CAPTURE_INVALIDATED", "STREAM_CAPTURE_IMPLICIT"), (GpuError, _CAPTURE)
    ),
}


def failure(
    driver: Any, status: Any, doing: str, *, where: str | None = None, launching: bool = False, hint: str | None = None
) -> GpuError:
    """The error for a driver's ``status``.

    Args:
        driver: the bindings, which know names and texts.
        doing: what was asked for: ``allocating 64 bytes``.
        where: kernel, grid, block and shared memory of a launch.
        launching: what has no class of its own is a :class:`pith.GpuLaunchError`.
        hint: what to do about it, where the status alone does not say.
    """
    name, text = _described(driver, status)
    kind, known = _KNOWN.get(name.removeprefix("CUDA_ERROR_"), (GpuLaunchError if launching else GpuError, hint))
    error = kind(f"{doing} failed: {text} ({name})", where=where, hint=known)
    error.code = name
    return error


def _described(driver: Any, status: Any) -> tuple[str, str]:
    """Name and text of a status."""
    texts = []
    for query in (driver.cuGetErrorName, driver.cuGetErrorString):
        code, text = query(status)
        texts.append(f"error {int(status)}" if code or text is None else text.decode(errors="replace"))
    return texts[0], texts[1]
