"""Loops that count end where turning them ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xlac
from xlac.ir.counting import counted_end

TEXT = """
HloModule counting
body {{
  i = {type}[] parameter(0)
  c = {type}[] constant({step})
  ROOT next = {type}[] {change}
}}
condition {{
  i = {type}[] parameter(0)
  c = {type}[] constant({limit})
  ROOT test = pred[] compare({test}), direction={direction}
}}
ENTRY main {{
  first = {type}[] {first}
  ROOT end = {type}[] while(first), condition=condition, body=body
}}
"""


def turned(first, step, direction, limit, type, most=300):
    """The end by turning, or None where it does not end."""
    dtype = np.dtype({"s8": np.int8, "u8": np.uint8}[type])
    passes = {"LT": np.less, "LE": np.less_equal, "GT": np.greater, "GE": np.greater_equal}
    passes |= {"EQ": np.equal, "NE": np.not_equal}
    i = first
    for _ in range(most):
        if not passes[direction](i, limit):
            return i
        i = int(np.array((i + step) % 256, np.uint8).astype(dtype))
    return None


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_the_end_is_that_of_turning(data):
    type = data.draw(st.sampled_from(["s8", "u8"]))
    low = -128 if type == "s8" else 0
    numbers = st.integers(low, low + 255)
    first, limit, step = data.draw(numbers), data.draw(numbers), data.draw(numbers)
    direction = data.draw(st.sampled_from(["LT", "LE", "GT", "GE", "EQ", "NE"]))
    less = data.draw(st.booleans())
    change = "subtract(i, c)" if less else data.draw(st.sampled_from(["add(i, c)", "add(c, i)"]))
    text = TEXT.format(
        type=type, first="parameter(0)", step=step, change=change, limit=limit, test="i, c", direction=direction
    )
    loop = xlac.parse_hlo(text).entry.root
    end = counted_end(loop["condition"], loop["body"], first)
    expected = turned(first, -step if less else step, direction, limit, type)
    assert end is None or end == expected
    if abs(step) <= 1 and expected is not None:
        assert end == expected


@pytest.mark.parametrize("evaluate", [False, True])
@pytest.mark.parametrize(
    "first, change, limit, test, direction, expected",
    [
        (42, "add(i, c)", 100, "i, c", "LT", 2**31 - 1),  # down, until it wraps around
        (42, "subtract(i, c)", 100, "i, c", "LT", 100),
        (42, "subtract(i, c)", 100, "c, i", "GT", 100),
        (500, "add(i, c)", 100, "i, c", "LT", 500),
        (7, "subtract(i, c)", -(2**31), "i, c", "NE", -(2**31)),
    ],
)
def test_long_counts_take_no_time(first, change, limit, test, direction, expected, evaluate):
    text = TEXT.format(
        type="s32",
        first=f"constant({first})",
        step=-1,
        change=change,
        limit=limit,
        test=test,
        direction=direction,
    )
    module = xlac.parse_hlo(text)
    result = xlac.evaluate(module) if evaluate else xlac.compile(module)()
    assert result == expected
    assert result.dtype == np.int32
