"""The replication package: whole, the same bytes for the same files, and described so that other programs understand it."""

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from crimepolicy.data.dictionary import list_tables, read_dictionary
from tools.replication.__main__ import main
from tools.replication.archive import write_archive

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("the list of files comes from git")
    folder = tmp_path_factory.mktemp("package")
    assert main([str(folder)]) == 0
    (first,) = folder.glob("*.zip")
    with zipfile.ZipFile(first) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def described(packed: dict[str, bytes], name: str) -> Any:
    return json.loads(packed[name])


def test_the_same_files_are_the_same_archive(tmp_path: Path) -> None:
    files = {f"folder/{name}": name.encode() * 1_000 for name in "zax"}
    write_archive(tmp_path / "one" / "a.zip", files)
    write_archive(tmp_path / "two" / "a.zip", dict(reversed(files.items())))
    assert (tmp_path / "one" / "a.zip").read_bytes() == (tmp_path / "two" / "a.zip").read_bytes()
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["a.zip"]


def test_it_holds_code_data_numbers_and_terms(packed: dict[str, bytes]) -> None:
    wanted = {"README.md", "LICENSE", "LICENSE-DATA.md", "CITATION.cff", "noxfile.py", "requirements.lock"}
    wanted |= {"analyses/plan.toml", "analyses/results/verdicts.json", "src/crimepolicy/panel.py", "docs/data.md"}
    assert wanted <= set(packed)


def test_every_file_has_its_sum(packed: dict[str, bytes]) -> None:
    lines = packed["SHA256SUMS"].decode().splitlines()
    sums = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    made = {"README.md", "datapackage.json", "ro-crate-metadata.json", "SHA256SUMS"}
    assert set(sums) == set(packed) - made
    assert all(hashlib.sha256(packed[path]).hexdigest() == digest for path, digest in sums.items())


def test_the_readme_has_the_sections_of_the_template(packed: dict[str, bytes]) -> None:
    text = packed["README.md"].decode()
    for section in ("Data availability", "Statement about rights", "Dataset list", "Computational requirements"):
        assert f". {section}" in text
    for section in ("Description of programs", "Instructions to replicators", "List of numbers", "References"):
        assert f". {section}" in text


def test_the_data_package_names_every_column(packed: dict[str, bytes]) -> None:
    package = described(packed, "datapackage.json")
    assert [resource["name"] for resource in package["resources"]] == list(list_tables())
    for resource in package["resources"]:
        assert resource["path"] in packed
        assert resource["licenses"]
        columns = read_dictionary(resource["name"]).columns
        assert [field["name"] for field in resource["schema"]["fields"]] == [column.name for column in columns]
        assert {field["type"] for field in resource["schema"]["fields"]} <= {
            "string", "boolean", "date", "integer", "number",
        }  # fmt: skip
        assert set(resource["schema"]["primaryKey"]) <= {column.name for column in columns}


def test_the_crate_holds_together(packed: dict[str, bytes]) -> None:
    crate = described(packed, "ro-crate-metadata.json")
    graph = crate["@graph"]
    identifiers = [node["@id"] for node in graph]
    assert len(identifiers) == len(set(identifiers))
    assert crate["@context"].startswith("https://w3id.org/ro/crate/")
    root = next(node for node in graph if node["@id"] == "./")
    assert {"name", "description", "license", "datePublished", "hasPart", "author"} <= set(root)
    pointed = {
        link["@id"]
        for node in graph
        for value in node.values()
        for link in (value if isinstance(value, list) else [value])
        if isinstance(link, dict)
    }
    assert pointed - set(identifiers) == {"https://w3id.org/ro/crate/1.1"}
    files = {node["@id"]: node for node in graph if "File" in node["@type"]}
    assert all(hashlib.sha256(packed[path]).hexdigest() == node["sha256"] for path, node in files.items())


def test_numbers_lead_to_the_tables_that_they_were_made_from(packed: dict[str, bytes]) -> None:
    graph = described(packed, "ro-crate-metadata.json")["@graph"]
    actions = [node for node in graph if node["@type"] == "CreateAction"]
    made = {link["@id"] for action in actions for link in action["result"]}
    read = {link["@id"] for action in actions for link in action["object"]}
    assert made & {path for path in packed if path.startswith("analyses/results/")}
    assert any(path.startswith("data/processed/") for path in read)
