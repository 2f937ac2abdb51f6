"""Which opcodes have which rules: a new opcode is put into a table, or into the list of those without."""

from xlac.frontend import batching_rules, jvp_rules, vjp_rules
from xlac.ir.opcode import OPCODES

# Results that are no floats, or effects that no front-end function records.
DISCRETE = {
    "not", "popcnt", "count-leading-zeros", "is-finite", "and", "or", "xor", "shift-left", "shift-right-arithmetic",
    "shift-right-logical", "mulhi", "compare", "iota", "constant", "get-dimension-size", "rng-bit-generator",
    "stochastic-convert",
}  # fmt: skip
DEVICES = {
    "all-reduce", "all-reduce-start", "all-reduce-done", "all-gather", "all-gather-start", "all-gather-done",
    "reduce-scatter", "all-to-all", "ragged-all-to-all", "collective-broadcast", "collective-permute",
    "collective-permute-start", "collective-permute-done", "partition-id", "replica-id", "send", "send-done", "recv",
    "recv-done", "infeed", "outfeed", "async-start", "async-update", "async-done", "copy-start", "copy-done", "domain",
    "after-all", "rng-get-and-update-state",
}  # fmt: skip
# Handled where tables are read: parameters are where a walk begins.
STRUCTURE = {"parameter", "fusion"}
DYNAMIC_SHAPES = {"set-dimension-size", "dynamic-reshape"}

WITHOUT_FORWARD = DISCRETE | DEVICES | STRUCTURE | DYNAMIC_SHAPES | {"custom-call", "scan"}
WITHOUT_REVERSE = WITHOUT_FORWARD
WITHOUT_BATCHING = (
    DEVICES | STRUCTURE | DYNAMIC_SHAPES | {"iota", "constant", "tuple", "get-tuple-element"}
)  # the last two in `batching.batch_one`, the two before never have a batched operand


def missing(table):
    return set(OPCODES) - set(table)


def test_every_differentiable_opcode_has_a_forward_rule():
    assert missing(jvp_rules.RULES) == WITHOUT_FORWARD


def test_every_differentiable_opcode_has_a_reverse_rule():
    assert missing(vjp_rules.RULES) == WITHOUT_REVERSE


def test_every_opcode_on_arrays_has_a_batching_rule():
    assert missing(batching_rules.RULES) == WITHOUT_BATCHING


def test_tables_hold_opcodes_only():
    for table in (jvp_rules.RULES, vjp_rules.RULES, batching_rules.RULES):
        assert set(table) <= set(OPCODES)
