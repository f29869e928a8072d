"""l2tund -t and -T on real files: every error at once, each with its line and what to do."""
import os
import re

import pytest

from node import L2TUND, ROOT, Node, bridgectl

ERROR = re.compile(r"^(/[^:]+):(\d+): .+")


@pytest.fixture
def node(lab):
    """A node with one of everything; its daemon is never started."""
    host = lab.host("kvm1")
    node = Node(host)
    node.bridge("br-sv", create=True)
    node.peer("xen1", bridgectl("pubkey", stdin=bridgectl("keygen") + "\n"),
              address="192.0.2.1:4655", psk=bridgectl("genpsk"), data=["aead", "auth"])
    node.tunnel("sv", "xen1", "br-sv", remote_bridge="br-other", priority=50)
    node.write_config()
    return node


def l2tund(node, *words, path=None):
    return node.host.run(L2TUND, *words, "-c", str(path or node.config_path), check=False)


def errors(result):
    """(file, line) of every error told."""
    assert result.returncode not in (0, 77), result
    lines = result.stderr.splitlines()
    return [(found.group(1), int(found.group(2))) for line in lines
            if (found := ERROR.match(re.sub(r"^l2tund: ", "", line)))]


def test_good_file(node):
    result = l2tund(node, "-t")
    assert result.returncode == 0, result.stderr


def test_effective_configuration_parses_to_the_same(node):
    first = l2tund(node, "-T")
    assert first.returncode == 0, first.stderr
    for text in ("br-other", "priority", "policer", "create"):
        assert text in first.stdout
    again = node.dir / "again.conf"
    again.write_text(first.stdout, encoding="utf-8")
    second = l2tund(node, "-T", path=again)
    assert second.returncode == 0, second.stderr
    strip = re.compile(r"^\s*#.*\n", re.M)
    assert strip.sub("", second.stdout) == strip.sub("", first.stdout)


def test_a_thousand_errors(node):
    """Each wrong section is listed with its own line, none hides another."""
    text = node.config_text()
    wanted = []
    for number in range(1000):
        line = text.count("\n") + 1
        wanted.append(line)
        text += (f'tunnel "bad{number}" {{ peer = "nobody{number}" bridge = "br-sv" }}\n')
    node.config_path.write_text(text, encoding="utf-8")
    told = errors(l2tund(node, "-t"))
    assert {name for name, _ in told} == {str(node.config_path)}
    lines = [line for _, line in told]
    assert sorted(set(lines)) == wanted
    assert lines == sorted(lines), "not in the order of the file"


@pytest.mark.parametrize("old, new, word", [
    ("aead", "rot13", "rot13"),
    ("priority = 50", "priority = 99999999", "priority"),
    ('peer = "xen1"', 'peer = "xen2"', "xen2"),
    ('bridge = "br-sv"', 'bridge = "a-name-that-is-too-long"', "a-name-that-is-too-long"),
    ("192.0.2.1:4655", "192.0.2.1:99999", "99999"),
    ("create = yes", "create = maybe", "maybe"),
    ("priority = 50", "prioritty = 50", "prioritty"),
    ('tunnel "sv"', 'tunnel "a-very-long-name"', "a-very-long-name"),
])
def test_each_error_names_its_line(node, old, new, word):
    text = node.config_text()
    assert old in text
    where = text[:text.index(old)].count("\n") + 1
    node.config_path.write_text(text.replace(old, new, 1), encoding="utf-8")
    result = l2tund(node, "-t")
    told = errors(result)
    assert word in result.stderr, result.stderr
    # Some findings belong to the section, which begins above the option.
    assert told and all(where - 8 <= line <= where for _, line in told), (where, result.stderr)


def test_errors_of_several_sections_at_once(node):
    text = node.config_text().replace("aead", "rot13").replace("priority = 50", "priority = -1")
    node.config_path.write_text(text, encoding="utf-8")
    assert len(set(errors(l2tund(node, "-t")))) >= 2


@pytest.mark.parametrize("again, word", [
    ('tunnel "sv" { peer = "xen1" bridge = "br-new" remote-bridge = "br-new" }', "sv"),
    ('tunnel "again" { peer = "xen1" bridge = "br-sv" remote-bridge = "br-other" }', "again"),
], ids=["its name", "its two bridges"])
def test_the_same_tunnel_twice(node, again, word):
    """A name is one tunnel's, and a peer and two bridges are: not even a way to make a loop."""
    text = node.config_text()
    node.config_path.write_text(text + again + "\n", encoding="utf-8")
    result = l2tund(node, "-t")
    assert (str(node.config_path), text.count("\n") + 1) in errors(result), result.stderr
    assert word in result.stderr, result.stderr


def test_key_files_that_others_can_read(node):
    for name in ("private.key", "xen1.psk"):
        path = node.dir / name
        os.chmod(path, 0o644)
        result = l2tund(node, "-t")
        assert errors(result) and name in result.stderr and "600" in result.stderr, result.stderr
        os.chmod(path, 0o600)
    assert l2tund(node, "-t").returncode == 0


def test_includes(node):
    parts = node.dir / "conf.d"
    parts.mkdir()
    (parts / "one.conf").write_text('tunnel "t1" { peer = "xen1" bridge = "br-1" }\n')
    (parts / "two.conf").write_text('\ntunnel "t2" { peer = "nobody" bridge = "br-2" }\n')
    with open(node.config_path, "a", encoding="utf-8") as out:
        out.write(f'include("{parts}/*.conf")\n')
    assert errors(l2tund(node, "-t")) == [(str(parts / "two.conf"), 2)]
    (parts / "two.conf").unlink()
    result = l2tund(node, "-T")
    assert result.returncode == 0 and '"t1"' in result.stdout, result.stderr


def test_missing_file(node):
    result = l2tund(node, "-t", path="/nonexistent/l2tund.conf")
    assert result.returncode != 0 and "/nonexistent/l2tund.conf" in result.stderr


def test_daemon_does_not_start_with_errors(node):
    node.config_path.write_text(node.config_text().replace("aead", "rot13"), encoding="utf-8")
    result = l2tund(node, "-f")
    assert errors(result) and not os.path.exists(node.control)


def test_sample_configuration(node):
    """conf/l2tund.conf, with its placeholder and path filled in, is right."""
    text = (ROOT / "conf" / "l2tund.conf").read_text(encoding="utf-8")
    key = bridgectl("pubkey", stdin=bridgectl("keygen") + "\n")
    text = text.replace("PUT THE PUBLIC KEY OF xen1 HERE", key)
    text = text.replace("/etc/l2tund/private.key", str(node.dir / "private.key"))
    node.config_path.write_text(text, encoding="utf-8")
    result = l2tund(node, "-t")
    assert result.returncode == 0, result.stderr
