"""The smarthosts' rates, as couriers that run side by side use them up together. Called by the courier."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.config.settings import Smarthost
    from mailrelay.core.ledger import Ledger
    from mailrelay.courier.routing import Routes


class SharedRates:
    """Brings what other couriers have sent into `routes`."""

    def __init__(self, ledger: Ledger, routes: Routes, smarthosts: list[Smarthost]) -> None:
        self._ledger = ledger
        self._routes = routes
        self._limited = [smarthost for smarthost in smarthosts if smarthost.rate_minute or smarthost.rate_day]

    def learn(self) -> None:
        """Learn what has gone to the smarthosts by now."""
        if self._limited:
            with self._ledger as lines:
                self._learn(lines)

    def _learn(self, lines: dict[str, list[str]]) -> None:
        for smarthost in self._limited:
            words = lines.get(f"rate {smarthost.name}")
            if words:
                self._routes.learn_rates(smarthost, words)

    def take(self, smarthost: Smarthost, now: float) -> bool:
        """Count one more message that goes to it. Return false, and count none, if it may not have one now."""
        if smarthost not in self._limited:
            return self._routes.available_at(smarthost) <= now
        with self._ledger as lines:
            self._learn(lines)
            if self._routes.available_at(smarthost) > now:
                return False
            self._routes.count_message(smarthost, now)
            lines[f"rate {smarthost.name}"] = self._routes.rates(smarthost)
        return True
