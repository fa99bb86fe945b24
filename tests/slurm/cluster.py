"""A real SLURM of one node with accounting, and two GPUs that are none, in a folder of its own, on loopback and free ports."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import accounting

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", *accounting.PROGRAMS)
DAEMONS = ("slurmd", "slurmctld", "slurmdbd", "mariadbd", "munged")  # In the order in which they stop.
CPUS, MEMORY_MB, GPUS = 8, 12000, 2
ACCOUNT, GPU_TYPE = "my_project", "a100"  # Those of the commented lines in the profile.

CONFIGURATION = """\
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={run}/munge.sock
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={run}/state
SlurmdSpoolDir={run}/spool
SlurmctldPidFile={run}/slurmctld.pid
SlurmdPidFile={run}/slurmd.pid
SlurmctldLogFile={run}/slurmctld.log
SlurmdLogFile={run}/slurmd.log
PlugStackConfig={run}/plugstack.conf
MailProg=/bin/true
MpiDefault=none
ReturnToService=2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
DefMemPerCPU=100
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=100000
MinJobAge=3600
KillWait=2
JobRequeue=1
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={ports[2]}
AccountingStoragePass={run}/munge.sock
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory} Gres=gpu:{type}:{gpus} State=UNKNOWN
PartitionName=cpu Nodes=localhost Default=YES MaxTime=1000 State=UP
PartitionName=gpu Nodes=localhost Default=NO MaxTime=1000 State=UP
"""


class Cluster:
    """munged, slurmctld and slurmd of the current user, until the end of a ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        self.configuration = folder / "slurm.conf"
        self.bin = folder / "bin"
        self.environment = {"SLURM_CONF": str(self.configuration), "PATH": f"{self.bin}:{os.environ['PATH']}"}

    def __enter__(self) -> "Cluster":
        for path in (self.run / "state", self.run / "spool", self.bin):
            path.mkdir(parents=True)
        self.run.chmod(0o755)
        with ExitStack() as held:  # Until all are known, so that they differ.
            sockets = [held.enter_context(socket.socket()) for _ in range(3)]
            for free in sockets:
                free.bind(("127.0.0.1", 0))
            ports = [free.getsockname()[1] for free in sockets]
        self.configuration.write_text(
            CONFIGURATION.format(
                ports=ports, user=getpass.getuser(), run=self.run, cpus=CPUS, memory=MEMORY_MB, gpus=GPUS, type=GPU_TYPE
            )
        )
        devices = ("/dev/null", "/dev/zero")
        gres = [f"NodeName=localhost Name=gpu Type={GPU_TYPE} File={device}" for device in devices]
        (self.configuration.parent / "gres.conf").write_text("\n".join(gres) + "\n")
        (self.run / "plugstack.conf").touch()
        # Steps of a job lose SLURM_CONF on their way (snakemake-executor-plugin-slurm-jobstep removes SLURM_*).
        shim = self.bin / "srun"
        shim.write_text(f'#!/bin/sh\nSLURM_CONF={self.configuration} exec {shutil.which("srun")} "$@"\n')
        shim.chmod(0o755)
        try:
            self._start_munge()
            self._start_accounting(ports[2])
            self.start_controller()
            self._spawn("slurmd", "-N", "localhost", "-f", str(self.configuration))
            self._wait_for(lambda: self.output("sinfo", "-h", "-o", "%T").strip() == "idle", "the node is not idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.command("scancel", "--user", getpass.getuser())
        for name in DAEMONS:
            self._stop(name)
        # What a lost node left behind: without control groups SLURM does not find all processes of a job.
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        self._wait_for(lambda: not self.processes(), "processes of jobs do not end")

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._spawn("slurmctld", "-f", str(self.configuration))
        self._wait_for(lambda: "UP" in self.output("scontrol", "ping"), "slurmctld does not answer")

    def stop_controller(self) -> None:
        """Stop slurmctld; jobs that run go on."""
        self._stop("slurmctld")

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of SLURM."""
        return subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | self.environment)

    def output(self, *words: str) -> str:
        """Return what a command of SLURM prints."""
        return self.command(*words).stdout

    def accounted(self, name: str) -> list[dict[str, str]]:
        """Return what the accounting database has on record of the jobs of one run of Snakemake."""
        fields = ["JobIDRaw", "State", "Account", "ReqTRES", "AllocTRES", "Comment"]
        lines = self.output(
            "sacct", "-X", "--parsable2", "--noheader", f"--format={','.join(fields)}", f"--name={name}"
        )
        return [dict(zip(fields, line.split("|"), strict=True)) for line in lines.splitlines()]

    def jobs(self) -> list[dict[str, str]]:
        """Return what the controller knows of every job, finished ones too, as key and value."""
        lines = self.output("scontrol", "show", "job", "--oneliner").splitlines()
        return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines if "JobId=" in line]

    def processes(self) -> list[int]:
        """Return the process ids of all that runs on this cluster or speaks to it: jobs, Snakemake, daemons."""
        setting = f"SLURM_CONF={self.configuration}".encode()
        return [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/environ")
            if setting in _read(path).split(b"\0")
        ]

    def daemons(self) -> list[int]:
        """Return the process ids of all daemons of this cluster that run, whether or not their pid files say so."""
        words = str(self.configuration.parent).encode()
        return [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if any(name.encode() in _read(path) for name in DAEMONS)
            and words in _read(path) + _read(path.with_name("environ"))
        ]

    def _start_munge(self) -> None:
        key = self.run / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        options = {"socket": "munge.sock", "pid-file": "munged.pid", "log-file": "munge.log", "seed-file": "seed"}
        paths = [f"--{name}={self.run / file}" for name, file in options.items()]
        self._spawn("munged", "--force", f"--key-file={key}", *paths)

    def _start_accounting(self, port: int) -> None:
        accounting.write_configuration(self.configuration.with_name("slurmdbd.conf"), run=self.run, port=port)
        accounting.start_database(self.run)
        self._wait_for(lambda: accounting.database_answers(self.run), "MariaDB does not answer")
        self._spawn("slurmdbd")
        add = ["sacctmgr", "--immediate", "add"]
        self._wait_for(lambda: self.command(*add, "cluster", "tests").returncode == 0, "slurmdbd does not answer")
        self.command(*add, "account", ACCOUNT)
        self.command(*add, "user", getpass.getuser(), f"account={ACCOUNT}")

    def _spawn(self, *words: str) -> None:
        variables = os.environ | self.environment | {"MYSQL_UNIX_PORT": str(accounting.socket(self.run))}
        # The daemons bind to what the host is called, so for them it is called localhost.
        alone = ["unshare", "--uts", "sh", "-c", 'hostname localhost && exec "$@"', "sh"] if os.getuid() == 0 else []
        subprocess.run([*alone, *words], check=True, capture_output=True, env=variables)

    def _wait_for(self, condition, complaint: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-2000:] for path in self.run.glob("*.log"))
                raise RuntimeError(f"{complaint}\n{logs}")
            time.sleep(0.1)

    def _pid(self, name: str) -> int | None:
        try:
            pid = int((self.run / f"{name}.pid").read_text())
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError):
            return None
        return pid if state != "Z" else None

    def _stop(self, name: str) -> None:
        pid = self._pid(name)
        if pid is not None:
            words = Path(f"/proc/{pid}/cmdline")  # Empty of a process that is dead, if nobody has reaped it.
            os.kill(pid, 15)
            with suppress(RuntimeError):  # slurmd may wait for a job that was cancelled.
                self._wait_for(lambda: not _read(words), f"{name} does not stop", seconds=10)
                return
            os.kill(pid, 9)
            self._wait_for(lambda: not _read(words), f"{name} does not stop")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # The process has ended.
        return b""
