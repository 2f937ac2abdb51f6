"""The command line: `xlac run | compile | opt | convert | diff | bisect | bench`, each on a program file or `-` for
standard input.

Exit status 0; 1 where a comparison failed; 2 for bad input, said on standard error as `file:line:column: message`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from xlac.errors import CompileError, OptionError, XlacError
from xlac.options import SETTINGS, Options

FAILED, BAD_INPUT, INTERNAL, INTERRUPTED, BROKEN_PIPE = 1, 2, 70, 130, 141
MAX_MESSAGE = 1500
EMIT = {"hlo": "optimized", "stablehlo": "stablehlo", "loops": "loops", "llvm": "llvm", "asm": "asm", "obj": "obj"}
SUFFIXES = {".hlo": "hlo", ".mlir": "stablehlo", ".loops": "loops", ".ll": "llvm", ".s": "asm", ".o": "obj"}
VARIANTS = ("fused", "unfused", "evaluate")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    try:
        arguments = command_line().parse_args(argv)
        status = arguments.command(arguments)
        sys.stdout.flush()
        return status
    except SystemExit as error:  # --help and errors of usage
        return error.code if isinstance(error.code, int) else BAD_INPUT
    except XlacError as error:
        return _complain(str(error), BAD_INPUT)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output is gone; what is still buffered must not be written when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except MemoryError as error:
        return _complain(f"not enough memory: {error}" if str(error) else "not enough memory", BAD_INPUT)
    except OSError as error:
        return _complain(f"{error.filename or 'output'}: {error.strerror or error}", BAD_INPUT)
    except Exception as error:
        if os.environ.get("XLAC_DEBUG", "0") not in ("", "0"):
            raise
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return _complain(f"internal error: {what}; XLAC_DEBUG=1 shows where", INTERNAL)


def _complain(message: str, status: int) -> int:
    if len(message) > MAX_MESSAGE:  # it quotes a name or a shape of the program's, which may be megabytes
        message = f"{message[: MAX_MESSAGE - 300]} ... {message[-295:]}"
    try:
        print(f"xlac: {message}" if status != BAD_INPUT else message, file=sys.stderr, flush=True)
    except OSError:
        pass
    return status


# ---- commands


def run(arguments: argparse.Namespace) -> int:
    """Run a program once and show its results."""
    from xlac import cli_files

    module = _program(arguments)
    if arguments.output is not None and not arguments.output.endswith((".npz", ".npy")):
        raise OptionError(f"--output {arguments.output}: results are written as .npz or .npy")
    inputs = cli_files.make_inputs(module, arguments.input, arguments.seed)
    if not arguments.input and inputs:
        _note(f"no --input given: all arguments are random (--seed {arguments.seed})")
    started = time.perf_counter()
    call = _evaluator(module) if arguments.evaluate else _compile(module, arguments).run
    compiled = time.perf_counter() - started
    started = time.perf_counter()
    results = call(inputs)
    first = time.perf_counter() - started
    for label, array in zip(cli_files.result_leaves(module), results):
        print(cli_files.summary(label, array))
    if arguments.output is not None:
        cli_files.write_arrays(arguments.output, results)
    if arguments.time:
        best = min([first, *_bursts([lambda: call(inputs)], seconds=1.0)[0]])
        print(f"compile {_seconds(compiled)}, first run {_seconds(first)}, best run {_seconds(best)}")
    if arguments.check:
        # Donated arguments may have been overwritten, so the arrays are made again.
        fresh = cli_files.make_inputs(module, arguments.input, arguments.seed)
        expected = _evaluator(module)(fresh)
        status = _compared(cli_files.result_leaves(module), results, expected, "the reference evaluator")
        if status:
            from xlac.tools.check import first_difference

            found = first_difference(
                module,
                cli_files.make_inputs(module, arguments.input, arguments.seed),
                compile=lambda changed: _compile(changed, arguments).run,
            )
            _complain(str(found) if found is not None else "no instruction by itself differs", FAILED)
        return status
    return 0


def compile_(arguments: argparse.Namespace) -> int:
    """Compile a program and write one stage of it."""
    from xlac import cli_files

    output = arguments.output
    stage = arguments.emit
    if stage is None:
        suffix = os.path.splitext(output or "")[1]
        if suffix and suffix not in SUFFIXES:
            known = ", ".join(f"{s} ({stage})" for s, stage in SUFFIXES.items())
            raise OptionError(f"-o {output}: the suffix {suffix} says no stage; use --emit, or one of {known}")
        stage = SUFFIXES.get(suffix, "hlo")
    if stage == "obj" and output is None and sys.stdout.isatty():
        raise OptionError("--emit obj writes a binary file: give its name by -o, or redirect standard output")
    executable = _compile(_program(arguments), arguments, evaluate=False)
    if stage == "obj":
        cli_files.write_output(output, executable.object_code)
    else:
        cli_files.write_output(output, _ended(executable.as_text(EMIT[stage])))
    return 0


def opt(arguments: argparse.Namespace) -> int:
    """Run passes over a program and write the result as HLO."""
    from xlac import cli_files
    from xlac.passes import pipeline

    if arguments.list_passes:
        for one in pipeline.PASSES.values():
            print(f"{one.name:16s} {one.meaning}")
        return 0
    if arguments.file is None:
        raise OptionError("xlac opt: FILE is missing; see xlac opt --help")
    options = _options(arguments)
    steps: list[Any] = pipeline.pipeline(options)
    if arguments.passes is not None:
        steps = [pipeline.find_pass(name) for name in _names(arguments.passes)]
    module = _program(arguments)

    def after(done: Any) -> None:
        print(f"// after {done.name}{'' if done.changed else ', nothing changed'}", file=sys.stderr)
        if done.changed:
            print(module.to_string(), file=sys.stderr)

    pipeline.run_passes(
        module, steps, verify=bool(options.verify), on_pass=after if arguments.print_after_all else None
    )
    cli_files.write_output(arguments.output, _ended(module.to_string()))
    return 0


def convert(arguments: argparse.Namespace) -> int:
    """Write a program in the other text form."""
    from xlac import cli_files
    from xlac.text import detect_format

    text = cli_files.read_text(arguments.file)
    language = arguments.format or detect_format(text)
    module = cli_files.parse_program(text, arguments.file, language, arguments.fill_constants)
    suffix = os.path.splitext(arguments.output or "")[1]
    to = arguments.to or {".hlo": "hlo", ".mlir": "stablehlo"}.get(suffix)
    cli_files.write_output(
        arguments.output, _ended(module.to_string(to or ("hlo" if language == "stablehlo" else "stablehlo")))
    )
    return 0


def diff(arguments: argparse.Namespace) -> int:
    """Tell whether two programs are the same but for names, order and layouts."""
    from xlac import cli_files
    from xlac.tools.diff import diff as compare

    left = _program(arguments)
    text = cli_files.read_text(arguments.other)
    right = cli_files.parse_program(text, arguments.other, arguments.format, arguments.fill_constants)
    found = compare(left, right)
    if found is not None:
        print(found)
        return FAILED
    _note("the programs are the same")
    return 0


def bisect(arguments: argparse.Namespace) -> int:
    """Shrink a program that fails to a small one that fails in the same way."""
    from xlac import cli_files
    from xlac.tools.bisect import shrink, size
    from xlac.tools.failure import Trial

    module = _program(arguments)
    options = ["--seed", str(arguments.seed)]
    options += [] if arguments.threads is None else ["--threads", str(arguments.threads)]
    options += [] if arguments.target is None else ["--target", arguments.target]
    options += ["--no-fusion"] if arguments.no_fusion else []
    trial = Trial(arguments.run, options, arguments.timeout)
    failure = trial.failure(module)
    if failure is None:
        _complain(f"{arguments.file}: it does not fail, so there is nothing to find", FAILED)
        return FAILED
    _note(f"it fails: {failure.said}")

    def fails(candidate: Any) -> bool:
        found = trial.failure(candidate)
        return found is not None and found.kind == failure.kind

    smallest = shrink(module, fails, _note)
    if size(smallest) < size(module):
        last = trial.failure(smallest)
        _note(f"the smallest found has {size(smallest)[0]} instructions: {last.said if last else ''}")
    cli_files.write_output(arguments.output, _ended(smallest.to_string()))
    return 0


def bench(arguments: argparse.Namespace) -> int:
    """Time a program, or variants of it side by side, and compare their results."""
    from xlac import cli_files

    names = _names(arguments.compare) or ["fused"]
    for name in names:
        if name not in VARIANTS:
            raise OptionError(_unknown("variant", name, VARIANTS))
    module = _program(arguments)
    labels = cli_files.result_leaves(module)
    calls: list[Callable[[], Any]] = []
    compile_seconds, kernels = [], []
    first: list[Any] | None = None
    status = 0
    for name in names:
        # Donated arguments are overwritten by a run, so each variant has its own.
        inputs = cli_files.make_inputs(module, arguments.input, arguments.seed)
        started = time.perf_counter()
        executable = None
        if name == "evaluate":
            call = _evaluator(module)
        else:
            executable = _compile(module, arguments, fusion=name == "fused")
            call = executable.run
        compile_seconds.append(time.perf_counter() - started)
        kernels.append(getattr(executable, "kernel_count", None))
        results = [array.copy() for array in call(inputs)]
        if first is None:
            first = results
        else:
            status = max(status, _compared(labels, results, first, names[0], name))
        calls.append(lambda call=call, inputs=inputs: call(inputs))
    times = _bursts(calls, arguments.seconds)
    row = "{:10s} {:>7s} {:>10s} {:>10s} {:>10s} {:>6s}  {}"
    print(row.format("variant", "kernels", "compile", "best", "median", "runs", f"against {names[0]}"))
    best = [min(t) for t in times]
    for i, name in enumerate(names):
        count = "-" if kernels[i] is None else str(kernels[i])
        median = statistics.median(times[i])
        cells = [_seconds(t) for t in (compile_seconds[i], best[i], median)]
        print(row.format(name, count, *cells, str(len(times[i])), f"{best[i] / best[0]:.2f}x the time"))
    return status


# ---- shared by the commands


def _program(arguments: argparse.Namespace) -> Any:
    from xlac import cli_files

    text = cli_files.read_text(arguments.file)
    return cli_files.parse_program(text, arguments.file, arguments.format, arguments.fill_constants)


def _options(arguments: argparse.Namespace, fusion: bool | None = None, evaluate: bool | None = None) -> Options:
    if arguments.target is not None:
        from xlac.codegen.target import Target

        Target.parse(arguments.target)
    if fusion is None and arguments.no_fusion:
        fusion = False
    return Options(fusion=fusion, threads=arguments.threads, target=arguments.target, evaluate=evaluate).resolve()


def _compile(
    module: Any, arguments: argparse.Namespace, fusion: bool | None = None, evaluate: bool | None = None
) -> Any:
    from xlac.cli_files import STDIN, located
    from xlac.compiler import compile_module

    options = _options(arguments, fusion, evaluate)
    if options.threads is not None:
        from xlac.runtime.threads import set_threads

        set_threads(options.threads)
    with located(STDIN if arguments.file == "-" else arguments.file):
        try:
            return compile_module(module, options)
        except RecursionError:
            raise CompileError(f"{module.name} is nested too deeply to compile") from None


def _evaluator(module: Any) -> Callable[[Sequence[Any]], list[Any]]:
    """A function like `Executable.run` that uses the reference evaluator."""
    import numpy as np

    from xlac.ir.evaluate import evaluate
    from xlac.runtime.executable import flatten, nest

    def call(arrays: Sequence[Any]) -> list[Any]:
        given = iter(arrays)
        results: list[Any] = []
        with np.errstate(all="ignore"):
            value = evaluate(module, *(nest(shape, given) for shape in module.parameter_shapes))
        flatten(value, module.entry.root.shape, "result", results)
        return results

    return call


def _compared(labels: list[str], got: list[Any], want: list[Any], whose: str, name: str = "") -> int:
    from xlac.cli_files import difference

    status = 0
    for label, a, b in zip(labels, got, want):
        why = difference(a, b)
        if why is not None:
            _complain(f"{name + ': ' if name else ''}{label} differs from that of {whose}: {why}", FAILED)
            status = FAILED
    if not status:
        _note(f"{name or 'results'}: equal to {whose} within the types' precision")
    return status


def _bursts(calls: list[Callable[[], Any]], seconds: float) -> list[list[float]]:
    """Times of each call, taken in short turns so that all meet the same state of the machine."""
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds * len(calls)
    while True:
        for own, call in zip(times, calls):
            until = time.perf_counter() + min(0.1, seconds / 4)
            while True:
                started = time.perf_counter()
                call()
                now = time.perf_counter()
                own.append(now - started)
                if now >= until:
                    break
        if time.perf_counter() >= end:
            return times


def _seconds(value: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e6:.3g} us"


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _unknown(kind: str, name: str, known: Any) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"there is no {kind} {name!r}; {hint}known are {', '.join(known)}"


# ---- usage


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def command_line() -> argparse.ArgumentParser:
    """The parser of the command line."""
    variables = "\n".join(f"  {s.variable:20s} {s.meaning}" for s in SETTINGS)
    parser = _Parser(
        prog="xlac",
        description="Run, inspect, convert and time programs in XLA's HLO text or StableHLO.",
        epilog=f"environment variables:\n{variables}\n\nexample:\n  xlac run examples/softmax.hlo --time",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, function: Callable[..., int], example: str, file_optional: bool = False) -> _Parser:
        about = (function.__doc__ or "").strip()
        added = commands.add_parser(
            name,
            help=about,
            description=about,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        added.set_defaults(command=function)
        added.add_argument(
            "file", metavar="FILE", nargs="?" if file_optional else None, help="program text, or - for standard input"
        )
        added.add_argument(
            "--format", choices=("hlo", "stablehlo"), help="language of FILE; told from its text if omitted"
        )
        added.add_argument(
            "--fill-constants",
            choices=("random",),
            help="give constants whose elements the text leaves out random values instead of zeros: those that HLO "
            "writes {...}, and StableHLO dense_resource<__elided__>",
        )
        added.add_argument(
            "--seed", type=_natural, default=0, metavar="N", help="seed of everything random (default 0)"
        )
        return added

    def compiling(added: _Parser) -> None:
        added.add_argument("--threads", type=_positive, metavar="N", help="threads to use (default: all cores)")
        added.add_argument("--target", metavar="CPU", help="processor to generate code for (default: host)")
        added.add_argument("--no-fusion", action="store_true", help="run each operation by itself")

    def inputs(added: _Parser) -> None:
        added.add_argument(
            "--input",
            action="append",
            default=[],
            metavar="A",
            help="a .npy file, a .npz file, or random, zeros or ones; once per array in the order of the parameters; "
            "the last word serves all that remain (default: random)",
        )

    added = command("run", run, "xlac run examples/softmax.hlo --input x.npy --output out.npz")
    inputs(added)
    added.add_argument("--output", metavar="OUT", help=".npz file for the results, out_0, out_1, ... (or one .npy)")
    added.add_argument("--evaluate", action="store_true", help="use the reference evaluator, without code generation")
    added.add_argument(
        "--check", action="store_true", help="compare with the reference evaluator; exit status 1 if unequal"
    )
    added.add_argument("--time", action="store_true", help="print times of compiling and running")
    compiling(added)

    added = command("compile", compile_, "xlac compile examples/softmax.hlo --emit asm -o softmax.s")
    added.add_argument("--emit", choices=tuple(EMIT), help="stage to write (default: told by OUT's suffix, else hlo)")
    added.add_argument("-o", "--output", metavar="OUT", help="file to write; standard output if omitted")
    compiling(added)

    added = command("opt", opt, "xlac opt examples/softmax.hlo --passes simplify,cse,dce", file_optional=True)
    added.add_argument("--passes", metavar="A,B", help="passes to run, in this order (default: the whole pipeline)")
    added.add_argument(
        "--print-after-all", action="store_true", help="print the program after each pass, on standard error"
    )
    added.add_argument("--list-passes", action="store_true", help="list the passes and stop")
    added.add_argument("-o", "--output", metavar="OUT", help="file to write; standard output if omitted")
    compiling(added)

    added = command("convert", convert, "xlac convert examples/softmax.hlo --to stablehlo -o softmax.mlir")
    added.add_argument("--to", choices=("hlo", "stablehlo"), help="language to write (default: the other one)")
    added.add_argument("-o", "--output", metavar="OUT", help="file to write; standard output if omitted")

    added = command("diff", diff, "xlac diff before.hlo after.mlir")
    added.add_argument("other", metavar="OTHER", help="program text to compare with")

    added = command("bisect", bisect, "xlac bisect broken.hlo -o smallest.hlo")
    added.add_argument("-o", "--output", metavar="OUT", help="file for the smaller program; standard output if omitted")
    added.add_argument(
        "--command",
        dest="run",
        metavar="CMD",
        help="command that fails, with {} for the file; xlac run --check if omitted",
    )
    added.add_argument(
        "--timeout", type=_duration, default=60.0, metavar="S", help="seconds after which a run hangs (default 60)"
    )
    compiling(added)

    added = command("bench", bench, "xlac bench examples/softmax.hlo --compare fused,unfused --threads 2")
    inputs(added)
    added.add_argument(
        "--compare",
        default="fused",
        metavar="A,B",
        help=f"variants to time in turns: {', '.join(VARIANTS)} (default: fused)",
    )
    added.add_argument("--seconds", type=_duration, default=2.0, metavar="S", help="time for each variant (default 2)")
    compiling(added)
    return parser


def _version() -> str:
    import xlac

    return f"xlac {getattr(xlac, '__version__', 'unknown')}"


def _natural(text: str) -> int:
    return _at_least(text, 0)


def _positive(text: str) -> int:
    return _at_least(text, 1)


def _at_least(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    return value


def _duration(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0 and 3600")
    return value
