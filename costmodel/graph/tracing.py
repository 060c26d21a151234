"""Record the aten graph of a torch module while it runs, on meta, CPU or CUDA.

A dispatch mode sees every aten call. A function mode keeps three composites whole (`linear`,
`matmul`, `scaled_dot_product_attention`), because what torch makes of them depends on device and
strides while the mathematics does not. With `as_run=True` they are left to torch, and the graph
holds what really ran.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules import module as nn_module
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from costmodel.dtypes import DEVICES
from costmodel.errors import CostModelError, TraceError
from costmodel.graph.ir import Graph, Node, Ref, Value
from costmodel.graph.meta_shapes import infer

# Composite functions kept whole: name in the graph, and names of their arguments in order.
_SDPA = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")
COMPOSITES: dict[Callable[..., Any], tuple[str, tuple[str, ...]]] = {
    torch.nn.functional.linear: ("aten.linear", ("input", "weight", "bias")),
    torch.matmul: ("aten.matmul", ("self", "other")),
    Tensor.matmul: ("aten.matmul", ("self", "other")),
    Tensor.__matmul__: ("aten.matmul", ("self", "other")),
    torch.nn.functional.scaled_dot_product_attention: ("aten.scaled_dot_product_attention", _SDPA),
}
# Dispatches that are no work of the model: device queries of fake tensors.
SILENT = ("prim::device",)
# Calls that ask for a number, for control flow: no node of a graph, and no meta tensor has it.
NUMBER_OF = ("aten::_local_scalar_dense", "aten::equal", "aten::is_nonzero")


@dataclass(frozen=True)
class Trace:
    """A graph, and the tensors of its leaves (weights, inputs, constants) by value id."""

    graph: Graph
    leaves: dict[int, Tensor]
    result: Any


def trace(module: torch.nn.Module, inputs: Any, *, device: str = "meta", as_run: bool = False) -> Graph:
    """The aten graph of `module(**inputs)` (or `module(*inputs)`): forward pass, no gradients.

    Args:
        module: runs as it is, in its own train or eval mode, on the device where its weights are.
        inputs: a mapping or a tuple. Its tensors are moved to `device`; on `meta` their values
            still decide control flow on integers, such as `mask.all()`.
        device: `meta` (shapes only), `cpu` or `cuda`.
        as_run: leave composites to torch, so that the graph holds the kernels that really ran.

    Raises:
        TraceError: the model does not run, or its control flow needs weights that are not there.
    """
    return trace_leaves(module, inputs, device=device, as_run=as_run).graph


def trace_leaves(module: torch.nn.Module, inputs: Any, *, device: str = "meta", as_run: bool = False) -> Trace:
    """Like `trace`, with the leaf tensors: what an interpreter of the graph needs."""
    check_device(device)
    recorder = Recorder(module)
    moved = recorder.add_inputs(inputs, device)
    hooks = (
        nn_module.register_module_forward_pre_hook(recorder.enter),
        nn_module.register_module_forward_hook(recorder.leave, always_call=True),
    )
    try:
        with torch.no_grad(), Dispatches(recorder), Functions(recorder, {} if as_run else COMPOSITES):
            result = run(module, moved)
    except CostModelError:
        raise
    except Exception as error:  # the model is the user's: whatever it raises is reported in one line
        cause = " ".join(str(error).split())[:300]
        where = f"module {recorder.path or '(top)'}"
        raise TraceError(
            f"{type(module).__name__} does not run on {device}: {where}: {type(error).__name__}: {cause}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    return recorder.finish(result)


def check_device(device: str) -> None:
    """Raises TraceError for a device that is unknown or not there."""
    if device not in DEVICES:
        raise TraceError(f"unknown device {device!r}; known: {', '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise TraceError("this machine has no CUDA device; use `device=meta` or `device=cpu`")


def run(module: torch.nn.Module, inputs: Any) -> Any:
    return module(**inputs) if isinstance(inputs, Mapping) else module(*inputs)


class Recorder:
    """Gives tensors their identities and writes calls down. Lives only while a trace runs."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.values: list[Value] = []
        self.nodes: list[Node] = []
        self.leaves: dict[int, Tensor] = {}
        self.path = ""  # the module that runs now
        self.quiet = False  # True inside a composite that is kept whole
        self._stack: list[str] = []
        self._ids: dict[int, tuple[int, weakref.ref[Tensor]]] = {}  # id(tensor) -> value id
        self._calls: dict[int, tuple[Callable[..., Any], Any, Any, tuple[int, ...], int]] = {}
        self._data: dict[int, Tensor] = {}  # real numbers of values whose tensors are on meta
        self._paths = {id(m): name for name, m in module.named_modules()}
        self._names = {id(t): ("buffer", name) for name, t in module.named_buffers()}
        self._names.update((id(t), ("param", name)) for name, t in module.named_parameters())
        self._params = sum(p.numel() for p in module.parameters())

    def enter(self, module: torch.nn.Module, _args: Any) -> None:
        self._stack.append(self.path)
        self.path = self._paths.get(id(module), self.path)

    def leave(self, _module: torch.nn.Module, _args: Any, _result: Any) -> None:
        self.path = self._stack.pop()

    def add_inputs(self, inputs: Any, device: str) -> Any:
        if isinstance(inputs, Mapping):
            return {name: self._add_input(name, item, device) for name, item in inputs.items()}
        return tuple(self._add_input(f"args.{i}", item, device) for i, item in enumerate(inputs))

    def _add_input(self, name: str, item: Any, device: str) -> Any:
        if not isinstance(item, Tensor):
            return item
        # A view gets an identity of its own, should the tensor also be a weight or come twice.
        # A fake tensor already stands for its device.
        moved = item.view_as(item) if is_fake(item) else item.to(device).view_as(item)
        value = self._new(moved, "input", name, None)
        if not item.is_meta and not is_fake(item):
            self._data[value] = item
        return moved

    def _new(self, tensor: Tensor, kind: str, name: str, storage: int | None) -> int:
        i = len(self.values)
        self.values.append(
            Value(
                i,
                tuple(map(int, tensor.shape)),
                str(tensor.dtype)[6:],  # without "torch."
                kind,
                i if storage is None else storage,
                tuple(map(int, tensor.stride())),
                int(tensor.storage_offset()),
                name,
            )
        )
        key = id(tensor)
        self._ids[key] = (i, weakref.ref(tensor, lambda _: self._ids.pop(key, None)))
        if kind != "temp":
            self.leaves[i] = tensor
        return i

    def id_of(self, tensor: Tensor) -> int:
        """The value that a tensor is; one never seen is a weight, a buffer or a constant."""
        known = self._ids.get(id(tensor))
        if known is not None:
            return known[0]
        kind, name = self._names.get(id(tensor), ("const", ""))
        value = self._new(tensor, kind, name, None)
        if kind == "const" and not tensor.is_meta:
            self._data[value] = tensor
        return value

    def encode(self, arg: Any, tensors: list[tuple[int, Tensor]]) -> Any:
        """An argument as the graph holds it; the tensors in it are appended to `tensors`."""
        if isinstance(arg, Tensor):
            i = self.id_of(arg)
            tensors.append((i, arg))
            return Ref(i)
        if isinstance(arg, list | tuple):
            return tuple([self.encode(item, tensors) for item in arg])
        if arg is None or isinstance(arg, bool | int | float | str):
            return arg
        return str(arg)  # dtype, device, layout, memory format

    def add(self, op: str, names: tuple[str, ...], func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Write one call down. A result in the memory of an input becomes an alias of it."""
        tensors: list[tuple[int, Tensor]] = []
        attrs = {name: self.encode(arg, tensors) for name, arg in zip(names, args, strict=False)}
        for name, arg in kwargs.items():
            attrs[name] = self.encode(arg, tensors)
        inputs = tuple([i for i, _ in tensors])
        owners = {t.untyped_storage()._cdata: self.values[i].storage for i, t in tensors}
        outputs = []
        for index, tensor in enumerate(result if isinstance(result, list | tuple) else (result,)):
            if isinstance(tensor, Tensor):
                owner = owners.get(tensor.untyped_storage()._cdata)
                outputs.append(self._new(tensor, "temp", "", owner))
                if tensor.is_meta:
                    self._calls[outputs[-1]] = (func, args, kwargs, inputs, index)
        self.nodes.append(Node(op, inputs, tuple(outputs), attrs, self.path))

    def number(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The answer to a call that asks for a number, from real data of inputs and constants."""
        inputs = tuple(self.id_of(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor))
        quiet, self.quiet = self.quiet, True
        try:
            return self._replay(func, args, kwargs, inputs)
        finally:
            self.quiet = quiet

    def _replay(self, func: Any, args: Any, kwargs: Any, inputs: tuple[int, ...]) -> Any:
        data: Iterator[Tensor] = iter([self._data_of(i) for i in inputs])
        args, kwargs = tree_map_only(Tensor, lambda _: next(data), (args, kwargs))
        kwargs = {k: torch.device("cpu") if k == "device" else v for k, v in kwargs.items()}
        return func(*args, **kwargs)

    def _data_of(self, value: int) -> Tensor:
        if value not in self._data:
            if value not in self._calls:
                v = self.values[value]
                raise TraceError(
                    f"control flow in module {self.path or '(top)'} depends on {v.kind} {v.name or v}, "
                    "whose numbers a meta tensor does not hold; trace with `device=cpu`"
                )
            func, args, kwargs, inputs, index = self._calls[value]
            result = self._replay(func, args, kwargs, inputs)
            self._data[value] = result[index] if isinstance(result, list | tuple) else result.clone()
        return self._data[value]

    def constant(self, args: Any, kwargs: Any) -> Tensor:
        """`torch.tensor`, which no dispatch announces; on meta its numbers are kept aside."""
        quiet, self.quiet = self.quiet, True
        try:
            made: Tensor = torch.tensor(*args, **kwargs)
            if made.is_meta:
                value = self._new(made, "const", "", None)
                self._data[value] = torch.tensor(*args, **(kwargs | {"device": "cpu"}))
        finally:
            self.quiet = quiet
        return made

    def index(self, index: Any, device: torch.device) -> Any:
        """An index whose lists are constants with known numbers, as `constant` makes them."""
        if isinstance(index, tuple):
            return tuple(self.index(i, device) for i in index)
        if isinstance(index, list) and all(isinstance(i, int) for i in index):
            return self.constant((index,), {"device": device})
        return index

    def finish(self, result: Any) -> Trace:
        tensors = [t for t in tree_leaves(as_tree(result)) if isinstance(t, Tensor)]
        outputs = tuple(dict.fromkeys(self.id_of(t) for t in tensors))
        graph = Graph(tuple(self.values), tuple(self.nodes), outputs, self._params)
        return Trace(graph.verify(), self.leaves, result)


class Dispatches(TorchDispatchMode):
    """Writes down every aten call that comes through the dispatcher."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder
        self.signatures: dict[Any, tuple[str, str, tuple[str, ...]]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        recorder = self.recorder
        if recorder.quiet:
            return func(*args, **kwargs)
        signature = self.signatures.get(func)
        if signature is None:
            schema = func._schema
            op = schema.name.replace("::", ".") + (f".{schema.overload_name}" if schema.overload_name else "")
            signature = (schema.name, op, tuple(a.name for a in schema.arguments))
            self.signatures[func] = signature
        name, op, names = signature
        if name in NUMBER_OF and any(isinstance(a, Tensor) and a.is_meta for a in args):
            return recorder.number(func, args, kwargs)
        result = infer(name, args, kwargs)
        if result is None:
            result = func(*args, **kwargs)
        if name not in SILENT and name not in NUMBER_OF:
            recorder.add(op, names, func, args, kwargs, result)
        return result


class Functions(TorchFunctionMode):
    """Keeps composites whole, and the numbers of constants that are made on meta."""

    def __init__(self, recorder: Recorder, composites: Mapping[Any, tuple[str, tuple[str, ...]]]) -> None:
        super().__init__()
        self.recorder = recorder
        self.composites = composites

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        recorder = self.recorder
        if func is torch.tensor and not recorder.quiet:
            return recorder.constant(args, kwargs)
        if func is Tensor.__getitem__ and not recorder.quiet:
            args = (args[0], recorder.index(args[1], args[0].device))
        known = self.composites.get(func)
        if known is None or recorder.quiet:
            return func(*args, **kwargs)
        recorder.quiet = True
        try:
            result = infer(known[0], args, kwargs)
            if result is None:
                # Layout is an accident of the kernel: attention on CPU returns a transposed result.
                result = func(*args, **kwargs).contiguous()
        finally:
            recorder.quiet = False
        recorder.add(known[0], known[1], func, args, kwargs, result)
        return result


def is_fake(tensor: Tensor) -> bool:
    return type(tensor).__name__ == "FakeTensor"


def as_tree(result: Any) -> Any:
    """Model outputs of transformers are mappings with attributes; caches in them are no outputs."""
    if isinstance(result, Mapping):
        return {k: v for k, v in result.items() if k != "past_key_values"}
    return result
