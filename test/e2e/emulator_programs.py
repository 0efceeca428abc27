"""Kernels at the gpu level for the tests of the emulator, and how to run them."""

import pith
from pith.compiler.build import parse
from pith.compiler.emulated import compile_emulated
from pith.lowering.gpu.emulate.compile import readable
from pith.lowering.targets import GpuTarget

SHARED = "#gpu.address_space<workgroup>"
TARGET = GpuTarget("sm_90", emulated=True)


def program(body, arguments, *, threads=32, blocks=1, shared=0, static="", chip="sm_90"):
    """A module of one kernel. ``arguments``: name -> type of memrefs; ``static``: workgroup attributions.

    Constants ``%c0`` to ``%c33`` and ``%t``, the thread, are there; every argument may be written to.
    """
    params = ", ".join(f"%{n}: {t}" for n, t in arguments.items())
    host = ", ".join(f"%{n}: {t} {{bufferization.writable = true}}" for n, t in arguments.items())
    passed = ", ".join(f"%{n} : {t}" for n, t in arguments.items())
    constants = "\n".join(f"    %c{i} = arith.constant {i} : index" for i in range(34))
    dynamic = "dynamic_shared_memory_size %bytes " if shared else ""
    return f"""module attributes {{gpu.container_module}} {{
gpu.module @kernels [#nvvm.target<chip = "{chip}">] {{
  gpu.func @kernel({params}) {f"workgroup({static})" if static else ""} kernel {{
{constants}
    %t = gpu.thread_id x
{body}
    gpu.return
  }}
}}
func.func @run({host}) {{
  %one = arith.constant 1 : index
  %blocks = arith.constant {blocks} : index
  %threads = arith.constant {threads} : index
  %bytes = arith.constant {shared} : i32
  gpu.launch_func @kernels::@kernel blocks in (%blocks, %one, %one) threads in (%threads, %one, %one)
    {dynamic} args({passed})
  return
}}
}}
"""


def run(body, arguments, arrays, **options):
    """Run a kernel on ``arrays``, in place."""
    kernel = pith.compile(program(body, arguments, **options), target="emulate:sm_90")
    kernel(*arrays)


def line_of(source, text):
    """Number of the only line of ``source`` that holds ``text``."""
    (number,) = [i for i, line in enumerate(source.splitlines(), 1) if text in line]
    return number


def fault_of(body, arguments, arrays, **options):
    """The fault that a kernel must end in, with its source."""
    source = program(body, arguments, **options)
    try:
        pith.compile(source, target="emulate:sm_90")(*arrays)
    except pith.KernelFault as fault:
        return fault, source
    raise AssertionError("the kernel ran to its end")


def run_module(module, arguments):
    """Run a module at the gpu level on ``arguments`` (NumPy arrays and numbers, in host order); the results."""
    lowered, run_program = compile_emulated(parse(readable(str(module))), TARGET)
    return run_program(lowered.program, arguments)
