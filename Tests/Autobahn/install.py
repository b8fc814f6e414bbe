#!/usr/bin/env python3
"""Puts Autobahn|Testsuite, which is Python 2.7 software, into a folder of its own: install.py FOLDER

The interpreter is Debian bullseye's, fetched by an apt with private lists (signatures checked) and unpacked, never
installed; packages are pinned by hash. A second call is instant. PYTHON27 names another interpreter.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
DEBIAN = ["python2.7-minimal", "libpython2.7-minimal", "libpython2.7-stdlib", "libpython2.7-dev", "libssl1.1", "libffi7"]
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")

APT = """\
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Pre-Invoke;
Dir::State "{0}";
Dir::State::lists "{0}/lists";
Dir::State::status "{0}/status";
Dir::Cache "{0}/cache";
Dir::Etc::sourcelist "{0}/sources.list";
Dir::Etc::sourceparts "{0}/empty";
Dir::Etc::preferences "{0}/empty/preferences";
Dir::Etc::preferencesparts "{0}/empty";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
"""

# Starts the suite's wstest with its listener on one address, and says when it listens.
LAUNCHER = """\
import os, site
site.addsitedir(os.environ['AUTOBAHN_SITE'])
from autobahntestsuite import fuzzing, wstest
from autobahntestsuite.case import Cases, CaseBasename, CaseCategories, CaseSetname, CaseSubCategories
from autobahntestsuite.caseset import CaseSet
from autobahn.twisted.websocket import listenWS
import json, sys

def listen(factory, contextFactory=None, backlog=128, interface=''):
    port = listenWS(factory, contextFactory, backlog, '127.0.0.1')
    open(os.environ['AUTOBAHN_READY'], 'w').close()
    return port

if sys.argv[1:2] == ['cases']:
    cases = CaseSet(CaseSetname, CaseBasename, Cases, CaseCategories, CaseSubCategories)
    for case in cases.parseSpecCases({'cases': sys.argv[2:]}):
        print(case)
else:
    fuzzing.listenWS = listen
    wstest.run()
"""


def say(text):
    print(f"autobahn: {text}", file=sys.stderr, flush=True)


def give_up(text):
    say(text)
    sys.exit(1)


def run(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, **options)


def repository():
    """Where this machine's apt gets the main component of its own release from."""
    release = dict(
        line.rstrip("\n").split("=", 1) for line in open("/etc/os-release", encoding="utf-8") if "=" in line
    )
    codename = release.get("VERSION_CODENAME", "").strip('"')
    form = "$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT)"
    for attempt in range(2):
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", form, "Created-By: Packages"], capture_output=True, text=True
        ).stdout
        for line in listed.splitlines():
            words = line.split()
            if len(words) == 4 and codename in words[1:3] and words[3] == "main":
                return words[0]
        if attempt == 0:
            subprocess.run(["apt-get", "update", "-q"], stdout=subprocess.DEVNULL)
    return None


def unpack_interpreter(folder):
    source = repository()
    if source is None:
        give_up("no Debian repository is configured here; set PYTHON27 to a python2.7")
    if not KEYRING.exists():
        give_up(f"{KEYRING} is missing (package debian-archive-keyring); set PYTHON27 to a python2.7")
    apt = folder / "apt"
    for name in ("lists/partial", "cache/archives/partial", "empty", "packages"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(f"deb [arch=amd64 signed-by={KEYRING}] {source} bullseye main\n")
    (apt / "apt.conf").write_text(APT.format(apt))
    run("apt-get", "-qq", "-c", apt / "apt.conf", "update", stdout=subprocess.DEVNULL)
    run("apt-get", "-qq", "-c", apt / "apt.conf", "download", *DEBIAN, cwd=apt / "packages", stdout=subprocess.DEVNULL)
    for package in (apt / "packages").glob("*.deb"):
        run("dpkg-deb", "-x", package, folder / "root")
    for library in (folder / "root").rglob("*.a"):
        library.unlink()
    shutil.rmtree(apt)
    return folder / "root/usr/bin/python2.7"


def environment(folder, packages):
    root = folder / "root/usr"
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    variables.update(PYTHONNOUSERSITE="1", PYTHONPATH=str(packages), AUTOBAHN_SITE=str(folder / "site"))
    if root.exists():
        variables["LD_LIBRARY_PATH"] = str(root / "lib/x86_64-linux-gnu")
        variables["C_INCLUDE_PATH"] = f"{root}/include/python2.7:{root}/include"
    return variables


def install_packages(folder, python):
    tools = folder / "tools"
    run(
        sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--require-hashes",
        "--only-binary", ":all:", "--python-version", "27", "-d", tools, "-r", HERE / "requirements-tools.txt",
    )
    for wheel in tools.glob("*.whl"):
        run(sys.executable, "-m", "zipfile", "-e", wheel, tools)
        wheel.unlink()

    def pip(requirements):
        run(
            python, "-W", "ignore", "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "--no-build-isolation",
            "--no-python-version-warning", "--target", folder / "site", "-r", HERE / requirements,
            env=environment(folder, tools),
        )

    pip("requirements.txt")
    try:
        pip("requirements-accelerator.txt")
    except subprocess.CalledProcessError:
        say("the accelerator did not build: the suite runs without it, slower, with the same verdicts")


def wstest(folder):
    """The command line and the environment that run the suite of an installed folder."""
    folder = pathlib.Path(folder).resolve()
    python = pathlib.Path((folder / "python").read_text())
    return [str(python), "-u", str(folder / "launcher.py")], environment(folder, "")


def main():
    if len(sys.argv) != 2:
        give_up(__doc__.splitlines()[0])
    folder = pathlib.Path(sys.argv[1]).resolve()
    pins = b"".join(path.read_bytes() for path in sorted(HERE.glob("requirements*.txt")))
    wanted = hashlib.sha256(pathlib.Path(__file__).read_bytes() + pins).hexdigest()
    stamp = folder / "stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("tools", "site"):
        (folder / name).mkdir(parents=True)
    say(f"installing the suite in {folder}")
    given = os.environ.get("PYTHON27")
    python = pathlib.Path(given) if given else unpack_interpreter(folder)
    install_packages(folder, python)
    (folder / "python").write_text(str(python))
    (folder / "launcher.py").write_text(LAUNCHER)
    command, variables = wstest(folder)
    cases = run(*command, "cases", "*", env=variables, capture_output=True, text=True).stdout.split()
    if len(cases) < 500:
        give_up(f"the suite lists {len(cases)} cases; more than 500 were expected")
    stamp.write_text(wanted)
    say(f"{len(cases)} cases")


if __name__ == "__main__":
    main()
