"""What is released agrees with itself: versions, dependencies, files of the sdist, and names that the docs know."""

from __future__ import annotations

import re
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any

import pytest
from command_line import ROOT

import streameval as se
from streameval.cli.commands import COMMANDS, cli

with (ROOT / "pyproject.toml").open("rb") as file:
    PYPROJECT = tomllib.load(file)
PROJECT = PYPROJECT["project"]
WORKFLOWS = [".github/workflows/tests.yml", ".github/workflows/publish.yml"]
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def read(path: str) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROOT / path).read_text())


def test_the_citation_has_the_version_and_the_licence_of_the_project():
    citation = read("CITATION.cff")
    assert (citation["title"], citation["version"]) == (PROJECT["name"], PROJECT["version"])
    assert citation["license"] == PROJECT["license"]


def test_the_conda_recipe_asks_for_what_the_project_asks_for():
    recipe = read("conda/recipe.yaml")
    assert recipe["context"]["version"] == PROJECT["version"]
    run = [wish.replace(" ", "") for wish in recipe["requirements"]["run"]]
    wishes = [wish.replace("zlib-ng", "python-zlib-ng") for wish in PROJECT["dependencies"]]  # its name there
    expected = [f"python{PROJECT['requires-python']}", "__linux", *wishes]
    assert sorted(run) == sorted(expected)
    host = [wish.replace(" ", "") for wish in recipe["requirements"]["host"]]
    assert set(PYPROJECT["build-system"]["requires"]) <= set(host)
    (entry,) = PROJECT["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [" = ".join(entry)]


def test_what_the_sdist_lists_is_there():
    listed = PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert [name for name in listed if not (ROOT / name.lstrip("/")).exists()] == []
    assert "/SECURITY.md" in listed


@pytest.mark.parametrize("path", WORKFLOWS)
def test_a_workflow_has_no_rights_but_those_a_job_names(path):
    workflow = read(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        rights = {"id-token": "write"} if name == "publish" else {"contents": "read"}
        assert job["permissions"] == rights, name


@pytest.mark.parametrize("path", WORKFLOWS)
def test_actions_of_others_are_pinned_by_the_hash_of_a_commit(path):
    """A tag can be moved to other code."""
    used = [line.split("uses:")[1] for line in (ROOT / path).read_text().splitlines() if "uses:" in line]
    assert used
    for one in used:
        assert re.fullmatch(r" [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one


def test_the_workflow_tests_every_python_that_is_claimed():
    claimed = {line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert claimed <= set(read(WORKFLOWS[0])["jobs"]["tests"]["strategy"]["matrix"]["python"])


def test_hooks_run_what_the_projects_environment_has():
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    tested = " ".join(PROJECT["optional-dependencies"]["test"])
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        assert f"{hook['entry'].split()[0]}>=" in tested


def test_the_image_holds_what_building_the_package_needs():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    needed = {*PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], *PROJECT["license-files"]}
    assert kept == needed | {"pyproject.toml", PROJECT["readme"]}


def test_the_docs_list_every_public_name_and_no_other():
    rows = re.findall(r"^\| `se\.(\w+)` \|", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == set(se.__all__)


def test_what_is_offered_is_what_has_a_home():
    assert set(se.__all__) == {*se._HOMES, "__version__"}


SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for folder in ("streameval", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
}


def has(name: str, text: str) -> bool:
    """Whether a module makes this name, at its top."""
    return re.search(rf"^(?:class |def )?{name}\b(?:,[^=\n]*)?[ :=(]", text, re.MULTILINE) is not None


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_files_and_tables_that_pages_for_contributors_name_are_there(page):
    """`x/y.py`, `x/y.TABLE`, `TABLE`: somewhere below the package, the tests or the benchmarks."""
    named = re.findall(r"`([\w/.]+)`", (ROOT / page).read_text())
    files = [one for one in named if one.endswith(".py")]
    tables = re.findall(r"`(?:([\w/]+)\.)?([A-Z][A-Z_]{3,})`", (ROOT / page).read_text())
    assert len(files) > 10
    assert len(tables) > 5
    assert [one for one in files if not any(f"/{path}".endswith(f"/{one}") for path in SOURCES)] == []
    missing = [
        f"{module}.{name}"
        for module, name in tables
        if not any(
            has(name, text)
            and (not module or f"/{path}".endswith((f"/{module}.py", f"/{module}/__init__.py")))
            for path, text in SOURCES.items()
        )
    ]
    assert missing == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_the_docs_use_no_name_that_is_not_offered(path):
    used = set(re.findall(r"(?<![\w.])se\.([A-Za-z_]\w*)", path.read_text()))
    offered = {*se.__all__, "errors"}
    assert used - offered == set()


def test_a_man_page_has_every_option_and_no_line_that_roff_takes_for_a_request_of_its_own():
    loader = SourceFileLoader("man", str(ROOT / ".ci" / "man"))
    spec = spec_from_loader("man", loader)
    assert spec is not None
    script = module_from_spec(spec)
    loader.exec_module(script)
    assert script._text(".pkl or -x") == r"\&.pkl or \-x"
    pages = dict(script.pages())
    assert set(pages) == {"streameval", *(f"streameval-{name}" for name in COMMANDS)}
    for name in COMMANDS:
        page = pages[f"streameval-{name}"]
        requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
        assert requests <= {".TH", ".SH", ".PP", ".TP", ".nf", ".fi"}, name
        for param in cli.get_command(None, name).params:
            if param.param_type_name == "option" and not param.hidden:
                for option in param.opts:
                    assert re.search(
                        rf"^\\fB.*{re.escape(option)}\b", page.replace(r"\-", "-"), re.MULTILINE
                    ), option
