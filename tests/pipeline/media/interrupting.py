"""Ctrl-C at many moments of work that FFmpeg does."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

from tests.commands import PATIENCE, ROOT, environment


def interrupt_again_and_again(code: str, *arguments: object, times: int) -> None:
    """Run Python ``code``, which prints "begun" and then works until it is interrupted, ``times`` times; then it ends.

    Every Ctrl-C comes at another moment. None may be lost, or dropped with a message.
    """
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        hang = threading.Timer(PATIENCE, process.kill)
        hang.start()
        try:
            assert process.stdout is not None
            for number, line in enumerate(process.stdout):
                assert line == "begun\n"
                time.sleep(0.003 * number)
                process.send_signal(signal.SIGINT)
            _, told = process.communicate()
        finally:
            hang.cancel()
    # FFmpeg may say that a packet ends early.
    assert (number, process.returncode) == (times - 1, 0), told
    assert "Exception" not in told
