"""Whose fault a failure is, and what to change so that it does not come again: read from the table in advice.py.

For the courier, which acts on the verdict, and for the status page, the log, notices and the `test` command, which show
the hint.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.config.settings import Smarthost
    from mailrelay.courier.failure import Failure
    from mailrelay.smtp.reply import Reply

    Rule = tuple[dict[str, list[str]], str, str]  # conditions, verdict, hint

RECIPIENT, MESSAGE, SENDER, SETTING, PASSING = VERDICTS = ("recipient", "message", "sender", "setting", "passing")

_rules: list[Rule] = []


def explain(failure: Failure, smarthost: Smarthost) -> tuple[str, str]:
    """Return verdict and hint for a smarthost that could not be used."""
    facts = {
        "stage": failure.stage,
        "cause": failure.cause,
        "code": str(failure.code or ""),
        "enhanced": failure.enhanced,
        "text": failure.text,
    }
    return _explain(facts, smarthost, failure.detail)


def explain_reply(reply: Reply, stage: str, smarthost: Smarthost) -> tuple[str, str]:
    """Return verdict and hint for a message or a recipient that was refused or deferred at an Outcome's stage."""
    facts = {"stage": stage, "cause": "", "code": str(reply.code), "enhanced": reply.enhanced, "text": reply.text}
    return _explain(facts, smarthost, {})


def rules() -> list[Rule]:
    """Return the table, read when first needed."""
    if not _rules:
        from mailrelay.courier.advice import TABLE

        _rules.extend(_read(paragraph) for paragraph in TABLE.split("\n\n") if paragraph.lstrip()[:1] not in ("", "#"))
    return _rules


def _read(paragraph: str) -> Rule:
    lines = paragraph.strip("\n").split("\n")
    head, _, verdict = " ".join(line for line in lines if line[:1] != " ").rpartition(" -> ")
    conditions = {}
    for condition in head.split(";"):
        name, _, values = condition.strip().partition(" ")
        conditions[name] = [value.strip() for value in values.split("|")] if name == "text" else values.split()
    conditions.pop("any", None)
    return conditions, verdict, " ".join(line.strip() for line in lines if line[:1] == " ")


def _explain(facts: dict[str, str], smarthost: Smarthost, detail: dict[str, str]) -> tuple[str, str]:
    facts["host"] = smarthost.host.lower().rstrip(".")
    facts["port"] = str(smarthost.port)
    facts["tls"] = smarthost.tls
    facts["auth"] = smarthost.auth
    for conditions, verdict, hint in rules():
        if all(_holds(name, values, facts[name]) for name, values in conditions.items()):
            return verdict, _fill(hint, {**facts, **detail})
    return PASSING, ""


def _holds(name: str, alternatives: list[str], fact: str) -> bool:
    if name == "text":
        text = fact.lower()
        return any(_begins_a_word(alternative, text) for alternative in alternatives)
    if name == "code":
        return fact.startswith(tuple(alternatives))
    for alternative in alternatives:
        if fact == alternative or (alternative[-1] == "*" and fact.startswith(alternative[:-1])):
            return True
        if name == "host" and fact.endswith("." + alternative):
            return True
    return False


def _begins_a_word(alternative: str, text: str) -> bool:
    at = text.find(alternative)
    while at > 0 and text[at - 1].isalnum():
        at = text.find(alternative, at + 1)
    return at >= 0


def _fill(hint: str, facts: dict[str, str]) -> str:
    """Put facts into {braces}; not by str.format, since they come from elsewhere and may hold braces themselves."""
    parts = hint.split("{")
    for i, part in enumerate(parts[1:], 1):
        name, _, rest = part.partition("}")
        parts[i] = facts.get(name, "(unknown)") + rest
    return "".join(parts)
