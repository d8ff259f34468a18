"""The words after ./inv: what is understood, what is answered before anything is installed, what each task needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import tasks  # noqa: F401 - declares them
from forge.core import choices, cli, needs, paths
from forge.core.commandline import Call, Line, parse
from forge.core.errors import UsageError
from forge.generate import versions
from forge.inv import completion, usage

FRONT = paths.ROOT / "forge" / "inv" / "front.py"


def front(*words: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str, str]:
    """Status, output, errors, and what ./inv is told of the tasks' needs."""
    with tempfile.NamedTemporaryFile("r") as answer:
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" 3>"$0" 5>&2', answer.name, sys.executable, "-I", "-S", FRONT, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=env,
            cwd="/",
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr, answer.read()


def understood(line: str) -> Line:
    return parse(line.split(), cli.COMMANDS)


def only(line: str) -> Call:
    (call,) = understood(line).calls
    return call


# ---- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", sorted(cli.COMMANDS))
@pytest.mark.parametrize("form", ["{} --help", "{} -h", "--help {}", "-h {}", "help {}", "{} --no-such --help"])
def test_the_page_of_a_task_names_each_option_and_asks_for_nothing(task: str, form: str) -> None:
    line = understood(form.format(task)) if "no-such" not in form else understood(f"{task} --help")
    assert line.about == task
    page = usage.page(cli.COMMANDS[task])
    for option in cli.COMMANDS[task].options.values():
        assert option.flag in page
        assert option.help


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--help"], "Available tasks:"),
        ([], "Available tasks:"),
        (["--list"], "cache.verify"),
        (["-l"], "cache.verify"),
        (["--version"], "mailrelay {}".format(*versions.product())),
        (["-V"], "mailrelay {}".format(*versions.product())),
        (["image", "--help"], "usage: ./inv image TARGET"),
        (["inspect", "-h"], "usage: ./inv inspect FILE"),
        (["--completion", "bash"], "complete -o default"),
        (["--complete", "--", "ima"], "image"),
    ],
)
def test_it_answers_with_pythons_standard_library_alone_and_nothing_is_to_be_brought(
    words: list[str], says: str
) -> None:
    status, output, errors, answer = front(*words, env={})
    assert (status, errors, answer) == (0, "", "")
    assert says in output


def test_a_reader_that_has_seen_enough_gets_no_traceback() -> None:
    words = f"exec 3>/dev/null 5>&2; {sys.executable} -I -S {FRONT} --list | head -n 1"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.startswith("usage:")


# ---- mistakes -------------------------------------------------------------------------------------------------------

MISTYPED = """\
dmeo
demoo
buidl
Demo
demo --keeep
demo -x
demo --target
demo --target --keep
demo --target=
demo --target lab-mips
demo lab-mips
demo lab-mipsel lab-arm64
demo --local=yes
demo -- x
demo -lz
-R build
-e build
-p
-T 5 demo
-w
--search-root x
--no-dedupe demo
--target ramips build
--only relay test
-v
-q
-v -q demo
--verbose=2 demo
--completion
--completion tcsh
image
image --profile x
image --target
image --target lab-mipsel --jobs x
image --target lab-mipsel --jobs 0
image --target lab-mipsel --jobs 65
image --target lab-mipsel --rootfs-mb -1
image --target lab-mipsel --rootfs-mb 1.5
image --target lab-mipsel --engine exim
image --target lab-mipsel --site /no/such.toml
image --target lab-mipsel --sites /no/such
image --target lab-mipsel --luci=no
image --target lab-mipsel --compile
inspect
inspect no-such.ipk
inspect a b
build --format rpm
build --builder make
build --package mailrely
build ramips x86
build ---target ramips
test rely
test --only rely
test --only
test relay luci
lint relay
doctor now
serve --port x
serve --port 99999
bench --rounds 0
bench --target ramips
qemu --memory 1
qemu --memory lots
qemu ramips
cache.verfy
cache verify now
cache.prune --al
ssh --targett x
targets --realese 25.12
""".splitlines()


