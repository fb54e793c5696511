"""The architecture: which way imports point, and what only one place may know."""

import ast
from pathlib import Path

import pytest

import reproduce
from reproduce.losses import STYLE_LOSSES
from reproduce.losses.normalization import NORMALIZATIONS

ROOT = Path(__file__).parents[1]
# In the order in which data flows: a room imports from those before it, and from itself.
ROOMS = (
    "errors", "options", "stopping", "files", "terminal", "images", "network", "matching", "losses", "settings",
    "presets", "solving", "applications", "metrics", "page", "command_line", "__main__",
)  # fmt: skip
CODECS = {"imread", "imwrite", "imdecode", "imencode", "imdecodeWithMetadata", "imencodeWithMetadata", "imreadmulti"}


def sources(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def tree(path):
    return ast.parse(path.read_text())


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported(path):
    """Every module that a file imports, anywhere in it, as parts: ("reproduce", "images", "masks")."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:  # `from ..network import backend` names a module
                longer = (*base, alias.name)
                is_module = ROOT.joinpath(*longer).with_suffix(".py").exists()
                yield longer if is_module else base


def names(path, wanted):
    """The attributes and names of a file that are among those wanted."""
    nodes = list(ast.walk(tree(path)))
    found = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    found |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return found & set(wanted)


LIBRARY = [path for path in sources("reproduce") if path != ROOT / "reproduce/__init__.py"]


def label(path):
    return str(path.relative_to(ROOT))


def test_every_module_is_in_a_room():
    rooms = {module_of(path)[1] for path in LIBRARY}
    assert rooms == set(ROOMS)


@pytest.mark.parametrize("path", LIBRARY, ids=label)
def test_imports_point_one_way(path):
    room = module_of(path)[1]
    before = ROOMS[: ROOMS.index(room) + 1]
    wrong = [".".join(name) for name in imported(path) if name[0] == "reproduce" and name[1:] and name[1] not in before]
    assert not wrong


def test_no_imports_go_in_a_circle():
    arrows = {module_of(path): {name for name in imported(path) if name[0] == "reproduce"} for path in LIBRARY}
    done: set = set()

    def visit(module, way):
        assert module not in way, " -> ".join(".".join(step) for step in (*way, module))
        if module not in done:
            for other in arrows.get(module, ()):
                if other != module:
                    visit(other, (*way, module))
            done.add(module)

    for module in arrows:
        visit(module, ())


def test_the_library_knows_nothing_of_the_experiments_nor_of_the_tests():
    wrong = [label(path) for path in LIBRARY for name in imported(path) if name[0] in ("experiments", "tests")]
    assert not wrong


def test_type_checkers_are_told_what_the_package_exports():
    stub = ast.parse((ROOT / "reproduce/__init__.pyi").read_text())
    told = {
        (alias.asname, node.module) for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert told == set(reproduce._EXPORTS.items())
    assert all(getattr(reproduce, name).__name__ == name for name in reproduce._EXPORTS)


def test_the_package_itself_imports_nothing_at_once():
    imports = {name[0] for name in imported(ROOT / "reproduce/__init__.py")}
    assert imports <= {"importlib", "typing"}


@pytest.mark.parametrize("path", sources("reproduce", "experiments", "tests"), ids=label)
def test_only_the_backend_names_tensorflow(path):
    if label(path) != "reproduce/network/backend.py":
        assert not [name for name in imported(path) if name[0] in ("tensorflow", "jax", "torch")]
        assert not names(path, {"tf", "tensorflow"})


@pytest.mark.parametrize("path", sources("reproduce", "experiments"), ids=label)
def test_only_the_images_room_touches_codecs(path):
    if "reproduce/images" not in label(path):
        assert not names(path, CODECS)


@pytest.mark.parametrize("path", LIBRARY, ids=label)
def test_only_the_program_sets_environment_variables(path):
    if label(path) != "reproduce/__main__.py":
        nodes = list(ast.walk(tree(path)))
        calls = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
        changing = {call for call in calls if call.startswith("os.environ.")} - {"os.environ.get"}
        stored = {ast.unparse(node) for node in nodes if isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)}
        assert not changing and "os.putenv" not in calls
        assert not [target for target in stored if target.startswith("os.environ[")]


@pytest.mark.parametrize("path", LIBRARY, ids=label)
def test_nobody_asks_which_style_loss_or_normalisation_it_is(path):
    """They are values: a loss makes its own terms, a normalisation is a row of the table."""
    compared = [
        ast.unparse(node)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Compare)
        for part in (node.left, *node.comparators)
        for leaf in ast.walk(part)
        if isinstance(leaf, ast.Constant) and leaf.value in {*STYLE_LOSSES, *NORMALIZATIONS}
    ]
    assert not compared
