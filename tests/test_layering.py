"""The rules of the house, read off the source: who may import what, and what every file owes."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.common import ROOT

PACKAGE = ROOT / "pyro_sparse"

RANKS = {
    "effects": 0,
    "graph": 0,
    "special": 0,
    "distributions": 1,
    "kl": 2,
    "local": 3,
    "prior": 4,
    "testing": 3,
    "nn": 5,
    "guides": 5,
    "prune": 6,
    "infer": 7,
    "inspect": 8,
    "citations": 9,
}
FIRST_RANK_WITH_OPTIONAL_PACKAGES = 6
ALWAYS_ALLOWED = {"torch", "pyro", *sys.stdlib_module_names}

CEILING = 400
DRAWERS = {"utils", "util", "misc", "helpers", "common"}

FOLDERS = ["pyro_sparse", "models", "examples", "tests", "docs", ".ci", ".github"]
SUFFIXES = {".py", ".md", ".toml", ".yaml", ".cff", ".json", ".csv", ".txt", ""}
OF_A_MACHINE = re.compile(
    r"[p]ypi\.org|[p]ythonhosted\.org|[d]eb\.debian\.org|[r]egistry\.npmjs"
    r"|(?<![\w.])/(?:[w]ork|[r]oot|[h]ome|[U]sers)/"
)


@dataclass(frozen=True)
class Import:
    """One imported name: the module asked, the name taken from it, and where in the file."""

    module: str
    name: str | None
    line: int
    in_function: bool
    for_types: bool


@dataclass(frozen=True)
class Source:
    """A parsed file of the package."""

    path: Path

    @property
    def shown(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def module(self) -> str:
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def storey(self) -> str | None:
        """The folder or file directly under the package; None for the package's own page."""
        parts = self.module.split(".")
        return parts[1] if len(parts) > 1 else None

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text())

    @cached_property
    def imports(self) -> list[Import]:
        return list(imports(self.tree))

    @cached_property
    def public(self) -> list[str]:
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                return list(ast.literal_eval(node.value))

        return []

    @property
    def definitions(self) -> list[ast.ClassDef | ast.FunctionDef]:
        kinds = (ast.ClassDef, ast.FunctionDef)
        return [node for node in self.tree.body if isinstance(node, kinds)]


def imports(node: ast.AST, in_function: bool = False, for_types: bool = False) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, None, node.lineno, in_function, for_types)

    if isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            yield Import(module, alias.name, node.lineno, in_function, for_types)

    in_function |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    guarded: list[ast.stmt] = []
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        guarded = node.body

    for child in ast.iter_child_nodes(node):
        yield from imports(child, in_function, for_types or child in guarded)


SOURCES = [Source(path) for path in sorted(PACKAGE.rglob("*.py"))]
MODULES = {source.module for source in SOURCES}


def target(found: Import) -> str:
    """The module an import of our own package really reads."""
    inside = f"{found.module}.{found.name}"
    return inside if inside in MODULES else found.module


def own(source: Source) -> list[Import]:
    return [found for found in source.imports if found.module.split(".")[0] == "pyro_sparse"]


def listed(violations: list[str]) -> str:
    return "\n" + "\n".join(violations)


def test_the_reader_of_imports() -> None:
    code = """
import a.b
if typing.TYPE_CHECKING:
    from c import d
class E:
    def f(self):
        import g
"""
    assert list(imports(ast.parse(code))) == [
        Import("a.b", None, 2, in_function=False, for_types=False),
        Import("c", "d", 4, in_function=False, for_types=True),
        Import("g", None, 7, in_function=True, for_types=False),
    ]


def test_every_storey_has_a_rank() -> None:
    unknown = {source.storey for source in SOURCES} - {None, *RANKS}

    assert not unknown, f"give {unknown} a rank in the table above, or another place"


def test_imports_point_down() -> None:
    wrong = []

    for source in SOURCES:
        for found in own(source):
            into = target(found).split(".")[1:2]
            if source.storey is None or (into and into[0] == source.storey):
                continue

            if not into or RANKS[into[0]] >= RANKS[source.storey]:
                wrong.append(f"{source.shown}:{found.line} imports {target(found)}")

    assert not wrong, listed(wrong)


def test_imports_are_absolute() -> None:
    relative = [
        f"{source.shown}:{found.line}"
        for source in SOURCES
        for found in source.imports
        if found.module.startswith(".")
    ]

    assert not relative, listed(relative)


