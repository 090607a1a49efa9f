"""Holds memory of the first NVIDIA GPU until stdin ends: `python -m tests.gpu.hold_program BYTES LEAVE`.

BYTES 0: all but LEAVE bytes of what is free. Plain allocations through the driver, nothing else.
"""

from __future__ import annotations

import ctypes
import sys

PIECE_BYTES = 256 * 1024 * 1024


def main() -> int:
    """Allocate, say so, wait."""
    wanted, leave = int(sys.argv[1]), int(sys.argv[2])
    cuda = ctypes.CDLL("libcuda.so.1")
    device, context = ctypes.c_int(), ctypes.c_void_p()
    _require(cuda.cuInit(0))
    _require(cuda.cuDeviceGet(ctypes.byref(device), 0))
    _require(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
    _require(cuda.cuCtxSetCurrent(context))
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _require(cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)))
    left = wanted or max(0, free.value - leave)
    while left > 0:
        pointer, size = ctypes.c_uint64(), min(left, PIECE_BYTES)
        _require(cuda.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(size)))
        left -= size
    print("holding", flush=True)
    sys.stdin.read()
    return 0


def _require(status: int) -> None:
    if status != 0:
        print(f"the driver answered {status}", flush=True)
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
