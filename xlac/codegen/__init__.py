"""From loop nests to native code: the only place that knows LLVM and the processor."""
