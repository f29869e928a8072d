"""The daemon as init systems run it: by the SysV script, and within the limits of the systemd unit.

Each test has network, mounts and processes of its own: /run, /var/lib and /etc/l2tund are empty
folders there, and the real ones are not touched.
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest
from node import BRIDGECTL, L2TUND

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What runs in the namespaces before the test's own commands. $DIR holds the configuration.
PREPARE = """
mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib || exit 99
mount --bind "$DIR/etc" /etc/l2tund && ip link set lo up || exit 99
"""


def output(*argv, stdin=""):
    return subprocess.run(argv, input=stdin, text=True, check=True, stdout=subprocess.PIPE).stdout


@pytest.fixture(name="folder")
def folder_with_configuration(daemon, tmp_path):
    """The sample configuration with keys, as its reader would fill it in."""
    etc = tmp_path / "etc"
    etc.mkdir(mode=0o755)
    key = etc / "private.key"
    key.touch(mode=0o600)
    key.write_text(output(BRIDGECTL, "keygen"))
    public = output(BRIDGECTL, "pubkey", stdin=output(BRIDGECTL, "keygen")).strip()
    text = (ROOT / "conf/l2tund.conf").read_text()
    text = text.replace("PUT THE PUBLIC KEY OF xen1 HERE", public).replace("xen1.example.net", "127.0.0.9")
    (etc / "l2tund.conf").write_text(text)
    # A place to mount on, where the machine has none.
    made = not os.path.isdir("/etc/l2tund")
    os.makedirs("/etc/l2tund", 0o750, exist_ok=True)
    yield tmp_path
    if made:
        os.rmdir("/etc/l2tund")


def isolated(folder, script, stdin=subprocess.DEVNULL):
    """A shell script in namespaces of its own; all that it starts ends with it."""
    argv = ["unshare", "-nmpf", "--mount-proc", "--propagation", "private", "--kill-child"]
    env = {**os.environ, "DIR": str(folder), "L2TUND": L2TUND, "BRIDGECTL": BRIDGECTL}
    return subprocess.Popen(
        argv + ["sh", "-c", PREPARE + script],
        env=env,
        text=True,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def run_isolated(folder, script):
    process = isolated(folder, script)
    try:
        out, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
        pytest.fail(f"it hangs:\n{out}")
    return process.returncode, out


@pytest.fixture(name="init_script")
def sysv_script(folder):
    if not shutil.which("start-stop-daemon"):
        pytest.skip("start-stop-daemon is not installed")
    text = (ROOT / "conf/l2tund.init.in").read_text().replace("@sbindir@", os.path.dirname(L2TUND))
    (folder / "init").write_text(text)
    return folder / "init"


def actions(folder, *words):
    """Runs the script once per word; its status each time."""
    lines = "\n".join(f'sh "$DIR/init" {w}; echo "status $?"' if ";" not in w else w[1:] for w in words)
    status, out = run_isolated(folder, lines + "\n")
    assert status == 0, out
    return [int(n) for n in re.findall(r"^status (\d+)$", out, re.M)], out


def test_init_script(folder, init_script):
    """Exit codes as LSB wants them, and what is running is what it says."""
    found, out = actions(folder, "status", "start", "status", "start", "reload", "restart", "status", "stop", "status", "stop", "reload")
    assert found == [3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 7], out


def test_init_script_is_ready_when_it_returns(folder, init_script):
    found, out = actions(folder, "start", '; "$BRIDGECTL" status && echo "status $?"', "stop")
    assert found == [0, 0, 0], out
    assert "kvm1" in out


def test_init_script_keeps_running_with_a_bad_file(folder, init_script):
    spoil = ";echo 'garbage {' >>/etc/l2tund/l2tund.conf"
    found, out = actions(folder, "start", spoil, "restart", "reload", "status", "stop", "start")
    assert found == [0, 6, 6, 0, 0, 6], out
    assert "l2tund.conf:" in out


def test_init_script_tells_a_dead_daemon(folder, init_script):
    wait = "; pid=$(cat /run/l2tund/l2tund.pid); kill -9 $pid; while kill -0 $pid 2>/dev/null; do sleep 0.02; done"
    found, out = actions(folder, "start", wait, "status", "start", "status", "stop")
    assert found == [0, 1, 0, 0, 0], out


def unit(key):
    return " ".join(re.findall(rf"^{key}=(.*)$", (ROOT / "conf/l2tund.service.in").read_text(), re.M))


def test_limits_of_the_unit(folder):
    """Its capabilities suffice, and the service manager hears of every step."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    caps = ",".join("+" + c.removeprefix("CAP_").lower() for c in unit("CapabilityBoundingSet").split())
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    heard.bind(str(folder / "notify"))
    heard.settimeout(10)

    def hear(word):
        said = ""
        while word not in said.split("\n"):
            said = heard.recv(4096).decode()

    command = unit("ExecStart").replace("@sbindir@/l2tund", '"$L2TUND"')
    script = f"""
        umask {unit("UMask")}
        mkdir -m {unit("RuntimeDirectoryMode")} /run/l2tund
        mkdir -m {unit("StateDirectoryMode")} /var/lib/l2tund
        mount --bind -o ro /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys
        export NOTIFY_SOCKET="$DIR/notify"
        setpriv --no-new-privs --bounding-set=-all,{caps} --inh-caps=-all {command} &
        pid=$!
        echo "pid $pid"
        while read -r order; do
            case $order in
            status) "$BRIDGECTL" --json status; grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/$pid/status ;;
            *) kill -s "$order" $pid ;;
            esac
        done
        wait $pid
        echo "ended $?"
    """
    process = isolated(folder, script, stdin=subprocess.PIPE)

    def order(*words):
        process.stdin.write("".join(f"{word}\n" for word in words))
        process.stdin.flush()

    try:
        hear("READY=1")
        order("HUP")
        hear("RELOADING=1")
        hear("READY=1")
        order("status", "TERM")
        hear("STOPPING=1")
    finally:
        try:
            out, _ = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
        print(out)
        heard.close()
    assert "ended 0" in out
    assert '"name"' in out and "l2t-sv" in out
    # NET_ADMIN and NET_RAW.
    assert re.search(r"^CapEff:\s*0*3000$", out, re.M)
    assert re.search(r"^NoNewPrivs:\s*1$", out, re.M)
