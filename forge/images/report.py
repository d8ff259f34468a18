"""What came of the task `image`: a table, the next step, and what failed; for a folder of sites, sites.json.

image.py is the caller. It makes no image; what failed is raised last, when all that was made has been told.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forge.core import console, hashes, paths, progress
from forge.core.errors import ForgeError
from forge.images.job import Made, Planned

SITES = "sites.json"


def preview(planned: Sequence[Planned]) -> None:
    """What would be made, for --dry-run."""
    for job in planned:
        console.say(f"would make the image {job.label} in {paths.shown(job.folder)}")
    console.result([{**job.facts, "site": _site(job), "folder": str(job.folder.absolute())} for job in planned])


def finish(planned: Sequence[Planned], results: Sequence[Made | ForgeError], *, listed: bool) -> list[Made]:
    """Tell what was made (`listed`: also in sites.json), then raise what went wrong."""
    made = [result for result in results if isinstance(result, Made)]
    console.result([facts(one) for one in made])
    if made:
        console.say()
        _table(made)
        if listed:
            console.say()
            for path in _write_sites(made):
                console.say(f"{paths.shown(path)} lists them.")
        console.say()
        console.say("Next:")
        for line in made[0].job.next(made[0].images):
            console.say(f"  {line}")
    failed = [(job, result) for job, result in zip(planned, results, strict=True) if isinstance(result, ForgeError)]
    if len(failed) == 1 and len(planned) == 1:
        raise failed[0][1]
    if failed:
        lines = [f"{job.label}: {error}".replace("\n", "\n    ") for job, error in failed]
        raise ForgeError(f"{len(failed)} of {len(planned)} images failed:\n  " + "\n  ".join(lines))
    return made


def _table(made: Sequence[Made]) -> None:
    rows = []
    for one in made:
        for file in one.images:
            limit = progress.size(file.limit) if file.limit > 0 else "not published" if not file.limit else "no limit"
            used = f"{100 * file.size // file.limit} %" if file.limit > 0 else "-"
            rows.append((paths.shown(file.path), progress.size(file.size), limit, used, file.sha256))
    console.table(("image", "size", "the device takes", "used", "sha256"), rows)


def facts(made: Made) -> dict[str, Any]:
    """What was made, for programs that read it."""
    files = [{"name": file.path.name, "size": file.size, "sha256": file.sha256} for file in made.images]
    return {**made.job.facts, "site": _site(made.job), "files": files}


def _site(job: Planned) -> str | None:
    return job.site.name or None


def _write_sites(made: Sequence[Made]) -> list[Path]:
    """In the folder above the sites': which site has which files, made of which settings. Nothing of what they say.

    `settings` is the site file's own sha256; what it takes from other files or from the environment is not in it.
    """
    listed: dict[Path, list[dict[str, Any]]] = {}
    for one in made:
        assert one.job.site.source is not None
        entry = {**facts(one), "settings": hashes.digest(one.job.site.source)}
        listed.setdefault(one.job.folder.parent / SITES, []).append(entry)
    for path, entries in listed.items():
        path.write_text(json.dumps(entries, indent=2) + "\n")
    return list(listed)
