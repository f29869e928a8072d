"""A host that one may log in to: an sshd of our own in a namespace, with keys of its own.

    with Lab() as lab:
        wan = lab.underlay("wan")
        kvm, xen = lab.host("kvm1"), lab.host("xen1")
        wan.attach(kvm), wan.attach(xen)
        door = Sshd(xen, wan.address(xen))
        kvm.run("bridgectl", "disk", "copy", "--from", door.name, "--ssh", door.command, ...)

Host names are made up: `door.command` has options that lead `door.name` to the address. There is one
file system, so "the other host" sees the same files.
"""
import os
import pathlib
import shutil
import socket
import subprocess

from lab import skip, wait_for

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

CONFIG = """\
Port {port}
ListenAddress {address}
HostKey {dir}/host_key
AuthorizedKeysFile {dir}/user_key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
MaxStartups 100
MaxSessions 100
LogLevel VERBOSE
Subsystem sftp internal-sftp
"""


def need_sshd():
    if SSHD is None or not shutil.which("ssh") or not shutil.which("ssh-keygen"):
        skip("no sshd and ssh here; packages/install brings them")
    if os.geteuid() != 0:
        skip("an sshd of our own needs root")


class Sshd:
    """Runs until the laboratory of its host ends."""

    def __init__(self, host, address, port=22):
        need_sshd()
        self.host = host
        self.name = f"root@{host.name}"
        self.address = address
        self.port = port
        self.dir = pathlib.Path(host.lab.dir) / f"sshd-{host.name}"
        self.dir.mkdir()
        self.log_path = self.dir / "log"
        self._make_files()
        self.process = None
        host.lab.on_close(self.stop)
        host.lab.logs.append(self.log)
        self.start()

    def _make_files(self):
        for key in "host_key", "user_key":
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.dir / key],
                           check=True, stdin=subprocess.DEVNULL)
        (self.dir / "config").write_text(CONFIG.format(port=self.port, address=self.address,
                                                       dir=self.dir))
        public = (self.dir / "host_key.pub").read_text()
        (self.dir / "known_hosts").write_text(f"{self.host.name} {public}")

    @property
    def command(self):
        """What --ssh takes."""
        return " ".join(["ssh", "-F", "none", "-i", f"{self.dir}/user_key", "-p", str(self.port),
                         f"-oHostName={self.address}", f"-oHostKeyAlias={self.host.name}",
                         f"-oUserKnownHostsFile={self.dir}/known_hosts", "-oIdentitiesOnly=yes",
                         "-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oConnectTimeout=5"])

    def start(self):
        # Where sshd shuts its unprivileged part in; made at boot where the system has a server.
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = self.host.popen([SSHD, "-D", "-e", "-f", self.dir / "config"],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self._answers, 10, lambda: f"sshd does not answer\n{self.log()[1]}")

    def _answers(self):
        assert self.process.poll() is None, f"sshd ended\n{self.log()[1]}"
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with self.host.socket(family, socket.SOCK_STREAM) as sock:
            return sock.connect_ex((self.address, self.port)) == 0

    def stop(self):
        """No new logins; sessions go on."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

    def log(self):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return f"sshd on {self.host.name}", text
