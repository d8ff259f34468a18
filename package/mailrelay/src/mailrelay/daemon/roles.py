"""The roles that the supervisor forks: what each gets, what it loads while it still may, how it gives up its rights.

Each function runs in a child of its own and returns when that is to end.
"""

from __future__ import annotations

from mailrelay.core import paths
from mailrelay.core.net import Net
from mailrelay.daemon import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.config.settings import Plan
    from mailrelay.daemon.dispatcher import Dispatcher
    from mailrelay.listener.sockets import ListenSockets
    from mailrelay.spool.spool import Spool


def listen(plan: Plan, sockets: ListenSockets, where: Spool, counts: memoryview, pipes: tuple[int, int, int]) -> None:
    """Serve the LAN. pipes: those that take the ids of new mail and refusals, and the lifeline."""
    from mailrelay.listener import listener

    processes.drop_rights(plan.owner)
    allow = [Net.parse(net) for net in plan.allow]
    listener.Listener(plan.settings, allow, list(sockets.open.values()), where, counts, pipes).run()


def deliver(
    plan: Plan,
    where: Spool,
    counts: memoryview,
    dispatcher: Dispatcher,
    lifeline: int,
    *,
    scan: bool,
    flush: bool,
) -> None:
    """Deliver what is due. scan: look through the whole queue first; flush: everything is due."""
    from mailrelay.courier import courier, smarthost

    path = f"{plan.run_dir}/{paths.ACCEPTED_CONFIG}"
    settings = processes.Scarcity().persist(lambda: processes.accepted_settings(path))
    smarthost.preload(settings.smarthosts)
    processes.drop_rights(plan.owner)
    pipes = (dispatcher.wake_r, dispatcher.report_w)
    state = dispatcher.carried_state
    deliverer = courier.Courier(settings, where, counts, *pipes, state, flush=flush)
    courier.run(deliverer, lifeline, scan=scan)
