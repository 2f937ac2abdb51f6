"""The loop IR between HLO and LLVM: what it is, how HLO becomes it, how it is scheduled, planned and printed."""
