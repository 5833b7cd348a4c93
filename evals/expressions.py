"""Small formulas in declarations, such as "log(sigma)/4" or "x, t, y=one_hot(class_labels, 10)", without `eval`.

An expression is parsed once, every name and every node in it is checked against what is allowed, and it is interpreted
on tensors. Methods can't be called, so a suite file can state a formula but run no code.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..errors import ConfigError

Values = Mapping[str, Any]


def _elementwise(function: Callable[[Tensor], Tensor]) -> Callable[[Any], Any]:
    return lambda value: function(torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.float64))


def _integer(value: Any) -> Any:
    return torch.as_tensor(value).round().long()


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _elementwise(getattr(torch, name)) for name in ("log", "exp", "sqrt", "sin", "cos", "tan", "atan")},
    **{name: _elementwise(getattr(torch, name)) for name in ("floor", "round", "abs")},
    "int": _integer,
    "float": lambda value: value.float(),
    "cat": lambda *parts, dim=0: torch.cat(parts, dim),
    "one_hot": lambda labels, classes: one_hot(labels.long(), classes).float(),
    "reshape": lambda value, *shape: value.reshape(shape),
    "expand_as": lambda value, like: value.reshape(-1, *(1,) * (like.ndim - 1)).expand_as(like[:, :1]),
    "full_like": torch.full_like,
    "zeros_like": torch.zeros_like,
    "ones_like": torch.ones_like,
}

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: lambda base, power: (float(base) if isinstance(base, int) else base) ** power,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def expression(text: str, names: tuple[str, ...] | None, field: str) -> Callable[[Values], Any]:
    """A function of the values of `names` (None: any names, checked when evaluated).

    Raises ConfigError, beginning with `field`, for what is no such expression or names something unknown.
    """
    tree = parse(text, field)
    check(tree, names, field, text)
    return lambda values: evaluate(tree, values, field)


def parse(text: str, field: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{field}: expected an expression, got {text!r}") from error


def check(tree: ast.expr, names: tuple[str, ...] | None, field: str, text: str) -> None:
    """Raises ConfigError unless every node is allowed and every name is known."""
    allowed = (ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Call, ast.Tuple, ast.List, ast.Dict, ast.Subscript)
    passive = (ast.Slice, ast.Attribute, ast.keyword, ast.expr_context, ast.operator, ast.unaryop)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and id(node) in called:
            if node.id not in FUNCTIONS:
                raise ConfigError(f"{field}: unknown function {node.id!r}; expected one of {', '.join(FUNCTIONS)}")
        elif isinstance(node, ast.Name):
            if names is not None and node.id not in names:
                raise ConfigError(f"{field}: unknown name {node.id!r} in {text!r}; expected one of {', '.join(names)}")
        elif id(node) in called or (isinstance(node, ast.Attribute) and node.attr.startswith("_")):
            raise ConfigError(f"{field}: {text!r} calls or reads something an expression may not")
        elif isinstance(node, (ast.operator, ast.unaryop)) and type(node) not in _OPERATORS:
            raise ConfigError(f"{field}: {text!r} has an operator that is not + - * / **")
        elif not isinstance(node, (*allowed, *passive)):
            raise ConfigError(f"{field}: {text!r} is more than a formula")


def evaluate(node: ast.expr, values: Values, field: str) -> Any:
    """The value of a checked tree. Raises ConfigError for a name that has no value."""

    def value(part: ast.expr) -> Any:
        return evaluate(part, values, field)

    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            if node.id not in values:
                raise ConfigError(f"{field}: {node.id!r} is not given; what is: {', '.join(values)}")
            return values[node.id]
        case ast.BinOp():
            return _OPERATORS[type(node.op)](value(node.left), value(node.right))
        case ast.UnaryOp():
            return _OPERATORS[type(node.op)](value(node.operand))
        case ast.Call(func=ast.Name(id=name)):
            arguments = [value(part) for part in node.args]
            return FUNCTIONS[name](*arguments, **{str(word.arg): value(word.value) for word in node.keywords})
        case ast.Tuple() | ast.List():
            return [value(part) for part in node.elts]
        case ast.Dict():
            return {value(key): value(part) for key, part in zip(node.keys, node.values, strict=True) if key}
        case ast.Attribute():
            return getattr(value(node.value), node.attr)
        case ast.Subscript():
            return value(node.value)[_index(node.slice, value)]
    raise ConfigError(f"{field}: more than a formula")


def _index(node: ast.expr, value: Callable[[ast.expr], Any]) -> Any:
    match node:
        case ast.Slice():
            return slice(*(None if end is None else value(end) for end in (node.lower, node.upper, node.step)))
        case ast.Tuple():
            return tuple(_index(part, value) for part in node.elts)
    return value(node)
