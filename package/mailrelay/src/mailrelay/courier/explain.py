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

    Rule = tuple[dict[str, list[str]], str, str, str]  # conditions, verdict, the advice's id and text

RECIPIENT, MESSAGE, SENDER, SETTING, PASSING = VERDICTS = ("recipient", "message", "sender", "setting", "passing")

_rules: list[Rule] = []


class Advice(str):
    """What to do, in English; for translations its id in the table and what is filled in there.

    {text} is not among the values: it is the answer, which stands beside an advice wherever one is shown.
    """

    code: str
    values: dict[str, str]

    def __new__(cls, text: str = "", code: str = "", values: dict[str, str] | None = None) -> Advice:
        made = super().__new__(cls, text)
        made.code = code
        made.values = values or {}
        return made

    def words(self) -> list[str]:
        """Return it as core.ipc's table has it."""
        return [str(self), self.code, *[f"{name}={value}" for name, value in self.values.items()]]


def explain(failure: Failure, smarthost: Smarthost) -> tuple[str, Advice]:
    """Return verdict and hint for a smarthost that could not be used."""
    facts = {
        "stage": failure.stage,
        "cause": failure.cause,
        "code": str(failure.code or ""),
        "enhanced": failure.enhanced,
        "text": failure.text,
    }
    return _explain(facts, smarthost, {**failure.detail, "text": failure.answer})


def explain_reply(reply: Reply, stage: str, smarthost: Smarthost) -> tuple[str, Advice]:
    """Return verdict and hint for a message or a recipient that was refused or deferred at an Outcome's stage."""
    facts = {"stage": stage, "cause": "", "code": str(reply.code), "enhanced": reply.enhanced, "text": reply.text}
    return _explain(facts, smarthost, {"text": str(reply)})


def rules() -> list[Rule]:
    """Return the table, read when first needed."""
    if not _rules:
        from mailrelay.courier.advice import TABLE

        texts: dict[str, str] = {}
        paragraphs = (paragraph for paragraph in TABLE.split("\n\n") if paragraph.lstrip()[:1] not in ("", "#"))
        _rules.extend(_read(paragraph, texts) for paragraph in paragraphs)
    return _rules


def _read(paragraph: str, texts: dict[str, str]) -> Rule:
    lines = paragraph.strip("\n").split("\n")
    head, _, result = " ".join(line for line in lines if line[:1] != " ").rpartition(" -> ")
    verdict, code = result.split()
    text = texts.setdefault(code, " ".join(line.strip() for line in lines if line[:1] == " "))
    conditions = {}
    for condition in head.split(";"):
        name, _, values = condition.strip().partition(" ")
        conditions[name] = [value.strip() for value in values.split("|")] if name == "text" else values.split()
    conditions.pop("any", None)
    return conditions, verdict, code, text


def _explain(facts: dict[str, str], smarthost: Smarthost, detail: dict[str, str]) -> tuple[str, Advice]:
    """Match the facts. detail: what the hint may tell besides or instead, such as a text with its code."""
    facts["host"] = smarthost.host.lower().rstrip(".")
    facts["port"] = str(smarthost.port)
    facts["tls"] = smarthost.tls
    facts["auth"] = smarthost.auth
    for conditions, verdict, code, text in rules():
        if all(_holds(name, values, facts[name]) for name, values in conditions.items()):
            return verdict, _fill(code, text, {**facts, **detail})
    return PASSING, Advice()


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


def _fill(code: str, text: str, facts: dict[str, str]) -> Advice:
    """Put facts into {braces}; not by str.format, since they come from elsewhere and may hold braces themselves."""
    parts = text.split("{")
    values = {}
    for i, part in enumerate(parts[1:], 1):
        name, _, rest = part.partition("}")
        values[name] = facts.get(name, "(unknown)")
        parts[i] = values[name] + rest
    values.pop("text", None)
    return Advice("".join(parts), code, values)
