"""The roles that the supervisor forks: what each gets, what it loads while it still may, how it gives up its rights.

Each function runs in a child of its own and returns when that is to end.
"""

from __future__ import annotations

import os

from mailrelay.core import counters, ipc, log, paths
from mailrelay.core.net import Net
from mailrelay.daemon import days, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.config.settings import Plan
    from mailrelay.daemon.dispatcher import Dispatcher, Orders, Post
    from mailrelay.listener.sockets import ListenSockets
    from mailrelay.spool.spool import Spool


def listen(
    plan: Plan, sockets: ListenSockets, where: Spool, counts: memoryview, pipes: tuple[int, int, int], ready: int
) -> None:
    """Serve the LAN. pipes: those that take the ids of new mail and refusals, and the lifeline; ready: Listeners'."""
    from mailrelay.listener import listener

    if any(client.password for client in plan.settings.clients):
        import binascii  # noqa: F401

    processes.drop_rights(plan.owner)
    allow = [Net.parse(net) for net in plan.allow]
    serving = listener.Listener(plan.settings, allow, list(sockets.open.values()), where, counts, pipes)
    os.write(ready, b"%d\n" % os.getpid())
    serving.run()


def deliver(
    plan: Plan, where: Spool, counts: memoryview, dispatcher: Dispatcher, post: Post, orders: Orders, lifeline: int
) -> None:
    """Deliver what is due."""
    from mailrelay.courier import courier, smarthost

    path = f"{plan.run_dir}/{paths.ACCEPTED_CONFIG}"
    settings = processes.Scarcity().persist(lambda: processes.accepted_settings(path))
    smarthost.preload(settings.smarthosts)
    processes.drop_rights(plan.owner)

    def with_state(state: dict[str, list[str]]) -> courier.Courier:
        return courier.Courier(
            settings,
            where,
            counters.of_second(counts) if orders.state else counts,
            dispatcher.wake_r,
            post.report_w,
            state,
            dispatcher.ledger,
            flush=orders.flush,
            busy=orders.busy,
            state=orders.state,
        )

    try:
        deliverer = with_state(dispatcher.carried_state)
    except (ValueError, IndexError) as error:  # mail goes, whatever earlier ones have left
        log.event("bad-state", log.ERROR, reason=error)
        deliverer = with_state({})
    courier.run(deliverer, lifeline, scan=orders.scan)


def tell_missing(plan: Plan, where: Spool, dispatcher: Dispatcher, text: str) -> None:
    """Tell the owner that the spool's storage is missing: without it there is no courier that would."""
    from mailrelay.courier import notify

    def report(*words: str) -> None:
        os.write(dispatcher.first.report_w, ipc.encode_report(*words))

    processes.drop_rights(plan.owner)
    notify.Notices(plan.settings, where, dispatcher.carried_state, report).disk(text)


def keep_days(plan: Plan, where: Spool, text: bytes) -> None:
    """Write the days' file with the rights of the spool's owner."""
    processes.drop_rights(plan.owner)
    days.write(where.root, text)
