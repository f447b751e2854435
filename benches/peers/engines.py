"""The engines that are compared, each a process that runs one job a line on one thread."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ONE_THREAD = {"UV_THREADPOOL_SIZE": "1", "VIPS_CONCURRENCY": "1", "RAYON_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Run:
    """What one job took and gave."""

    cpu_ms: float
    wall_ms: float
    stage_ms: float
    bytes: int


class Engine:
    """A process that answers jobs."""

    def __init__(self, name, command, cwd=None):
        self.name, self.command, self.cwd = name, command, cwd
        self.process = None

    def ask(self, line):
        if self.process is None:
            self.process = subprocess.Popen(
                self.command, cwd=self.cwd, env=os.environ | ONE_THREAD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"{self.name} gave up on {line!r}")
        return answer

    def run(self, source, width, format, quality, effort, output):
        job = [str(Path(source).resolve()), str(width), format, str(quality), effort, str(Path(output).resolve())]
        cpu, wall, stage, size = map(int, self.ask("\t".join(job)).split())
        return Run(cpu / 1000, wall / 1000, stage / 1000, size)

    def peak_mib(self, *job):
        """The most memory that a process of its own holds which does nothing but this job."""
        alone = Engine(self.name, self.command, self.cwd)
        alone.run(*job)
        peak = int(alone.ask("peak")) / 1024
        alone.close()
        return peak

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process = None
