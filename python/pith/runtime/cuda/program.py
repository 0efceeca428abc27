"""Running programs on a GPU: :class:`DeviceProgram`."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol

from ...errors import ArgumentError, GpuArchitectureError
from ...programs import Program
from . import arguments as given
from .allocate import allocating_on
from .arguments import Bound, Described
from .hardware import Device, devices, runs_on
from .hardware import device as device_of
from .launching import Plan
from .memory import DeviceArray
from .modules import Module, is_machine_code, load
from .resident import DevicePattern, DeviceSparse, resident, to_device
from .streams import handle_of
from .views import framework_of, view

#: Signatures whose launch parameters are kept; with more, all are made anew (some 100 us each).
_MAX_PLANS = 1024


class Parameter(Protocol):
    """What a program's caller passes for one or several operands; see :class:`pith.compiler.params.Param`."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def native_count(self) -> int: ...
    def flatten(self, value: Any, where: str) -> list[Any]: ...
    def tensor(self, value: Any, where: str) -> Any: ...
    def pattern(self, value: Any, where: str) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A program on one device.

    Attributes:
        module: its kernels.
        bound: operands of the parameters that are bound, checked, by number; they keep their memory.
    """

    device: Device
    module: Module
    bound: Mapping[int, Bound]


class DeviceProgram:
    """A program whose kernels run on whichever GPU its arguments are on.

    Args:
        program: operands, buffers and launches.
        params: what the caller passes, in order.
        images: PTX or machine code of its kernels; machine code is preferred where it runs.
        bound: values of parameters the caller does not pass, by position; copied to a device once.
        check: raises for arguments whose sizes do not go together.

    Launch parameters are packed, and sizes checked, once per signature (shapes, types and device of the arguments).
    Safe to call from several threads.
    """

    def __init__(
        self,
        program: Program,
        params: Sequence[Parameter],
        images: Sequence[bytes],
        bound: Mapping[int, Any] | None = None,
        check: Callable[[Sequence[Any]], None] | None = None,
    ):
        self.program, self.params, self.images = program, tuple(params), tuple(images)
        self.bound = dict(bound or {})
        self._check = check
        self._operands = _operand_ranges(program, self.params)
        self._free = [i for i in range(len(self.params)) if i not in self.bound]
        sizing = given.sizing_numbers(program)
        self._readers = [self._reader(i, sizing) for i in self._free]
        self._copies = any(self.params[i].kind in ("encoded", "pattern") for i in self._free)
        self._plans: dict[Hashable, Plan] = {}
        self._loaded: dict[int, Loaded] = {}
        self._lock = threading.Lock()

    def __call__(self, args: Sequence[Any], stream: Any = None) -> Any:
        """Start the program's kernels and return its results, which are complete when the stream gets there.

        Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.DeviceError`,
            :class:`pith.ArgumentError` and :class:`pith.FormatError` before anything ran; :class:`pith.GpuError`
            and its subclasses for what the driver refuses.
        """
        args, words, plan = self.prepare(args)
        if stream is None:
            return plan.run(words, args, plan.current_stream())
        handle = handle_of(stream)
        with allocating_on(plan.framework, handle, plan.device.ordinal):
            return plan.run(words, args, handle)

    def prepare(self, args: Sequence[Any]) -> tuple[Sequence[Any], list[int], Plan]:
        """The arguments as they are on the device, their words, and the launch parameters for them."""
        passed = args
        if self._copies:
            args = self._with_copies(args)
        words: list[int] = []
        key = []
        try:
            for read, value in zip(self._readers, args):
                found, part = (read or _DESCRIBERS[type(value)])(value)
                words += found
                key.append(part)
        except Exception:
            if self._check is not None:
                self._check(passed)
            devices()  # without a GPU that is what is wrong, else what the arguments are
            self._bind(args)
            raise
        signature = tuple(key)
        plan = self._plans.get(signature)
        if plan is None:
            if self._check is not None:
                self._check(passed)
            plan = self._make_plan(signature, args)
        if plan.gradients and sys.modules["torch"].is_grad_enabled():
            given.no_gradients(plan.bound)
        return args, words, plan

    def _reader(self, number: int, sizing: frozenset[int]) -> Callable[[Any], Described] | None:
        """How the words and the key of one parameter are read off a value; None: as its type says."""
        param, (first, _) = self.params[number], self._operands[number]
        if param.kind == "number":
            operand, where = self.program.operands[first], self._where(number)
            if first in sizing:
                return lambda value: ((given.word_checked(operand, value, where),), value)
            return lambda value: ((given.word_checked(operand, value, where),), None)
        if param.kind == "encoded":
            return lambda value: value.described(param)
        return None

    def _with_copies(self, args: Sequence[Any]) -> Sequence[Any]:
        """The arguments with sparse tensors and patterns of the host replaced by their copies on the device."""
        out, device = list(args), None
        for i, (number, value) in enumerate(zip(self._free, args)):
            param = self.params[number]
            if param.kind not in ("encoded", "pattern") or isinstance(value, DeviceSparse):
                continue
            where = self._where(number)
            if isinstance(value, DevicePattern):
                param.pattern(value.pattern, where)
                out[i] = value.array
                continue
            if param.kind == "pattern" and _is_list(value):
                continue
            checked = param.tensor(value, where) if param.kind == "encoded" else param.pattern(value, where)
            device = device or self._device_of(args)
            copy = resident(checked, device)
            out[i] = copy.array if isinstance(copy, DevicePattern) else copy
        return out

    def _device_of(self, args: Sequence[Any]) -> Device:
        """The device of the first array, else the first device."""
        for number, value in zip(self._free, args):
            if isinstance(value, (DeviceSparse, DevicePattern)):
                return value.device
            if (
                self.params[number].kind == "dense"
                and (ordinal := view(value, self._where(number)).ordinal) is not None
            ):
                return device_of(ordinal)
        return device_of(0)

    def _bind(self, args: Sequence[Any]) -> list[Bound]:
        """Every operand the caller gives, checked."""
        return [b for number, value in zip(self._free, args) for b in self._bind_one(number, value)]

    def _bind_one(self, number: int, value: Any) -> list[Bound]:
        param, where = self.params[number], self._where(number)
        first, end = self._operands[number]
        operands = self.program.operands[first:end]
        if param.kind == "number":
            return [given.bind_number(operands[0], value, where)]
        if param.kind != "encoded":
            return [given.bind_array(operands[0], value, where)]
        parts = value.parts(param, where) if isinstance(value, DeviceSparse) else param.flatten(value, where)
        return [
            given.bind_number(o, v, where) if o.shape is None else given.bind_array(o, v, f"{where}, {o.name}")
            for o, v in zip(operands, parts, strict=True)
        ]

    def _make_plan(self, signature: Hashable, args: Sequence[Any]) -> Plan:
        bound = self._bind(args)
        ordinal = given.one_device(bound)
        loaded = self.load(device_of(0 if ordinal is None else ordinal))
        given.one_device([*loaded.bound.values(), *bound])
        frameworks = {framework_of(type(value)) for value in args}
        framework = next((f for f in ("torch", "cupy") if f in frameworks), "pith")
        owners = {n: i for i, number in enumerate(self._free) for n in range(*self._operands[number])}
        plan = Plan(self.program, loaded, framework, dict(zip(owners, bound)), owners)
        with self._lock:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            self._plans[signature] = plan
        return plan

    def load(self, device: Device) -> Loaded:
        """The program's kernels and bound parameters on ``device``.

        Errors: :class:`pith.GpuArchitectureError`, :class:`pith.GpuMemoryError`.
        """
        with self._lock:
            if device.ordinal not in self._loaded:
                self._loaded[device.ordinal] = Loaded(device, self._load_code(device), self._bind_fixed(device))
            return self._loaded[device.ordinal]

    def _load_code(self, device: Device) -> Module:
        """The kernels: machine code where it runs; PTX elsewhere, and where the driver is older than the assembler."""
        target = self.program.target
        images = sorted(self.images, key=is_machine_code, reverse=True)
        usable = [i for i in images if runs_on(target, device.capability, is_machine_code(i))]
        *first, last = usable or images
        for image in first:
            with contextlib.suppress(GpuArchitectureError):
                return load(device, image, target)
        return load(device, last, target)

    def _bind_fixed(self, device: Device) -> dict[int, Bound]:
        """The operands of the bound parameters, their values on ``device``."""
        fixed: dict[int, Bound] = {}
        for number, value in self.bound.items():
            if self.params[number].kind != "number":
                value = _on(device, value)
            fixed.update(zip(range(*self._operands[number]), self._bind_one(number, value)))
        return fixed

    def _where(self, number: int) -> str:
        return f"{self.program.name}: argument {self.params[number].name!r}"


class _Describers(dict[type, Callable[[Any], Described]]):
    """How arrays of a type are described."""

    def __missing__(self, kind: type) -> Callable[[Any], Described]:
        found = self[kind] = given.describer(kind)
        return found


_DESCRIBERS = _Describers()


def _is_list(value: Any) -> bool:
    """Whether a pattern is given as the list itself, in device memory."""
    return hasattr(value, "__cuda_array_interface__") or hasattr(value, "__dlpack__")


def _on(device: Device, value: Any) -> Any:
    """A bound value on ``device``: as it is when it is there."""
    if isinstance(value, (DeviceArray, DeviceSparse)) or (_is_list(value) and not _is_on_host(value)):
        return value
    copy = to_device(value, device.ordinal)
    return copy.array if isinstance(copy, DevicePattern) else copy


def _is_on_host(value: Any) -> bool:
    return hasattr(value, "__dlpack_device__") and int(value.__dlpack_device__()[0]) in (1, 3)  # kDLCPU, kDLCUDAHost


def _operand_ranges(program: Program, params: Sequence[Parameter]) -> list[tuple[int, int]]:
    """First and last (excluding) operand of each parameter."""
    ranges, first = [], 0
    for param in params:
        ranges.append((first, first + param.native_count))
        first += param.native_count
    if first != len(program.arguments):
        raise ArgumentError(
            f"the program takes {len(program.arguments)} operands, its parameters stand for {first}", where=program.name
        )
    return ranges
