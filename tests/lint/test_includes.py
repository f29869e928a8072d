"""Who may include whom: the folders are the boundaries (doc/architecture.md)."""

import re

import pytest
from lint import ROOT, c_files, code_of, read, report

# Units in the order of the layers, each by a pattern on its path, with the units it may use
# besides itself. The first pattern that matches counts.
UNITS = [
    ("common", r"common/", []),
    ("topology", r"l2tund/topology/", ["common"]),
    ("session", r"l2tund/session/", ["common"]),
    ("datapath", r"l2tund/datapath/", ["common", "topology", "session"]),
    ("control", r"l2tund/control/", ["common", "topology", "session"]),
    ("config", r"l2tund/config", ["common", "topology", "session"]),
    ("kernel", r"l2tund/kernel/", ["common", "topology", "session", "datapath", "control", "config"]),
    ("l2tund-main", r"l2tund/main\.c", ["common", "topology", "session", "datapath", "control", "config", "kernel", "daemon"]),
    ("daemon", r"l2tund/", ["common", "topology", "session", "datapath", "control", "config", "kernel"]),
    ("bridgectl-main", r"bridgectl/main\.c", ["common", "ctl-base", "cmd"]),
    ("cmd", r"bridgectl/cmd", ["common", "ctl-base", "domain", "disk", "transfer", "fixup", "hypervisor"]),
    ("domain", r"bridgectl/domain/", ["common"]),
    ("disk", r"bridgectl/disk/", ["common", "domain"]),
    ("transfer", r"bridgectl/transfer/", ["common", "disk"]),
    ("fixup", r"bridgectl/fixup/", ["common", "domain", "disk"]),
    ("hypervisor", r"bridgectl/hypervisor/", ["common", "domain"]),
    ("ctl-base", r"bridgectl/(out|client)", ["common"]),
]

# System headers that belong to one place.
OWNED = [
    (re.compile(r"event2?/|event2?\.h"), re.compile(r"l2tund/kernel/loop\.c")),
    (re.compile(r"netlink/"), re.compile(r"l2tund/kernel/rtnl\w*\.c")),
    (re.compile(r"libfdisk/"), re.compile(r"bridgectl/disk/table\w*\.c")),
    (re.compile(r"blkid/"), re.compile(r"bridgectl/disk/(probe|table|target)\w*\.c")),
    (re.compile(r"libxml/"), re.compile(r"bridgectl/domain/xml\w*\.[ch]|tests/unit/test_xml\.c")),
    (re.compile(r"openssl/ssl\.h"), re.compile(r"bridgectl/transfer/conn\w*\.c")),
    (re.compile(r"zstd\.h"), re.compile(r"bridgectl/transfer/codec\w*\.c")),
    (re.compile(r"libvirt/"), re.compile(r"bridgectl/hypervisor/libvirt\w*\.[ch]")),
    (re.compile(r"ext2fs/|et/com_err\.h"), re.compile(r"bridgectl/fixup/tree_ext\w*\.[ch]")),
    (re.compile(r"archive(_entry)?\.h"), re.compile(r"bridgectl/fixup/initrd\w*\.c")),
    (re.compile(r"seccomp\.h"), re.compile(r"bridgectl/fixup/child\w*\.c")),
]

PURE = re.compile(r"l2tund/(topology|session)/")
IMPURE_HEADER = re.compile(
    r"common/(log|proc)\.h|syslog\.h|sys/(ioctl|epoll|timerfd|mman|wait|un)\.h|fcntl\.h|net/if_tun\.h"
)
IMPURE_CALL = re.compile(
    r"(?<![\w.>])(open|openat|socket|bind|connect|ioctl|read|write|send|sendto|sendmsg|recv|recvfrom"
    r"|recvmsg|time|gettimeofday|clock_gettime|getrandom|getentropy|rand|random|RAND_bytes|getenv"
    r"|printf|fprintf|syslog|log_(?:err|warn|notice|info|debug|write)|usleep|nanosleep)\s*\("
)


def unit_of(path):
    for name, pattern, uses in UNITS:
        if re.match(pattern, path):
            return name, uses
    return None, None


def include_violations(path, text):
    found = []
    unit, uses = unit_of(path)
    for number, line in enumerate(text.splitlines(), 1):
        m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not m:
            continue
        quoted, target = m.group(1) == '"', m.group(2)
        where = f"{path}:{number}"
        for header, owner in OWNED:
            if not quoted and header.match(target) and not owner.fullmatch(path):
                found.append(f"{where}: <{target}> belongs in {owner.pattern} only")
        if unit and PURE.match(path) and IMPURE_HEADER.fullmatch(target):
            found.append(f"{where}: {target} in a pure part")
        if not quoted or target == "build-config.h":
            continue
        if not (ROOT / target).is_file():
            found.append(f'{where}: "{target}" is not a path from the root of the tree')
            continue
        other, _ = unit_of(target)
        if unit and other is None:
            found.append(f"{where}: {unit} may not include {target}")
        elif unit and other != unit and other not in uses:
            found.append(f"{where}: {unit} may not include {target} ({other})")
    return found


def call_violations(path, text):
    if not PURE.match(path) or not path.endswith(".c"):
        return []
    return [
        f"{path}:{number}: {m.group(1)}() in a pure part"
        for number, line in enumerate(code_of(text).splitlines(), 1)
        for m in IMPURE_CALL.finditer(line)
    ]


def test_includes():
    report([v for p in c_files() for v in include_violations(p, read(p))])


def test_pure_parts_call_nothing_impure():
    report([v for p in c_files() for v in call_violations(p, read(p))])


@pytest.mark.parametrize(
    "path, line",
    [
        ("common/x.c", '#include "l2tund/config.h"'),
        ("l2tund/topology/x.c", '#include "l2tund/session/session.h"'),
        ("l2tund/session/x.c", '#include "common/log.h"'),
        ("l2tund/control/x.c", '#include "l2tund/kernel/os.h"'),
        ("l2tund/config_x.c", '#include "l2tund/daemon.h"'),
        ("bridgectl/out_x.c", '#include "bridgectl/cmd.h"'),
        ("bridgectl/domain/x.c", '#include "bridgectl/disk/x.h"'),
        ("bridgectl/disk/x.c", '#include "bridgectl/cmd.h"'),
        ("bridgectl/transfer/x.c", "#include <zstd.h>"),
        ("bridgectl/domain/convert.c", "#include <libxml/xmlwriter.h>"),
        ("bridgectl/cmd/x.c", "#include <libvirt/libvirt.h>"),
        ("bridgectl/fixup/tree.c", "#include <ext2fs/ext2fs.h>"),
        ("bridgectl/fixup/x.c", '#include "bridgectl/hypervisor/hyper.h"'),
        ("bridgectl/cmd/x.c", '#include "l2tund/config.h"'),
        ("l2tund/daemon.c", "#include <event2/event.h>"),
        ("l2tund/kernel/tap.c", "#include <netlink/netlink.h>"),
        ("l2tund/kernel/tap.c", '#include "os.h"'),
    ],
)
def test_include_rules_can_fail(path, line):
    assert include_violations(path, line)


@pytest.mark.parametrize("line", ["x = time(NULL);", "log_err(LOG_CORE, x);", "if (read(fd, b, 1))"])
def test_purity_can_fail(line):
    assert call_violations("l2tund/session/x.c", line)


@pytest.mark.parametrize("line", ["o->random(o, b, 1);", "/* time() */", 'f("read(");', "sa_read(x);"])
def test_purity_lets_pass(line):
    assert not call_violations("l2tund/session/x.c", line)
