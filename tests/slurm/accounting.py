"""The accounting of a cluster: MariaDB and what slurmdbd reads, in a folder of its own."""

import getpass
import os
import subprocess
from pathlib import Path

PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb", "sacct", "sacctmgr")

CONFIGURATION = """\
AuthType=auth/munge
AuthInfo=socket={run}/munge.sock
CommunicationParameters=NoInAddrAny
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
LogFile={run}/slurmdbd.log
PidFile={run}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user}
StorageLoc=slurm_acct_db
"""


def start_database(run: Path) -> None:
    """Make an empty MariaDB in a folder and start it there, on a socket and no port."""
    data, own = run / "database", ("--no-defaults", f"--user={getpass.getuser()}")
    # Names of temporary tables are unique in one database only.
    variables = os.environ | {"TMPDIR": str(run)}
    subprocess.run(
        ["mariadb-install-db", *own, f"--datadir={data}", "--skip-test-db", "--auth-root-authentication-method=normal"],
        check=True, capture_output=True, env=variables,
    )  # fmt: skip
    paths = {"datadir": data, "socket": socket(run), "pid-file": run / "mariadbd.pid"}
    with (run / "mariadbd.log").open("w") as log:
        subprocess.Popen(
            ["mariadbd", *own, "--skip-networking", *(f"--{name}={path}" for name, path in paths.items())],
            stdout=log, stderr=log, env=variables,
        )  # fmt: skip


def socket(run: Path) -> Path:
    """Return where the database of a folder listens."""
    return run / "mariadb.sock"


def database_answers(run: Path) -> bool:
    """Say whether the database of a folder is up."""
    words = ["mariadb", "--no-defaults", f"--socket={socket(run)}", "--execute=SELECT 1"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def write_configuration(path: Path, *, run: Path, port: int) -> None:
    """Write what slurmdbd reads; it refuses a file that others may read."""
    path.touch(mode=0o600)
    path.write_text(CONFIGURATION.format(run=run, port=port, user=getpass.getuser()))
