"""Package Makefiles: what they say reaches the package as OpenWrt reads it, and mistakes are named with their line."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from forge.core.errors import ForgeError
from forge.packages import stage
from forge.packages.makefile import PackageError
from forge.packages.package import Package

from .samples import SOURCE, copy_sample, edit, tree_of


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return copy_sample(tmp_path)


def stage_all(directory: Path, *names: str) -> dict[str, Package]:
    """The packages by name; their trees are gone when this returns."""
    with stage.staged(directory, names, epoch=1, source=SOURCE) as packages:
        return {package.name: package for package in packages}


def faults_of(directory: Path) -> list[tuple[str, int, str]]:
    """The faults that staging finds: path from the package directory, line, problem."""
    with pytest.raises(PackageError) as caught:
        stage_all(directory)
    for fault in caught.value.faults:
        assert str(fault) in str(caught.value)
        assert f"{fault.path}:{fault.line}: " in str(fault) or not fault.line
    return [(str(fault.path.relative_to(directory)), fault.line, fault.problem) for fault in caught.value.faults]


def staged_tree(directory: Path) -> dict[str, tuple[str, int, object]]:
    """What the sample's first package installs."""
    with stage.staged(directory, ["sample"], epoch=1) as (package,):
        return tree_of(package.root)


# ---- what is read ---------------------------------------------------------------------------------------------------


def test_a_package_is_what_its_makefile_says(sample: Path) -> None:
    package = stage_all(sample)["sample"]
    assert (package.full_version, package.release, package.architecture) == ("1.2.3-r4", "4", "all")
    assert package.depends == ["libc", "python3-light", "python3-openssl"]
    edit(sample, "DEPENDS:=+python3-light", "DEPENDS:=@!BUSYBOX +libc +python3-light")
    assert stage_all(sample)["sample"].depends == package.depends
    assert package.provides == ["sample-service"]
    assert package.alternatives == ["100:/usr/sbin/sendmail:/usr/lib/sample/sendmail"]
    assert package.conffiles == ["/etc/config/sample", "/etc/sample/"]
    assert package.description == " First line of the description.\n Second line, with a $ sign."
    assert package.scripts["prerm"] == '#!/bin/sh\necho "sample goes"\nexit 0\n'
    assert (package.source, package.sourcename, package.userid) == (SOURCE, "sample", "sample=473:sample=473")


def test_one_package_can_be_made_alone_and_no_field_of_one_reaches_the_next(sample: Path) -> None:
    package = stage_all(sample)["sample-shell"]
    assert (package.userid, package.alternatives, package.scripts) == ("", [], {})
    assert package.conflicts == ["sample"]
    assert list(stage_all(sample, "sample-shell")) == ["sample-shell"]


def test_the_default_variant_is_marked(sample: Path) -> None:
    edit(sample, "  PROVIDES:=sample-service\n  ALT", "  PROVIDES:=sample-service\n  DEFAULT_VARIANT:=1\n  ALT")
    packages = stage_all(sample)
    assert packages["sample"].default_variant
    assert not packages["sample-shell"].default_variant


def test_a_variant_is_built_with_its_own_name_in_build_variant(sample: Path) -> None:
    edit(sample, "  TITLE:=A sample service", "  VARIANT:=python\n  TITLE:=Made as $(BUILD_VARIANT)")
    edit(sample, "\t$(INSTALL_DATA) ./data.txt", "\techo $(BUILD_VARIANT) >$(1)/variant\n\t$(INSTALL_DATA) ./data.txt")
    with stage.staged(sample, ["sample"], epoch=1) as (package,):
        assert package.title == "Made as python"
        assert (package.root / "variant").read_text() == "python\n"


def test_dollars_in_recipes_mean_what_they_mean_to_openwrt(sample: Path) -> None:
    edit(sample, "\tmkdir -p $(PKG_BUILD_DIR)\n", "\tfor x in a b; do echo $$$$x; done >$(PKG_BUILD_DIR)/made\n")
    edit(sample, "\t$(INSTALL_DATA) ./data.txt", "\t$(CP) $(PKG_BUILD_DIR)/made $(1)/\n\t$(INSTALL_DATA) ./data.txt")
    assert staged_tree(sample)["made"][2] == b"a\nb\n"


