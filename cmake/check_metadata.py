#!/usr/bin/env python3
"""Do the files that repeat the version repeat that of version.hpp? Do the YAML files parse, and does the workflow call what
there is? A forge reads them only after a change has gone in."""

import os
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[1]
try:
    import yaml
except ImportError:
    venv = root / "build/venv/bin/python"  # Conan brings PyYAML
    if venv.exists() and sys.prefix == sys.base_prefix:
        os.execv(venv, [venv, *sys.argv])
    yaml = None

VERSION = r"(\d+\.\d+\.\d+)"
REPEATED = {
    "CHANGELOG.md": rf"^## \[{VERSION}\]",  # the first, which is the newest
    "CITATION.cff": rf"^version: {VERSION}$",
    "docs/getting_started.md": rf"`ccomp/{VERSION}`",
}
YAML = [".clang-format", ".clang-tidy", ".pre-commit-config.yaml", "CITATION.cff"]


def check_versions(faults):
    numbers = re.findall(r"#define CCOMP_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", (root / "include/ccomp/version.hpp").read_text())
    version = ".".join(numbers)
    for file, pattern in REPEATED.items():
        found = re.search(pattern, (root / file).read_text(), re.M)
        if not found:
            faults.append(f"{file}: names no version")
        elif found[1] != version:
            faults.append(f"{file}: names version {found[1]}, version.hpp {version}")


def check_workflow(file, workflow, faults):
    """Each command is a script of this tree, and the script knows the options."""
    for job in workflow["jobs"].values():
        for command in (line for step in job["steps"] for line in step.get("run", "").splitlines()):
            script, *options = command.split()
            if not (root / script).is_file():
                faults.append(f"{file}: runs {script}, which there is not")
                continue
            known = re.findall(r"--[a-z-]+", (root / script).read_text())
            faults += [f"{file}: {script} does not know {option}" for option in options if option not in known]


def main():
    faults = []
    check_versions(faults)
    files = [root / name for name in YAML] + sorted((root / ".github").rglob("*.yml"))
    if not yaml:
        print("note: no YAML file was parsed; get PyYAML with: apt-get install python3-yaml")
        files = []
    for path in files:
        file = path.relative_to(root).as_posix()
        try:
            content = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            faults.append(f"{file}: {error}")
            continue
        if path.parent.name == "workflows":
            check_workflow(file, content, faults)
    for fault in faults:
        print(fault)
    print(f"{len(REPEATED)} versions, {len(files)} YAML files, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
