"""What the options of a config mean to each other, to this machine and to the world outside.

`schema` calls `run` once it has read every value. A fault is text that cannot be meant; what depends on the state of
the machine (a file, a mount) or is only unwise is a warning, so that it never keeps the relay from starting. Facts of
the machine are asked of the Machine that is passed in.
"""

from __future__ import annotations

from mailrelay.config import addresses, smarthost_rules
from mailrelay.config.findings import Part
from mailrelay.config.invalid import InvalidValue, Setting, nearest
from mailrelay.config.machine import Machine
from mailrelay.config.option_types import show_duration, show_size
from mailrelay.core.net import Net, is_private


def run(parts: list[Part], machine: Machine) -> None:
    """Check all sections together, and fill in the defaults that depend on other values."""
    main = next(part for part in parts if part.type == "mailrelay")
    if main["hostname"] == "":
        main.values["hostname"] = machine.hostname()
    elif main["hostname"] and "." not in main["hostname"]:
        problem = f"'{main['hostname']}' has no dot: providers are greeted by the connection's own address instead"
        main.warn(
            "dotless-hostname",
            "hostname",
            problem,
            "write a full name like 'router.example.org'",
            value=main["hostname"],
        )
    smarthosts = [part for part in parts if part.type == "smarthost"]
    used = sorted((part for part in smarthosts if part["enabled"]), key=lambda part: part["priority"] or 0)
    if main["postmaster"] == "":
        main.values["postmaster"] = _owner(main, used)
    _main(main, machine)
    for part in smarthosts:
        if part["port"] == "":
            part.values["port"] = smarthost_rules.PORTS.get(part["tls"])
        smarthost_rules.check(part, main, machine)
    _between(used, main)
    if not used and all(part["enabled"] is not None for part in smarthosts):
        problem = "has no provider set, so that all mail is refused for now"
        main.warn("no-smarthost", "", problem, "add a section ", Setting("smarthost", word="config"))
    if used and all(part["sender"] for part in used):
        problem = "leaves mail from other senders without a provider"
        used[-1].warn("no-smarthost-for-others", "sender", problem, "leave it out in one smarthost")
    if used and main["postmaster"] == "" and main["notify"] == "":
        problem = "is not set, and no login name is a mail address: nobody is told of mail that cannot be delivered"
        main.warn("nobody-told", "postmaster", problem, "write ", Setting("postmaster", "you@example.org"))
    _clients([part for part in parts if part.type == "client"], main)


def _owner(main: Part, used: list[Part]) -> str:
    """Return whom to tell where nobody is named: the address of the first provider's account, "" if it is not known."""
    first = [used[0]["username"], used[0]["from"]] if used else []
    return next(filter(None, map(_address, [*first, main["sender"]])), "")


def _address(text: str | None) -> str:
    """Return the text if it is an address that a provider could deliver to, else ""."""
    try:
        read = addresses.address(text or "")
    except InvalidValue:
        return ""
    return read if "." in read.rpartition("@")[2] else ""


def _domain(text: str | None) -> str:
    return _address(text).rpartition("@")[2]


def _main(main: Part, machine: Machine) -> None:
    if main["network"] == [] and main["allow"] == []:
        problem = "is not set, so that only this machine itself can send"
        main.warn("no-network", "network", problem, "name the network: ", Setting("network", "lan", "list"))
    _networks(main, machine)
    for index, text in enumerate(main["allow"] or ()):
        if not is_private(Net.parse(text)):
            problem = f"'{text}' lets addresses of the internet send through this relay"
            hint = "list only networks of your own, or see that a firewall keeps everyone else out"
            main.warn("public-network", "allow", problem, hint, index=index, value=text)
    for option in ("sender", "postmaster", "recipient"):
        smarthost_rules.dotless(main, option)
    _aliases(main)
    if main["spool"] and machine.forgets(main["spool"]):
        problem = f"'{main['spool']}' is in memory: a power cut loses the mail that waits there"
        main.warn(
            "spool-in-memory", "spool", problem, "name a folder on flash, a disk or a USB stick", value=main["spool"]
        )
    if main["notify"] and machine.cannot_run(main["notify"]):
        if machine.lacks(main["notify"]):
            problem, hint = "does not exist", "write the program, or another path"
        else:
            problem, hint = "cannot be run", f"run chmod +x {main['notify']}"
        main.warn("no-program", "notify", f"'{main['notify']}' {problem}", hint, value=main["notify"])
    least, most = main["retry_min"], main["retry_max"]
    if least is not None and most is not None and least > most:
        hint = f"write at least '{show_duration(least)}', or a shorter retry_min"
        problem = f"'{show_duration(most)}' is shorter than retry_min"
        main.fault("retry-order", "retry_max", problem, hint, value=show_duration(most), least=show_duration(least))
    message, queue = main["max_message_size"], main["max_queue_size"]
    if message and queue and message > queue:
        hint = "a mail of that size can never be taken; make one of them fit"
        problem = f"'{show_size(queue)}' is smaller than max_message_size"
        main.warn("queue-too-small", "max_queue_size", problem, hint, value=show_size(queue))