def test_the_install_commands_are_openwrts(sample: Path) -> None:
    lines = (
        "\t$(INSTALL_DIR) $(1)/a",
        "\t$(INSTALL_BIN) ./data.txt $(1)/a/bin",
        "\techo '#!/bin/sh' >$(1)/a/bin",
        "\t$(INSTALL_CONF) ./data.txt $(1)/a/conf",
        "\t$(SED) 's/data/other/' $(1)/a/conf",
        "\t$(LN) conf $(1)/a/link",
        "\t$(INSTALL_DATA) ./data.txt",
    )
    edit(sample, "\t$(INSTALL_DATA) ./data.txt", "\n".join(lines))
    assert {name: found for name, found in staged_tree(sample).items() if name.split("/")[0] == "a"} == {
        "a": ("directory", 0o755, None),
        "a/bin": ("file", 0o755, b"#!/bin/sh\n"),
        "a/conf": ("file", 0o600, b"other\n"),
        "a/link": ("link", 0o777, "conf"),
    }


def test_sources_are_copied_before_they_are_compiled(sample: Path) -> None:
    (sample / "src").mkdir()
    (sample / "src" / "words.in").write_text("words\n")
    edit(sample, "define Build/Prepare\n\tmkdir -p $(PKG_BUILD_DIR)\nendef\n", "")
    compile = "define Build/Compile\n"
    edit(sample, compile, f"{compile}\tcp $(PKG_BUILD_DIR)/words.in $(PKG_BUILD_DIR)/words\n")
    edit(sample, "\t$(INSTALL_DATA) ./data.txt", "\t$(CP) $(PKG_BUILD_DIR)/words $(1)/\n\t$(INSTALL_DATA) ./data.txt")
    assert staged_tree(sample)["words"][2] == b"words\n"


def test_a_luci_app_is_its_folders(tmp_path: Path) -> None:
    app = tmp_path / "luci-app-sample"
    files = {
        "Makefile": "include $(TOPDIR)/rules.mk\n"
        "LUCI_TITLE:=LuCI for sample\nLUCI_DEPENDS:=+luci-base +sample\nPKG_VERSION:=1.0\n"
        "PKG_LICENSE:=Apache-2.0\n"
        "include $(TOPDIR)/feeds/luci/luci.mk\n",
        "htdocs/luci-static/resources/view/sample.js": "'use strict';\n",
        "root/usr/share/rpcd/acl.d/sample.json": "{}\n",
        "ucode/sample.uc": "return {};\n",
    }
    for name, text in files.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    with stage.staged(app, epoch=1) as (package,):
        assert package.depends == ["libc", "luci-base", "sample"]
        assert (package.name, package.full_version, package.section) == ("luci-app-sample", "1.0-r1", "luci")
        assert {name for name, one in tree_of(package.root).items() if one[0] == "file"} == {
            "www/luci-static/resources/view/sample.js",
            "usr/share/rpcd/acl.d/sample.json",
            "usr/share/ucode/luci/sample.uc",
        }
    edit(app, "$(TOPDIR)/feeds/luci/luci.mk", "../../luci.mk")
    assert stage.defined(app) == ["luci-app-sample"]


# ---- what is staged -------------------------------------------------------------------------------------------------


def test_modes_umask_and_leftovers_of_a_checkout_leave_no_trace(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = "\tmkdir $(1)/made $(1)/.svn; touch $(1)/made/by-recipe $(1)/made/leftover~\n"
    edit(sample, "\t$(INSTALL_DATA) ./data.txt", f"{recipe}\t$(INSTALL_DATA) ./data.txt")
    clean = staged_tree(sample)
    assert clean["made/by-recipe"] == ("file", 0o644, b"")
    assert not {"made/leftover~", ".svn"} & set(clean)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2777)
    monkeypatch.setattr(stage.tempfile, "tempdir", str(shared))
    for path in sample.rglob("*"):
        if path.is_dir():
            path.chmod(0o2770)
        elif not path.is_symlink():
            path.chmod(0o775 if path.stat().st_mode & 0o100 else 0o660)
    for name in ("root/usr/lib/sample/__pycache__", "root/CVS"):
        (sample / name).mkdir()
        (sample / name / "x.pyc").write_text("")
    for name in ("root/etc/config/sample~", "root/.#lock", "root/usr/lib/sample/.__main__.py.swp"):
        (sample / name).write_text("")
    before = os.umask(0o077)
    try:
        assert staged_tree(sample) == clean
    finally:
        os.umask(before)


def test_a_path_with_spaces_and_signs_makes_no_difference(sample: Path, tmp_path: Path) -> None:
    clean = staged_tree(sample)
    other = tmp_path / "a check out: $HOME #1 'x'"
    other.mkdir()
    assert staged_tree(shutil.move(sample, other / "sample")) == clean


