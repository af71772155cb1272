"""The table of a comparison, in Markdown, and the line that says on what machine it was made."""

import os
import platform
import time
from pathlib import Path
from statistics import median

HEADER = """\
| size | dtype | program | prefill tok/s | decode tok/s | start s | peak MiB | prefill : llama.cpp | decode : llama.cpp | start : llama.cpp | memory : llama.cpp |
|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"""
MACHINE_HEADER = """\
| size | dtype | reads GB/s | computes Gop/s |
|---|---|---:|---:|"""


def rows(size, dtype, measured):
    """One line a program; `measured` maps a program's name to its runs, or to why it has none."""
    reference = measured.get("llama.cpp")
    for program, runs in measured.items():
        if isinstance(runs, str):
            yield f"| {size} | {dtype} | {program} | – | – | – | – | {runs} | | | |"
            continue
        prefill, decode, peak = (
            [getattr(run, field) for run in runs] for field in ("prefill", "decode", "peak_mib")
        )
        start = [run.start for run in runs if run.start is not None]
        cells = [size, dtype, program, spread(prefill), spread(decode), f"{median(start):.2f}" if start else "",
                 f"{median(peak):.0f}"]
        cells += [ratio(runs, reference, field) for field in ("prefill", "decode")]
        cells += [ratio(runs, reference if start else None, "start"), ratio(runs, reference, "peak_mib")]
        yield "| " + " | ".join(cells) + " |"


def batch_header(batch):
    """The head of the table of several texts at a time."""
    columns = [f"{texts} at a time | : llama.cpp" for texts in batch]
    return "\n".join(["| size | dtype | " + " | ".join(columns) + " |", "|---|---|" + "---:|" * 2 * len(columns)])


def batch_rows(size, dtype, measured, batch):
    """Tokens a second of several texts together, and beside llama.cpp."""
    own, other = (measured.get(program) for program in ("portcullis", "llama.cpp"))
    if not own or isinstance(own, str):
        return
    cells = [size, dtype]
    for texts in batch:
        rates = [run.batches[texts] for run in own if texts in run.batches]
        if not rates:
            return
        cells.append(spread(rates))
        theirs = [run.batches[texts] for run in other if texts in run.batches] if isinstance(other, list) else []
        cells.append(f"{median(rates) / median(theirs):.2f}" if theirs else "")
    yield "| " + " | ".join(cells) + " |"


def machine_rows(size, dtype, measured):
    """What Portcullis measured of the machine in the same rounds."""
    own = measured.get("portcullis")
    if own and not isinstance(own, str):
        bandwidth, peak = ([getattr(run, field) for run in own] for field in ("bandwidth", "peak"))
        yield f"| {size} | {dtype} | {spread(bandwidth)} | {spread(peak)} |"


def spread(values):
    """Median, and the least and the most beside it."""
    return f"**{short(median(values))}** ({short(min(values))}–{short(max(values))})"


def short(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def ratio(runs, reference, field):
    """Median against median; beside it the least and the most of the rounds' own ratios."""
    if not reference or isinstance(reference, str) or runs is reference:
        return ""
    own, other = ([getattr(run, field) for run in series] for series in (runs, reference))
    rounds = [a / b for a, b in zip(own, other)]
    return f"{median(own) / median(other):.2f} ({min(rounds):.2f}–{max(rounds):.2f})"


def machine(versions, busy, work):
    """Processor, cores, memory, what else was running, versions."""
    facts = [
        processor(),
        f"{os.cpu_count()} cores, {work.threads} threads used",
        f"{available_bytes('MemTotal') / 2**30:.0f} GiB",
        f"{busy:.0%} busy with other things at the start",
        f"{platform.system()} {platform.release()}",
        *(f"{name} {version}" for name, version in versions.items()),
    ]
    return "; ".join(facts)


def busy_share(seconds=3):
    """How much of the processor others use while this program sleeps: 0 to 1. Counts what a hypervisor takes away."""
    def ticks():
        values = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return values[3] + values[4], sum(values)  # idle and waiting for a disk

    idle, total = ticks()
    time.sleep(seconds)
    later_idle, later_total = ticks()
    return 1 - (later_idle - idle) / (later_total - total)


def processor():
    """The model's name, and which of the vector extensions that matter here it has."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    field = lambda name: next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")
    flags = set(field("flags").split())
    known = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{field('model name') or platform.machine()} ({', '.join(known)})"


def available_bytes(field="MemAvailable"):
    """A field of /proc/meminfo."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0
