"""The `status` command: the status file for people. It asks no spool and no relay, so that any user may call it."""

from __future__ import annotations

from mailrelay.cli import service
from mailrelay.cli.display import count, duration, moment
from mailrelay.core import clock, paths
from mailrelay.core.text import escaped
from mailrelay.daemon import status_file
from mailrelay.daemon.status_file import HINDRANCES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailrelay.cli.instance import Relay
    from mailrelay.cli.service import Service
    from mailrelay.daemon.status_file import Failure, Refusal, StatusFacts, Trouble

NOT_RUNNING = 3  # as LSB init scripts answer
_REFUSALS = 5  # machines and replies that are shown of those that were refused
_COUNTS = {
    "accepted": "accepted", "delivered": "delivered", "deferred": "deferred", "failed": "failed",
    "refused": "refused", "aborted": "broken off by the sender",
}  # fmt: skip

_STATES = {"good": "takes mail", "waiting": "has mail waiting", "bad": "cannot be used"}


def run(relay: Relay, as_json: bool) -> int:
    """Print it. Return 0 if the relay runs, 3 if not."""
    told = service.read(relay.run_dir)
    if as_json:
        print(status_file.dump({"running": relay.running, **relay.status, **({"service": told} if told else {})}))
    else:
        for name, text in _lines(relay, told):
            print(f"{name:<13} {escaped(text)}".rstrip())
    return 0 if relay.running else NOT_RUNNING


def _lines(relay: Relay, told: Service) -> Iterator[tuple[str, str]]:
    status = relay.status
    if not relay.running:
        yield "mailrelay", f"is {service.why_not_running(told)}"
        yield from _settings(told)
        if status:
            left = f"{relay.run_dir}/{paths.FILE} is what process {status.get('pid')} left"
            yield "", f"{left}, written {_ago(status.get('updated'))}"
        return
    started = status.get("started")
    since = f"is running since {'an unknown time' if started is None else moment(started)}"
    yield "mailrelay", f"{status.get('version', '')} {since} (process {status.get('pid')})"
    yield from _settings(told)
    yield "listening", ", ".join(status.get("listening", [])) or "nowhere"
    advice = {taken["endpoint"]: taken["advice"] for taken in status.get("port_taken", [])}
    for endpoint, reason in status.get("not_listening", {}).items():
        yield "cannot listen", f"{endpoint}: {reason}; tried again every few seconds"
        if endpoint in advice:
            yield "", advice[endpoint]
    yield "sending for", ", ".join([*status.get("allow", []), "this machine itself"])
    if status.get("spool_missing"):
        yield "spool", f"{status.get('spool')}: its storage is not mounted, all mail is refused for now"
    yield from _providers(status)
    yield "queue", _queue(status)
    counts = status.get("counts", {})
    words = [f"{counts[name]} {word}" for name, word in _COUNTS.items() if name in counts]
    words += [count(counts["connections"], "connection")] if "connections" in counts else []
    yield "counted", f"{', '.join(words)}; since {_ago(status.get('counted_since', started))}"
    success, failure = status.get("last_success"), status.get("last_failure")
    if success:
        yield "last success", f"{_ago(success.get('time'))}: {success.get('id')} to {success.get('smarthost')}"
    troubles = status.get("troubles", [])
    for trouble in troubles:
        yield from _trouble(trouble)
    if failure and not any(trouble["answer"] == failure.get("answer") for trouble in troubles):
        yield from _failure(failure)
    for refusal in status.get("refusals", [])[:_REFUSALS]:
        yield from _refusal(refusal)
    if not status.get("clock_trusted", True):
        text = "not confirmed by a time server or a clock chip; until it is, mail ages only while the machine is on"
        yield "clock", text
    for warning in status.get("warnings", []):
        if warning.get("code") in HINDRANCES:
            continue  # stands above
        yield "warning", str(warning["text"]).replace(": warning: ", ": ", 1)


def _settings(told: Service) -> Iterator[tuple[str, str]]:
    """Say since when the settings are not in force, and why."""
    settings = told.get("settings")
    if settings not in ("refused", "missing"):
        return
    goes_on = "; the relay goes on with the ones before, also after a reboot" if told.get("running_old") else ""
    yield "settings", f"{settings} since {_ago(told.get('since'))}{goes_on}"
    for fault in service.faults(told):
        yield "", fault


def _providers(status: StatusFacts) -> Iterator[tuple[str, str]]:
    yield "providers", ", ".join(status.get("smarthosts", [])) or "none is set, all mail is refused for now"
    for provider in status.get("providers", []):
        if provider["state"] in _STATES:
            yield "", f"{provider['smarthost']} {_STATES[provider['state']]} since {_ago(provider['since'])}"
    until = status.get("next_try")
    if until and until > clock.wall():
        yield "", f"not to be tried for another {duration(until - clock.wall())}"


def _queue(status: StatusFacts) -> str:
    text = f"{count(status.get('queue', 0), 'message')} waiting"
    oldest = status.get("oldest")
    if oldest is not None:
        text += f" (the oldest for {duration(clock.wall() - oldest)})"
    if status.get("deferred"):
        text += f", {status['deferred']} of them after a failed attempt"
    text += f", {status.get('hold', 0)} held, {status.get('failed', 0)} failed"
    return text + ("; sending now" if status.get("delivering") else "")


def _failure(failure: Failure) -> Iterator[tuple[str, str]]:
    where = ", ".join(filter(None, (failure.get("id"), failure.get("smarthost")))) or "the relay"
    stage = failure.get("stage")
    at_stage = f" ({stage})" if stage else ""
    yield "last failure", f"{_ago(failure.get('time'))}: {where}{at_stage}: {failure.get('answer', '')}"
    if failure.get("advice"):
        yield "", failure["advice"]


def _trouble(trouble: Trouble) -> Iterator[tuple[str, str]]:
    where = f" at {trouble['smarthost']}" if trouble["smarthost"] else ""
    whose = f" for mail from {trouble['sender']}" if trouble["sender"] else ""
    yield "trouble", f"since {_ago(trouble['since'])}: {trouble['cause']}{where}{whose}: {trouble['answer']}"
    if trouble["advice"]:
        yield "", trouble["advice"]


def _refusal(refusal: Refusal) -> Iterator[tuple[str, str]]:
    times = count(refusal["count"], "time")
    yield "refused", f"{refusal['client']}, {times}, last {_ago(refusal['last'])}: {refusal['reply']}"
    if refusal["advice"]:
        yield "", refusal["advice"]


def _ago(time: float | None) -> str:
    return "once" if time is None else f"{moment(time)}, {duration(clock.wall() - time)} ago"