def test_a_temporary_folder_with_spaces_is_not_used(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t m p").mkdir()
    monkeypatch.setattr(stage.tempfile, "tempdir", str(tmp_path / "t m p"))
    with stage.staged(sample, epoch=1) as packages:
        assert " " not in str(packages[0].root)


def test_variables_of_the_callers_reach_no_recipe(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = staged_tree(sample)
    for name, value in {
        "MAKEFLAGS": "-n", "CP": "false", "PKG_VERSION": "9", "TITLE": "x", "BUILD_VARIANT": "x", "LC_ALL": "xx"
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert staged_tree(sample) == clean


def test_nothing_is_left_behind(sample: Path) -> None:
    with stage.staged(sample, epoch=1) as packages:
        top = packages[0].root
    assert not top.exists()
    before = tree_of(sample)
    stage_all(sample)
    assert tree_of(sample) == before


def test_conffiles_that_are_not_shipped_are_kept_by_a_list(sample: Path) -> None:
    edit(sample, "/etc/config/sample\n/etc/sample/\n", "/etc/config/absent\n/etc/config/sample\n/etc/uci-defaults/\n")
    assert staged_tree(sample)["lib/upgrade/keep.d/sample"][2] == b"/etc/config/absent\n/etc/uci-defaults/\n"


# ---- mistakes, each with its line -----------------------------------------------------------------------------------

MISTAKES = {
    "a misspelt field": ("  TITLE:=A", "  TITEL:=A", r"sample: there is no field TITEL\. Did you mean TITLE"),
    "a misspelt field in a template": ("  SECTION:=mail", "  SECTOIN:=mail", r"there is no field SECTOIN.*SECTION"),
    "a field that does not exist": ("  USERID:=", "  WHATEVER:=1\n  USERID:=", "there is no field WHATEVER"),
    "a missing title": ("  TITLE:=A sample service\n", "", "sample: TITLE is missing"),
    "a comma": ("DEPENDS:=+python3-light +", "DEPENDS:=+python3-light, +", "DEPENDS has a comma"),
    "a dependency that is no name": ("+python3-openssl", "+Python3=2", "DEPENDS '\\+Python3=2' is no package name"),
    "a dependency on the configuration": ("+python3-openssl", "+IPV6:x", "hangs on the build's configuration"),
    "a user": ("USERID:=sample=473:", "USERID:=sample=x:", "USERID 'sample=x:sample=473' is not understood"),
    "an alternative": ("ALTERNATIVES:=100:", "ALTERNATIVES:=", "ALTERNATIVES '/usr/sbin/sendmail:/usr/lib"),
    "an alternative to nothing": ("sendmail\nendef", "sendmial\nendef", "which the package does not install"),
    "a field that is not followed": ("  USERID:=", "  FILE_MODES:=/a:b:c:1\n  USERID:=", "cannot follow FILE_MODES"),
    "a package for one CPU": ("  PKGARCH:=all", "  PKGARCH:=mipsel_24kc", "the mini-SDK compiles nothing"),
    "a version": ("PKG_VERSION:=1.2.3", "PKG_VERSION:=v1.2-3", "PKG_VERSION 'v1.2-3' is no version"),
    "a release": ("PKG_RELEASE:=4", "PKG_RELEASE:=r4", "PKG_RELEASE 'r4' is no whole number"),
    "a misspelt variable set": ("PKG_LICENSE:=", "PKG_LICENCE:=", "PKG_LICENCE means nothing.*PKG_LICENSE"),
    "a misspelt variable used": ("_DATA) ./data", "_DTAA) ./data", r"\(INSTALL_DTAA\) is not set.*INSTALL_DATA"),
    "a misspelt script": ("e Package/sample/postinst", "e Package/sample/postints", "postints means nothing.*postinst"),
    "a misspelt package": ("e Package/sample/prerm", "e Package/smple/prerm", "no package smple is built here.*sample"),
    "a misspelt step": ("define Build/Compile\nendef", "define Build/Compile\nendef\ndefine Build/Prepaer\nendef", ""),
    "a script without #!": ("#!/bin/sh\n[ -n", "[ -n", "Package/sample/postinst has no #! line"),
    "a relative conffile": ("/etc/sample/\n", "etc/sample/\n", "conffile 'etc/sample/' does not begin with /"),
    "a pattern as conffile": ("/etc/sample/\n", "/etc/sample/*\n", "is no plain path"),
    "a file that is not there": ("data.txt $(1)", "date.txt $(1)", r"no \./date\.txt\. Did you mean \./data\.txt"),
    "a folder that is not there": ("$(CP) ./root/*", "$(CP) ./rooot/*", r"there is no \./rooot/\*"),
    "a recipe that fails": ("\t$(INSTALL_DATA)", "\texit 7\n\t$(INSTALL_DATA)", "the recipes of sample fail"),
    "a line that is none": ("PKG_RELEASE:=4", "PKG_RELEASE 4", "missing separator"),
    "a define without end": ("define Package/sample/prerm", "define X\ndefine Package/sample/prerm", "missing 'endef'"),
    "an include that is not there": ("$(INCLUDE_DIR)/package.mk", "../../lang/python3.mk", "the mini-SDK has no"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_line(sample: Path, mistake: str) -> None:
    before, after, problem = MISTAKES[mistake]
    line = edit(sample, before, after)
    faults = faults_of(sample)
    assert any(re.search(problem, told) for _, _, told in faults), faults
    (at,) = {number for _, number, told in faults if re.search(problem, told)} or {0}
    text = (sample / "Makefile").read_text().split("\n")
    changed = set(range(line, line + after.count("\n") + 1))
    # Where a line is gone, the fault names the define that should have it.
    if mistake == "a missing title":
        assert text[at - 1] == "define Package/sample"
    elif mistake == "a recipe that fails":
        assert text[at - 1] == "define Package/sample/install"
    elif mistake == "an alternative to nothing":
        assert "ALTERNATIVES" in text[at - 1]
    else:
        assert at in changed, (at, text[at - 1])


def test_all_mistakes_are_told_at_once(sample: Path) -> None:
    lines = {
        edit(sample, "  TITLE:=A", "  TITEL:=A"),
        edit(sample, "USERID:=sample=473", "USERID:=sample=x"),
        edit(sample, "#!/bin/sh\necho", "echo"),
    }
    assert lines <= {line for _, line, _ in faults_of(sample)}


def test_what_is_missing_altogether_is_told_of_the_file(sample: Path) -> None:
    edit(sample, "define Build/Compile\nendef\n", "")
    assert faults_of(sample) == [
        ("Makefile", 0, "Build/Compile is not defined, so OpenWrt would run make in the sources")
    ]


def test_a_makefile_that_is_not_utf8_is_named_with_its_line(sample: Path) -> None:
    path = sample / "Makefile"
    path.write_bytes(path.read_bytes().replace(b"sample service", b"s\xe4mple service"))
    assert faults_of(sample) == [("Makefile", 21, "this is not UTF-8")]


NO_INTERPRETER = "executable and has no #! line"
TREE_MISTAKES = {
    "an executable without #!": ("root/usr/lib/sample/sendmail", b"exit 0\n", 0o755, 1, NO_INTERPRETER),
    "an empty executable": ("root/usr/lib/sample/sendmail", b"", 0o755, 1, NO_INTERPRETER),
    "DOS line ends": ("root/usr/lib/sample/sendmail", b"#!/bin/sh\r\nexit 0\r\n", 0o755, 1, "DOS line ends"),
    "an init script without x": ("root/etc/init.d/sample", b"#!/bin/sh /etc/rc.common\n", 0o644, 1, "not executable"),
    "a script that is not UTF-8": ("root/usr/lib/sample/sendmail", b"#!/bin/sh\n# \xe4\n", 0o755, 2, "is not UTF-8"),
}


@pytest.mark.parametrize("mistake", TREE_MISTAKES)
def test_a_file_no_router_can_run_is_named_with_its_line(sample: Path, mistake: str) -> None:
    name, data, mode, line, problem = TREE_MISTAKES[mistake]
    (sample / name).write_bytes(data)
    (sample / name).chmod(mode)
    faults = faults_of(sample)
    assert [(path, number) for path, number, _ in faults] == [(name, line)]
    assert problem in faults[0][2]


@pytest.mark.parametrize("name", ["CONTROL", "etc/CONTROL", b"b\xe4d"])
def test_a_file_openwrt_would_drop_or_no_one_can_name_is_refused(sample: Path, name: str | bytes) -> None:
    (sample / "root" / os.fsdecode(name)).write_text("")
    ((path, line, problem),) = faults_of(sample)
    assert (path, line) == ("Makefile", 61)
    assert "CONTROL" in problem or "not UTF-8" in problem


def test_a_pipe_in_the_directory_is_refused_instead_of_read(sample: Path) -> None:
    os.mkfifo(sample / "root" / "pipe")
    assert faults_of(sample) == [("root/pipe", 0, "is neither a file, a folder nor a link")]


def test_a_directory_without_a_makefile_or_with_a_space_in_its_name_is_refused(sample: Path) -> None:
    with pytest.raises(PackageError, match=r"Makefile: No such file"), stage.staged(sample.parent, epoch=1):
        pass
    with pytest.raises(ForgeError, match="plain name"), stage.staged(sample.rename(sample.parent / "a b"), epoch=1):
        pass
