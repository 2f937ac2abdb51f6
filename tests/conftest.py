"""Settings of every test: modules are verified after each pass; the user's cache of compiled objects is not touched."""

import importlib.util
import os
import signal

import pytest

# Set before xlac is imported, and inherited by the processes that tests start.
os.environ["XLAC_VERIFY"] = "1"
os.environ["XLAC_CACHE"] = "0"
for name in ("XLAC_DEBUG", "XLAC_DUMP_TO", "XLAC_EVALUATE", "XLAC_FUSION", "XLAC_TARGET", "XLAC_DEFAULT_FLOAT"):
    os.environ.pop(name, None)

# A shell's background job ignores interrupts, and so would the processes that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

try:
    from hypothesis import settings
except ImportError:
    pass
else:
    settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
    settings.load_profile("repeatable")


def pytest_collection_modifyitems(items):
    """Leave out comparisons with JAX where it is not installed."""
    if importlib.util.find_spec("jax") is None:
        skip = pytest.mark.skip(reason="jax is not installed")
        for item in items:
            if item.get_closest_marker("jax"):
                item.add_marker(skip)
