"""A search's words of progress as a tqdm bar and as a log."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger("retort")


class Bar:
    """One bar over the time of the whole search. Without tqdm it shows nothing."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._bar: Any = None
        try:
            from tqdm.auto import tqdm
        except ImportError:
            return
        self._bar = tqdm(
            total=1, desc="teacher", bar_format="{desc}: {percentage:3.0f}%|{bar}| {postfix}", mininterval=0
        )

    def __call__(self, status: dict[str, Any]) -> None:
        if self._bar is None:
            return
        elapsed = time.monotonic() - self._begun
        left = status["seconds_left"]
        task = status["tasks"][-1] if status["tasks"] else None
        words = []
        if left is not None:
            self._bar.total, self._bar.n = elapsed + max(left, 0), elapsed
            words.append(f"{_duration(max(left, 0))} left")
        elif task is not None and task["total"] > 0:
            self._bar.total, self._bar.n = task["total"], task["done"]
        if status["best"]:
            best = status["best"]
            words.append(f"best {best['accuracy_int8']:.2%}, {best['flash_bytes'] / 1024:.1f} KB of flash")
        words.append(f"{status['complete']} trials")
        if status["images_per_second"] > 0:
            words.append(f"{status['images_per_second']:,.0f} images/s")
        figures = dict(status["phases"]).get(status["phase"], "")
        self._bar.set_description_str(f"{status['phase']} {figures}".strip(), refresh=False)
        self._bar.set_postfix_str(", ".join(words), refresh=False)
        self._bar.refresh()

    def close(self, finished: bool) -> None:
        if self._bar is None:
            return
        if finished:
            self._bar.n = self._bar.total
            self._bar.refresh()
        self._bar.close()


class Listener:
    """What the search calls: messages go to logging, the rest to `show`."""

    def __init__(self, show: Callable[[dict[str, Any]], None] | None) -> None:
        self._show = show

    def __call__(self, text: str, last: bool) -> None:
        status = json.loads(text)
        for message in status.pop("messages"):
            log.info("%s", message)
        if self._show is not None:
            self._show(status)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {seconds:02}s" if minutes else f"{seconds}s"