def test_no_cycles() -> None:
    graph = {
        source.module: {target(found) for found in own(source) if not found.for_types}
        for source in SOURCES
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_no_own_import_inside_a_function() -> None:
    hidden = [
        f"{source.shown}:{found.line} imports {found.module}"
        for source in SOURCES
        for found in own(source)
        if found.in_function
    ]

    assert not hidden, listed(hidden)


def test_optional_packages_are_lazy_and_high_up() -> None:
    wrong = []

    for source in SOURCES:
        high = RANKS.get(source.storey or "", 0) >= FIRST_RANK_WITH_OPTIONAL_PACKAGES
        for found in source.imports:
            package = found.module.split(".")[0]
            if package in ALWAYS_ALLOWED | {"pyro_sparse", ""}:
                continue

            if not (high and (found.in_function or found.for_types)):
                wrong.append(f"{source.shown}:{found.line} imports {package}")

    assert not wrong, listed(wrong)


def test_networks_of_the_papers_are_plain_torch() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.module}"
        for path in sorted((ROOT / "models").rglob("*.py"))
        for found in imports(ast.parse(path.read_text()))
        if found.module.split(".")[0] not in {"torch", "models", *sys.stdlib_module_names}
    ]

    assert not wrong, listed(wrong)


def test_the_package_does_not_lean_on_the_checkout() -> None:
    wrong = [
        f"{source.shown}:{found.line} imports {found.module}"
        for source in SOURCES
        for found in source.imports
        if found.module.split(".")[0] in {"models", "examples", "tests"}
    ]

    assert not wrong, listed(wrong)


def test_private_names_of_pyro_stay_in_one_file() -> None:
    private = re.compile(r"\bpyro(\.\w+)*\._[a-z]|\bpyro\.poutine\.runtime\b")
    files = set()

    for source in SOURCES:
        names = [f"{found.module}.{found.name or ''}" for found in source.imports]
        names += [ast.unparse(n) for n in ast.walk(source.tree) if isinstance(n, ast.Attribute)]
        if any(private.search(name) for name in names):
            files.add(source.shown)

    assert len(files) <= 1, listed(sorted(files))


def test_no_file_is_long() -> None:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    long = {p.relative_to(ROOT).as_posix(): len(p.read_text().splitlines()) for p in paths}

    assert not (over := {p: n for p, n in long.items() if n > CEILING}), over


def test_no_drawers() -> None:
    drawers = [source.shown for source in SOURCES if source.path.stem.strip("_") in DRAWERS]

    assert not drawers, f"name the idea: {drawers}"


def test_every_source_has_its_mirror_test() -> None:
    """A package's ``__init__`` is a table of contents, so it needs none."""
    missing = []

    for source in SOURCES:
        if source.path.name == "__init__.py":
            continue

        folder = source.path.parent.relative_to(PACKAGE)
        mirror = ROOT / "tests" / folder / f"test_{source.path.stem.lstrip('_')}.py"
        if not mirror.is_file():
            missing.append(f"{source.shown} has no {mirror.relative_to(ROOT).as_posix()}")

    assert not missing, listed(missing)


def test_every_module_says_what_it_is_and_what_it_offers() -> None:
    wrong = []

    for source in SOURCES:
        if not ast.get_docstring(source.tree):
            wrong.append(f"{source.shown} has no docstring")
        if not any(ast.unparse(node).startswith("__all__") for node in source.tree.body):
            wrong.append(f"{source.shown} has no __all__")

    assert not wrong, listed(wrong)


def test_public_names_have_docstrings() -> None:
    bare = [
        f"{source.shown}:{node.lineno} {node.name}"
        for source in SOURCES
        for node in source.definitions
        if node.name in source.public and not ast.get_docstring(node)
    ]

    assert not bare, listed(bare)


def test_laws_and_rules_name_their_source() -> None:
    """A law is what ``distributions`` offers; a rule is what is registered with torch."""
    laws = {name for s in SOURCES if s.module == "pyro_sparse.distributions" for name in s.public}
    bare = []

    for source in SOURCES:
        for node in source.definitions:
            law = source.storey == "distributions" and node.name in laws
            rule = any("register_kl" in ast.unparse(mark) for mark in node.decorator_list)
            needed = "References" if law or (rule and source.storey == "kl") else ""

            doc = ast.get_docstring(node)
            if (law or rule) and not (doc and needed in doc):
                bare.append(f"{source.shown}:{node.lineno} {node.name}")

    assert not bare, listed(bare)


def test_nothing_names_a_machine() -> None:
    paths = [path for path in ROOT.iterdir() if path.is_file()]
    paths += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]

    named = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in sorted(paths)
        if path.suffix in SUFFIXES and "__pycache__" not in path.parts
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if OF_A_MACHINE.search(line)
    ]

    assert not named, listed(named)