@pytest.mark.parametrize("line", MISTYPED)
def test_what_is_typed_wrongly_is_answered_in_one_line_and_brings_nothing(line: str) -> None:
    status, output, errors, answer = front(*line.split())
    assert (status, output, answer) == (2, "", "")
    assert errors.startswith("inv: ") and errors.count("\n") == 1, errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("dmeo", "There is no task 'dmeo'. Did you mean demo?"),
        ("demo --keeep", "the task demo has no option --keeep. Did you mean --keep"),
        ("image", "image needs --target: ./inv image --target TARGET"),
        ("--target ramips build", "write it behind the task's name"),
        ("build ramips x86", "which option is 'x86' for?"),
        ("demo --target lab-mips", "--target: there is no 'lab-mips'. Did you mean lab-mipsel"),
        ("test --only rely", "Did you mean relay"),
        ("bench --rounds 0", "--rounds: 0 is out of range (write a whole number from 1 "),
    ],
)
def test_the_line_says_what_would_be_right(line: str, says: str) -> None:
    assert says in front(*line.split())[2]


def test_an_empty_value_is_none() -> None:
    """As from a variable that is not set: --mirror "$MIRROR"."""
    with pytest.raises(UsageError, match="--mirror has an empty value"):
        parse(["build", "--mirror", ""], cli.COMMANDS)


# ---- what is understood ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("build ramips", {"target": "ramips"}),
        ("build -t ramips", {"target": "ramips"}),
        ("build -tramips", {"target": "ramips"}),
        ("build --target=ramips", {"target": "ramips"}),
        ("build --format apk ramips", {"target": "ramips", "format": "apk"}),
        ("targets gl-mt1300", {"match": "gl-mt1300"}),
        ("test relay", {"only": "relay"}),
        ("test lint", {"only": "lint"}),
        ("inspect README.md", {"file": "README.md"}),
        ("image lab-mipsel --packages -ppp", {"target": "lab-mipsel", "packages": "-ppp"}),
        ("image lab-mipsel --no-luci", {"target": "lab-mipsel", "luci": False}),
        ("demo -lk", {"local": True, "keep": True}),
        ("build -v --offline", {"offline": True}),
        ("cache.show", {}),
    ],
)
def test_words_become_values(line: str, values: dict[str, object]) -> None:
    assert only(line).values == values


def test_several_tasks_are_run_one_after_the_other() -> None:
    calls = understood("build --offline feed --url https://example.org lint").calls
    assert [(call.command.name, call.values) for call in calls] == [
        ("build", {"offline": True}),
        ("feed", {"url": "https://example.org"}),
        ("lint", {}),
    ]


def test_what_stands_behind_two_dashes_is_left_alone() -> None:
    call = only("test relay -- -k word --help tests/relay")
    assert call.rest == ["-k", "word", "--help", "tests/relay"]


@pytest.mark.parametrize(("line", "level"), [("-v demo", 1), ("demo --verbose", 1), ("demo -q", -1), ("demo", 0)])
def test_how_much_is_said(line: str, level: int) -> None:
    assert understood(line).verbosity == level


def test_invoke_takes_the_same_options() -> None:
    for name, command in cli.COMMANDS.items():
        arguments = {one.name for one in cli.collection()[name].get_arguments()}
        assert arguments == {*command.options}, name