def _networks(main: Part, machine: Machine) -> None:
    """Check names: one that does not exist now may appear later (a USB modem), so that this is no fault."""
    known = machine.networks()
    for index, name in enumerate(main["network"] or ()):
        if name in machine.exposed:
            problem = f"'{name}' is in the firewall zone '{machine.exposed[name]}', which faces the internet, and "
            hint = f"remove '{name}' from the list"
            problem += "anyone there could send"
            main.fault("exposed-network", "network", problem, hint, index=index, value=name, zone=machine.exposed[name])
        elif known and name not in known:
            near = nearest(name, known)
            hint = f"did you mean '{near}'?" if near else f"this machine has {', '.join(sorted(known))}"
            problem, names = f"'{name}' does not exist on this machine", ", ".join(sorted(known))
            main.warn("unknown-network", "network", problem, hint, index=index, value=name, known=names)


def _aliases(main: Part) -> None:
    targets: dict[str, list[str]] = {}
    for index, text in enumerate(main["alias"] or ()):
        name, _, right = text.partition("=")
        if name.lower() in targets:
            line = Setting("alias", f"{name}=FIRST,SECOND", "list")
            main.fault(
                "alias-twice", "alias", f"'{name}' is set twice", "write one line: ", line, index=index, value=name
            )
        targets[name.lower()] = right.split(",")
    for index, text in enumerate(main["alias"] or ()):
        name, _, right = text.partition("=")
        for target in right.split(","):
            if "@" not in target and target.lower() not in targets:
                problem = f"'{target}' is neither an address nor another alias"
                line = Setting("alias", f"{name}={target}@example.org", "list")
                main.fault("alias-nowhere", "alias", problem, "write an address: ", line, index=index, value=target)
        seen: set[str] = set()
        reached = {name.lower()}
        while reached - seen:
            seen |= reached
            reached = {_alias_of(target, targets) for known in reached for target in targets.get(known, ())}
            if name.lower() in reached:
                problem, hint = f"'{name}' comes back to itself", "write where its mail goes in the end"
                main.fault("alias-loop", "alias", problem, hint, index=index, value=name)
                break


def _alias_of(target: str, targets: dict[str, list[str]]) -> str:
    """Return the name of the alias that a target is sent by next: its own, its domain's, or one that there is not."""
    name = target.lower()
    domain = name[name.rfind("@") :]
    return domain if "@" in name and name not in targets and domain in targets else name


def _between(used: list[Part], main: Part) -> None:
    """Warn of what a provider is set to and has no effect, or the wrong one, beside the others."""
    sender = _domain(main["sender"])
    is_an_accounts = sender != "" and any(_domain(part["username"]) == sender for part in used)
    for part in used:
        if part["overflow"] and (part["rate"] == (0, 0) or len(used) == 1):
            lacks = "option rate" if part["rate"] == (0, 0) else "another provider"
            part.warn("no-effect", "overflow", f"has no effect without {lacks}", "leave the option out")
        account = _address(part["username"])
        if is_an_accounts and account and _domain(account) != sender and part["from"] == "":
            problem = f"is not set: mail through it comes from '{main['sender']}', which it may refuse"
            line = Setting("from", account)
            part.warn("sender-of-another", "from", problem, "write ", line, sender=main["sender"], account=account)


def _clients(clients: list[Part], main: Part) -> None:
    seen: dict[Net, str] = {}
    for part in clients:
        smarthost_rules.credentials(part, "")
        if main["login"] == "none" and part["accept_any_login"]:
            problem = "has no effect, as option login of section 'main' is 'none'"
            part.warn("no-effect", "accept_any_login", problem, "write ", Setting("login", "listed"), " there")
        if part["accept_any_login"] and part["username"]:
            problem = "leaves the username without a meaning"
            part.fault("two-logins", "accept_any_login", problem, "set one of the two")
        address = part["address"]
        if address == "":
            line = Setting("address", "192.168.1.10")
            part.fault("missing", "address", "is missing", "write the machine's address, ", line)
        if not address:
            continue
        net = Net.parse(address)
        if part["redirect"] and net.length < net.bits:
            hint = "write the one machine's address, as all others in the network would be redirected too"
            problem = f"is for one machine, and '{address}' is a network"
            part.fault("redirected-network", "redirect", problem, hint, address=address)
        if net in seen:
            problem = f"'{address}' is in section '{seen[net]}' already"
            part.fault("address-twice", "address", problem, "put them into one section", value=address)
        seen[net] = part.title
        if not _may_send(net, main):
            add = "add ", Setting("allow", address, "list"), " to section 'main'"
            part.warn("not-allowed", "address", f"'{address}' is not allowed to send at all", *add, value=address)


def _may_send(net: Net, main: Part) -> bool:
    """Tell whether machines of the network may send; networks that are named are not looked into."""
    if main["network"] != [] or main["allow"] is None:
        return True
    return any(known.covers(net) or net.covers(known) for known in map(Net.parse, main["allow"]))
