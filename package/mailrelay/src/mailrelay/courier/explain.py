"""What to change so that a failure does not come again: for the status page, the log, notices and the `test` command.

Finds the words in advice.py. Decides nothing: the courier goes by causes and reply codes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.config.settings import Smarthost
    from mailrelay.courier.failure import Failure
    from mailrelay.smtp.reply import Reply

    Rule = tuple[dict[str, list[str]], str]  # conditions, hint

_rules: list[Rule] = []


def explain(failure: Failure, smarthost: Smarthost) -> str:
    """Return the hint for a smarthost that could not be used."""
    facts = {
        "stage": failure.stage,
        "cause": failure.cause,
        "code": str(failure.code or ""),
        "enhanced": failure.enhanced,
        "text": failure.text,
    }
    return _explain(facts, smarthost, failure.detail)


def explain_reply(reply: Reply, stage: str, smarthost: Smarthost) -> str:
    """Return the hint for a message or a recipient that was refused or deferred at an Outcome's stage."""
    facts = {"stage": stage, "cause": "", "code": str(reply.code), "enhanced": reply.enhanced, "text": reply.text}
    return _explain(facts, smarthost, {})


def rules() -> list[Rule]:
    """Return the table of hints, read when first needed."""
    if not _rules:
        from mailrelay.courier.advice import TABLE

        _rules.extend(_read(paragraph) for paragraph in TABLE.split("\n\n") if paragraph.lstrip()[:1] not in ("", "#"))
    return _rules


def _read(paragraph: str) -> Rule:
    lines = paragraph.strip("\n").split("\n")
    conditions = {}
    for condition in " ".join(line for line in lines if line[:1] != " ").split(";"):
        name, _, values = condition.strip().partition(" ")
        conditions[name] = [value.strip() for value in values.split("|")] if name == "text" else values.split()
    conditions.pop("any", None)
    return conditions, " ".join(line.strip() for line in lines if line[:1] == " ")


def _explain(facts: dict[str, str], smarthost: Smarthost, detail: dict[str, str]) -> str:
    facts["host"] = smarthost.host.lower().rstrip(".")
    facts["port"] = str(smarthost.port)
    facts["tls"] = smarthost.tls
    for conditions, hint in rules():
        if all(_holds(name, values, facts[name]) for name, values in conditions.items()):
            return _fill(hint, {**facts, **detail})
    return ""


def _holds(name: str, alternatives: list[str], fact: str) -> bool:
    if name == "text":
        return any(alternative in fact.lower() for alternative in alternatives)
    if name == "code":
        return fact.startswith(tuple(alternatives))
    for alternative in alternatives:
        if fact == alternative or (alternative[-1] == "*" and fact.startswith(alternative[:-1])):
            return True
        if name == "host" and fact.endswith("." + alternative):
            return True
    return False


def _fill(hint: str, facts: dict[str, str]) -> str:
    """Put facts into {braces}; not by str.format, since they come from elsewhere and may hold braces themselves."""
    parts = hint.split("{")
    for i, part in enumerate(parts[1:], 1):
        name, _, rest = part.partition("}")
        parts[i] = facts.get(name, "(unknown)") + rest
    return "".join(parts)
