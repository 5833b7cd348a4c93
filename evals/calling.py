"""How a foreign network is called and what is picked from its answer: the fields `call` and `pick` of a declaration.

call   "t, x"   "x, timesteps=t"   "(x=x, t=t)"   "model(x, t, y=class_labels)"   "x, t, extra={'y': class_labels}"
pick   ".sample"   "[0]"   "[:, :C]"   ".sample[:, :C]"

x is the noisy input, t the network's time, C the number of channels, every other name an entry of the conditioning.
A name before the parenthesis is a method, or an attribute that is called, of the object given as network.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .expressions import FUNCTIONS, check, evaluate, parse

Cond = Mapping[str, Tensor]
"""Conditioning: named tensors with one row per sample, such as {"class_labels": (B,)}."""

Network = Callable[[Tensor, Tensor, Cond], Any]
"""(x_t (B, *), time (B,), cond) -> raw output (B, *)."""

DEFAULT_CALL = "x, t, **cond"


def calling(network: Any, call: str, channels: int) -> Network:
    """`network` called as `call` says. Raises ConfigError when it can't be, saying what the network has."""
    tree = _call_tree(call)
    target = _target(network, tree.func, call)
    spread = [word for word in tree.keywords if word.arg is None]
    words = [word for word in tree.keywords if word.arg is not None]
    if any(not (isinstance(word.value, ast.Name) and word.value.id == "cond") for word in spread):
        raise ConfigError(f"call: expected **cond and nothing else after **, got {call!r}")
    for part in (*tree.args, *(word.value for word in words)):
        check(part, None, "call", call)
    keywords = inspect.signature(target).parameters if _has_signature(target) else {}
    takes_any = not keywords or any(word.kind is word.VAR_KEYWORD for word in keywords.values())

    def called(x_t: Tensor, time: Tensor, cond: Cond) -> Any:
        values = {"x": x_t, "t": time, "B": len(x_t), "C": channels, **cond}
        arguments = [evaluate(part, values, "call") for part in tree.args]
        named = {str(word.arg): evaluate(word.value, values, "call") for word in words}
        if spread:
            unknown = [] if takes_any else [name for name in cond if name not in keywords]
            if unknown:
                raise ConfigError(
                    f"call: the network takes no {', '.join(unknown)}; its signature is {signature(target)}, "
                    f'say how with call, such as "x, t, y={unknown[0]}"'
                )
            named.update(cond)
        return target(*arguments, **named)

    return called


def picking(pick: str, channels: int) -> Callable[[Any], Any]:
    """What is taken of the network's answer."""
    text = f"out{'' if pick.startswith(('.', '[')) else '.'}{pick}"
    tree = parse(text, "pick")
    check(tree, ("out", "C"), "pick", pick)
    return lambda output: evaluate(tree, {"out": output, "C": channels}, "pick")


def only_tensor(output: Any) -> Any:
    """The tensor of an answer that holds just one; otherwise the answer as it is, for the error message."""
    if isinstance(output, Tensor):
        return output
    for name in ("sample", "mean"):
        found = getattr(output, name, None)
        if isinstance(found, Tensor):
            return found
    parts = list(output.values()) if isinstance(output, Mapping) else output
    if isinstance(parts, (list, tuple)):
        tensors = [part for part in parts if isinstance(part, Tensor)]
        if len(tensors) == 1:
            return tensors[0]
    return torch.as_tensor(output) if type(output).__module__ == "numpy" else output


def signature(target: Any) -> str:
    """The signature of a network as text; a ScriptModule keeps its own in a schema."""
    schema = getattr(getattr(target, "forward", None), "schema", None)
    if schema is not None:
        return str(schema)
    forward = target.forward if isinstance(target, nn.Module) else target
    try:
        return str(inspect.signature(forward))
    except (TypeError, ValueError):
        return "unknown"


def modules_of(network: Any) -> list[nn.Module]:
    """The torch modules behind a network: itself, or those a function, method or object holds, one level deep."""
    if isinstance(network, nn.Module):
        return [network]
    held: list[Any] = [getattr(network, "__self__", None), *getattr(network, "__dict__", {}).values()]
    for cell in getattr(network, "__closure__", None) or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:  # a cell not filled yet
            continue
    if isinstance(network, functools.partial):
        held += [*modules_of(network.func), *network.args, *network.keywords.values()]
    held += list(vars(held[0]).values()) if held[0] is not None and hasattr(held[0], "__dict__") else []
    found = [part for part in held if isinstance(part, nn.Module)]
    return list({id(module): module for module in found}.values())


def _call_tree(call: str) -> ast.Call:
    for text in (call, f"_({call})", f"_{call}"):
        try:
            tree = parse(text, "call")
        except ConfigError:
            continue
        if isinstance(tree, ast.Call) and not (isinstance(tree.func, ast.Name) and tree.func.id in FUNCTIONS):
            return tree
    raise ConfigError(f"call: expected arguments such as 'x, t' or 'method(x, t)', got {call!r}")


def _target(network: Any, func: ast.expr, call: str) -> Any:
    if isinstance(func, ast.Name):
        if func.id == "_":
            return network
        owner = network
    elif isinstance(func, ast.Attribute) and not func.attr.startswith("_"):
        owner = _target(network, func.value, call)
    else:
        raise ConfigError(f"call: expected a method's name before the parenthesis, got {call!r}")
    name = func.id if isinstance(func, ast.Name) else func.attr
    found = getattr(owner, name, None)
    if name.startswith("_") or not callable(found):
        choices = [
            n for n in dir(owner) if n[0] != "_" and n not in dir(nn.Module) and callable(getattr(owner, n, None))
        ]
        raise ConfigError(f"call: {type(owner).__name__} has no method {name!r}; it has {', '.join(choices) or 'none'}")
    return found


def _has_signature(target: Any) -> bool:
    try:
        inspect.signature(target.forward if isinstance(target, nn.Module) else target)
    except (TypeError, ValueError):
        return False
    return not isinstance(target, torch.jit.ScriptModule)
