"""How many threads decode fastest: one for each physical core that this process may use, but one.

Two threads on one core, or more threads than the container's share of the machine, make every
step wait for the slowest of them. So does anything else that runs, if each core has a thread:
with two threads on two cores, and other work on both, a model said 1 token a second where one
thread said 16. The last core is worth less than that.
"""

import os
import subprocess
import sys
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def physical_cores() -> int:
    """The number of physical (on a Mac: fast) cores at our disposal, at least 1."""
    if sys.platform == "darwin":
        return _fast_cores() or os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    cores = count_cores(_text(_CPU_INFO), allowed) or len(allowed)
    return max(1, min(cores, quota(_text(_QUOTA)) or cores))


def decoding_threads(cores: int) -> int:
    """The threads for that many physical cores.

    >>> [decoding_threads(cores) for cores in (1, 2, 8)]
    [1, 1, 7]
    """
    return max(1, cores - 1)


def count_cores(cpu_info: str, allowed: set[int]) -> int:
    """The distinct cores behind the processors *allowed*, by the text of ``/proc/cpuinfo``.

    0 where the text does not say, as on ARM.
    """
    cores = set()
    for block in cpu_info.split("\n\n"):
        fields = dict(_field(line) for line in block.splitlines() if ":" in line)
        if "core id" in fields and int(fields.get("processor", -1)) in allowed:
            cores.add((fields.get("physical id"), fields["core id"]))
    return len(cores)


def quota(cpu_max: str) -> int:
    """The whole processors that ``cpu.max`` of a control group grants; 0 = no bound.

    >>> quota("250000 100000")
    2
    """
    granted, _, period = cpu_max.partition(" ")
    if not granted.isdigit() or not period.strip().isdigit():
        return 0
    return max(1, int(granted) // int(period))


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _fast_cores() -> int:
    command = ["/usr/sbin/sysctl", "-n", "hw.perflevel0.physicalcpu"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(answer.stdout) if answer.stdout.strip().isdigit() else 0
