"""The HLO-like intermediate representation: shapes, opcode rows, modules, verifier, reference evaluator."""