def test_invoke_converts_and_checks_as_inv_does() -> None:
    invoke = Path(sys.executable).with_name("invoke")
    for words, said in (
        ("serve --port x", "serve: --port: 'x' is not a number (write a whole number from 0 to 65535)\n"),
        ("image", "image: image needs --target: ./inv image --target TARGET\n"),
    ):
        done = subprocess.run([invoke, *words.split()], cwd=paths.ROOT, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (2, said)


# ---- what the tasks need --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "system", "python"),
    [
        ("demo", "build lab mips", ""),
        ("demo --local", "", ""),
        ("demo lab-arm64", "arm build lab", ""),
        ("build", "build", ""),
        ("build ramips", "build image sdk", ""),
        ("build ramips --builder mini", "build", ""),
        ("build ramipss", "build", ""),
        ("image gl-mt1300", "build image", ""),
        ("image ramips/mt7621:glinet_gl-mt1300,lab-mipsel", "build image lab", ""),
        ("image ramipss", "build", ""),
        ("image ramips", "build image", ""),
        ("image lab-mipsel", "build lab", ""),
        ("image ramips --via https://example.org", "build", ""),
        ("image lab-mipsel,ramips", "build image lab", ""),
        (f"inspect {paths.ROOT}/README.md", "", ""),
        ("test --only relay", "cpus test", "test"),
        ("test  --only   relay", "cpus test", "test"),
        ("test --only=luci", "build luci test", "luci test"),
        ("test lint", "lint", "lint"),
        ("test -- tests/arduino/test_docs.py", "arduino lint test", "lint test"),
        ("lint", "lint", "lint"),
        ("qemu --target armsr/armv8", "arm build lab", ""),
        ("test --target lab-arm64", "arm build lab test", "test"),
        ("test --only luci --target lab-x86-64", "build lab luci test x86", "luci test"),
        ("test --dry-run", "", ""),
    ],
)
def test_what_a_command_line_brings(line: str, system: str, python: str) -> None:
    status, output, errors, answer = front(*line.split())
    assert (status, output, errors) == (0, "", "")
    assert answer.split() == ["run", *system.split(), "/", *python.split()]


def test_all_tests_need_a_browser_and_the_demo_no_linter() -> None:
    everything = only("test").needs()
    assert {"luci", "lint", "arduino", "mips", "x86"} <= everything.system
    assert "arm" not in everything.system
    assert only("test --all-targets").needs().system > everything.system


def test_every_area_group_and_set_is_known() -> None:
    assert sorted(needs.AREAS) == choices.areas()
    wanted = [only(f"test --only {area}").needs() for area in needs.AREAS] + [needs.SDK, needs.IMAGE, needs.LINT]
    groups = {package.group for package in needs.system_packages()}
    assert {group for one in wanted for group in one.system} <= groups
    for name in {name for one in wanted for name in one.python}:
        assert paths.requirements(name).is_file()


# ---- completion -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["de"], ["demo"]),
        (["demo", "--ta"], ["--target"]),
        (["demo", "--target", "lab-m"], ["lab-mipsel"]),
        (["demo", "--target=lab-m"], ["--target=lab-mipsel"]),
        (["test", "--only", "re"], ["relay"]),
        (["test", "re"], ["relay"]),
        (["build", "--builder", ""], ["auto", "sdk", "mini"]),
        (["image", "--target", "ramips/mt7621", "--sit"], ["--site", "--sites"]),
        (["test", "--", "x"], []),
        (["inspect", "dist/"], []),
    ],
)
def test_words_are_completed(words: list[str], found: list[str]) -> None:
    assert completion.candidates(words, cli.COMMANDS) == found


@pytest.mark.parametrize("shell", sorted(completion.SCRIPTS))
def test_the_shells_take_their_scripts(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=completion.SCRIPTS[shell], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes_by_it() -> None:
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    script = (
        completion.BASH + "COMP_WORDS=(./inv demo --target lab-m); COMP_CWORD=3; _mailrelay_inv; echo ${COMPREPLY[*]}"
    )
    done = subprocess.run(["bash", "-c", script], cwd=paths.ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "lab-mipsel\n", done.stderr


# ---- results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", ["targets --match mt1300", "build --dry-run", "cache", "doctor", "test --dry-run relay"]
)
def test_json_is_alone_on_standard_output(line: str) -> None:
    done = subprocess.run([paths.INV, *line.split(), "--json"], capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 3), done.stderr
    assert json.loads(done.stdout)
