"""The templates of docs/ci: valid YAML that calls real commands, and a trusted half that runs nothing untrusted."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from sigmascope import cli

FOLDER = Path(__file__).parents[1] / "docs" / "ci"
FILES = sorted(FOLDER.glob("*.yml"))


def read(name: str) -> dict[Any, Any]:
    content = yaml.safe_load((FOLDER / name).read_text())
    assert isinstance(content, dict)
    return content


def scripts(content: Any) -> list[str]:
    """Every `run` and `script` of a file."""
    if isinstance(content, list):
        return [text for part in content for text in scripts(part)]
    if not isinstance(content, dict):
        return []
    own = [content["run"]] if isinstance(content.get("run"), str) else []
    own += content["script"] if isinstance(content.get("script"), list) else []
    return own + [text for part in content.values() for text in scripts(part)]


def test_all_files_are_there() -> None:
    assert [path.name for path in FILES] == ["action.yml", "github-comment.yml", "github-gate.yml", "gitlab-ci.yml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_scripts_are_shell_without_expressions_and_name_real_flags(path: Path) -> None:
    """An expression inside a script would be code of whoever names a branch; values come through `env`."""
    found = scripts(read(path.name))
    assert found
    commands: Any = typer.main.get_command(cli.app)
    for text in found:
        assert "${{" not in text
        if shutil.which("bash"):
            subprocess.run(["bash", "-n", "-c", text], check=True)
        for call in re.findall(r"(?m)^sigmascope ((?:\\\n|[^\n|])+)", text):
            name = call.split()[0]
            known = {flag for parameter in commands.commands[name].params for flag in parameter.opts}
            flags = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", call.split("||")[0]))
            assert flags <= known


def test_the_half_that_runs_the_pull_request_can_only_read() -> None:
    gate = read("github-gate.yml")
    assert gate["permissions"] == {"contents": "read"}
    assert set(gate[True]) == {"pull_request"}  # YAML 1.1 reads `on` as true
    text = (FOLDER / "github-gate.yml").read_text() + (FOLDER / "action.yml").read_text()
    assert "secrets." not in text
    assert "github.token" not in text


def test_the_half_that_may_write_checks_nothing_out() -> None:
    comment = read("github-comment.yml")
    assert comment["permissions"] == {}
    assert comment[True]["workflow_run"]["workflows"] == [read("github-gate.yml")["name"]]
    (job,) = comment["jobs"].values()
    assert job["permissions"] == {"actions": "read", "pull-requests": "write"}
    used = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
    assert used == ["actions/download-artifact"]
    (script,) = scripts(comment)
    assert not re.search(r"(sh|bash|python|source|eval) +report/", script)


def test_the_comment_that_is_posted_starts_with_one_marker(tmp_path: Path) -> None:
    """The body is built from an artifact that anyone may have written: with no marker, with several, with NULs."""
    (script,) = scripts(read("github-comment.yml"))
    line = next(line for line in script.splitlines() if "> body.md" in line)
    (tmp_path / "report").mkdir()
    for text in ("<!-- sigmascope -->\n\nfine\n", "forged\n<!-- sigmascope -->\nx\n", "", "y" * 200_000):
        (tmp_path / "report" / "comment.md").write_text(text)
        subprocess.run(["bash", "-c", f"set -euo pipefail\n{line}"], cwd=tmp_path, check=True)
        body = (tmp_path / "body.md").read_text()
        assert body.splitlines().count("<!-- sigmascope -->") == 1
        assert body.startswith("<!-- sigmascope -->\n")
        assert len(body.encode()) < 65_536
