"""What a torch.export archive may hold: tensors and a graph. Looked for before torch opens one.

torch loads compiled libraries that lie in an archive, evaluates its shape formulas and its guards as Python, and writes
the graph's names into code. So entries are of known folders, names are names, and formulas are parsed against a list.
"""

from __future__ import annotations

import ast
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import LoadError

_ENTRY = re.compile(
    r"[^/]*/(models/[^/]*\.json|data/(weights|constants|sample_inputs)/[^/]*|extra/.*"
    r"|archive_format|archive_version|byteorder|\.data/[^/]*|\.format_version|version)"
)
_NAME = re.compile(r"[\w.:+\-]*")
_FORMULA = re.compile(r"[\w.'\[\]+\-*/%(), <>=!&|~]*")
_NOTES = ("metadata", "as_string", "as_strings")
"""Said of the graph, or passed as text: never evaluated."""
_WORDS = re.compile(r"\w+")
_SYMPY = frozenset(
    _WORDS.findall(
        "Symbol Integer Float Rational Add Mul Abs Max Min Eq Ne Lt Le Gt Ge And Or Not Equality Unequality LessThan "
        "StrictLessThan GreaterThan StrictGreaterThan FloorDiv ModularIndexing Where PythonMod Mod CleanDiv CeilToInt "
        "FloorToInt CeilDiv FloatTrueDiv IntTrueDiv IsNonOverlappingAndDenseIndicator TruncToFloat TruncToInt "
        "RoundToInt RoundDecimal ToFloat Identity"
    )
)
"""What torch.export writes sizes with; powers are looked at apart."""
_GUARD = frozenset({"min", "max", "abs", "size", "stride", "storage_offset"})
_NODES = (
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Constant, ast.Name, ast.Subscript, ast.keyword, ast.Load),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.unaryop, ast.boolop, ast.cmpop),
)


def refuse_code(path: Path, spec: str) -> None:
    """Raises LoadError for an archive in which torch would load, unpickle or evaluate more than tensors and a graph."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            texts = {name: archive.read(name) for name in names if name.lower().endswith(".json")}
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise LoadError(f"{spec}: not an archive of torch.export: {error}") from error
    if any(name.endswith("serialized_exported_program.json") for name in names):
        raise LoadError(f"{spec}: an older format that may hold pickled objects; save it again with this torch")
    if not any(name.endswith("/archive_format") for name in names):
        raise LoadError(f"{spec}: not an archive of torch.export: it holds {', '.join(names[:3])}")
    foreign = [name for name in names if not _ENTRY.fullmatch(name)]
    if foreign:
        raise LoadError(f"{spec}: {foreign[0]!r} may be code, which torch would load; nothing was run")
    if len({name.lower() for name in names}) < len(names) or len({name.partition("/")[0] for name in names}) > 1:
        raise LoadError(f"{spec}: its entries have two names or two folders; torch might read others than were checked")
    for name, content in texts.items():
        try:
            bad = next((found for found in _strings(json.loads(content)) if not _harmless(*found)), None)
        except (ValueError, RecursionError, MemoryError) as error:
            raise LoadError(f"{spec}: {name} is no JSON that torch.export writes: {error}") from error
        if bad is not None:
            where, text = bad
            raise LoadError(f"{spec}: {name}: {where} {text[:80]!r} may run code; nothing was run")


def _strings(content: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Every string of a JSON value, with the key it stands under; keys stand under "key"."""
    if isinstance(content, dict):
        for key, value in content.items():
            if where != "range_constraints":  # names of sizes, which may be formulas; torch only compares them
                yield "key", key
            if key not in _NOTES:
                yield from _strings(value, key)
    elif isinstance(content, list):
        for part in content:
            yield from _strings(part, where)
    elif isinstance(content, str):
        yield where, content


def _harmless(where: str, text: str) -> bool:
    if where == "expr_str":
        return _is_formula(text, _SYMPY)
    if where == "guards_code":
        return _is_formula(text, _GUARD)
    if where in ("in_spec", "out_spec"):  # the structure of arguments; torch imports modules that it names
        return "default_factory" not in text and "__enum__" not in text and "\\u" not in text
    if where == "path_name" and ("custom_obj" in text or "opaque_obj" in text):
        return False
    return _NAME.fullmatch(text) is not None


def _is_formula(text: str, functions: frozenset[str]) -> bool:
    """Arithmetic on sizes, calling these functions only."""
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return _FORMULA.fullmatch(text) is not None and all(_is_part(node, functions) for node in _nodes(tree))


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but the names of functions, which `_is_part` looks at with their call."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(tree, ast.Call) and child is tree.func):
            yield from _nodes(child)
        elif isinstance(child, ast.Attribute):
            yield from _nodes(child.value)


def _is_part(node: ast.AST, functions: frozenset[str]) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="Pow"), args=[base, power]) | ast.BinOp(base, ast.Pow(), power):
            return _is_small_power(base, power)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in functions
        case ast.Constant(value=value):
            return isinstance(value, (str, int, float)) and len(str(value)) < 30
    return isinstance(node, _NODES)


def _is_small_power(base: ast.AST, power: ast.AST) -> bool:
    """A size to a small power, once: numbers to the power of numbers can be too long to compute."""
    match power:
        case ast.Call(func=ast.Name(id="Integer"), args=[inner]):
            return _is_small_power(base, inner)
        case ast.Constant(value=int(value)):
            parts = [ast.unparse(part.func) for part in ast.walk(base) if isinstance(part, ast.Call)]
            nested = "Pow" in parts or any(isinstance(part, ast.Pow) for part in ast.walk(base))
            return value <= 16 and not nested and any(part == "Symbol" or part.endswith(".size") for part in parts)
    return False
