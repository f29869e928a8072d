"""The files of conf/ are taken by the programs that they are for."""

import os
import re
import shutil
import subprocess

import pytest
from lint import ROOT, need, read


def run(*argv, **kwargs):
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60, **kwargs
    )
    return done.returncode, done.stdout.decode()


def program(variable):
    path = os.environ.get(variable, "")
    if not os.access(path, os.X_OK):
        pytest.skip(f"${variable} is not built")
    return path


@pytest.fixture(name="sample")
def sample_with_keys(tmp_path):
    """The sample as its first lines tell the reader to fill it in, in a folder of its own."""
    l2tund, bridgectl = program("L2TUND"), program("BRIDGECTL")
    os.umask(0o077)
    for name, command in ("private.key", "genkey"), ("xen1.psk", "genpsk"):
        if command == "genkey":
            status, out = run(bridgectl, "keygen")
        else:
            status, out = run(bridgectl, command)
        assert status == 0, out
        (tmp_path / name).write_text(out)
    status, public = run(bridgectl, "pubkey", input=run(bridgectl, "keygen")[1].encode())
    assert status == 0, public
    (tmp_path / "conf.d").mkdir()
    text = read("conf/l2tund.conf").replace("/etc/l2tund", str(tmp_path))
    assert text.count("PUT THE PUBLIC KEY OF xen1 HERE") == 1
    text = text.replace("PUT THE PUBLIC KEY OF xen1 HERE", public.strip())

    def check(text):
        path = tmp_path / "l2tund.conf"
        path.write_text(text)
        return run(l2tund, "-t", "-c", str(path))

    return text, check


def test_sample(sample):
    text, check = sample
    status, out = check(text)
    assert status == 0, out


def test_sample_with_every_option(sample):
    """Every option that stands there as a comment is right, too."""
    text, check = sample
    text, n = re.subn(r"^(\s*)#(?=[a-z])", r"\1", text, flags=re.M)
    assert n > 10
    # The service user need not exist on the machine of the tests.
    text = text.replace('user = "l2tund"', 'user = "nobody"')
    text = re.sub(r'control-group = "l2tund"', 'control-group = "root"', text)
    status, out = check(text)
    assert status == 0, out


def test_sample_can_fail(sample):
    text, check = sample
    status, out = check(text.replace("create = yes", "creat = yes"))
    assert status != 0 and "creat" in out


def test_unit(tmp_path):
    tool = need("systemd-analyze")
    # The programs are not installed here; everything else must be known to systemd.
    text = re.sub(r"@sbindir@/l2tund", shutil.which("true"), read("conf/l2tund.service.in"))
    unit = tmp_path / "l2tund.service"
    unit.write_text(text)
    status, out = run(tool, "verify", "--man=no", str(unit))
    said = [line for line in out.splitlines() if "l2tund.service" in line]
    assert not said, out
    assert status == 0 or "l2tund" not in out, out
    unit.write_text(text.replace("ProtectHome=", "ProtectHomes="))
    assert "ProtectHomes" in run(tool, "verify", "--man=no", str(unit))[1]


def test_unit_exposure(tmp_path):
    tool = need("systemd-analyze")
    unit = tmp_path / "l2tund.service"
    unit.write_text(read("conf/l2tund.service.in").replace("@sbindir@", "/usr/sbin"))
    status, out = run(tool, "security", "--offline=true", "--threshold=38", str(unit))
    if "unrecognized option" in out or "not supported" in out:
        pytest.skip("this systemd-analyze has no --offline")
    assert status == 0, out


def test_sysusers_and_tmpfiles(tmp_path):
    if not shutil.which("systemd-sysusers"):
        pytest.skip("systemd-sysusers is not installed")
    (tmp_path / "etc").mkdir()
    status, out = run("systemd-sysusers", f"--root={tmp_path}", str(ROOT / "conf/l2tund.sysusers"))
    assert status == 0, out
    assert re.search(r"^l2tund:", (tmp_path / "etc/passwd").read_text(), re.M), out
    if os.geteuid() != 0:
        pytest.skip("systemd-tmpfiles needs root to give files away")
    status, out = run(
        "systemd-tmpfiles", f"--root={tmp_path}", "--create", str(ROOT / "conf/l2tund.tmpfiles")
    )
    assert status == 0, out
    assert (tmp_path / "etc/l2tund").stat().st_mode & 0o777 == 0o750


def test_init_script_has_lsb_header():
    text = read("conf/l2tund.init.in")
    header = re.search(r"### BEGIN INIT INFO\n(.*?)### END INIT INFO", text, re.S).group(1)
    for key in "Provides", "Required-Start", "Required-Stop", "Default-Start", "Default-Stop", "Short-Description":
        assert re.search(rf"^# {key}:", header, re.M), key
    for action in "start", "stop", "restart", "force-reload", "reload", "status":
        assert re.search(rf"^(?:[a-z| -]*\| )?{action}(?: \|[a-z| -]*)?\)$", text, re.M), action
