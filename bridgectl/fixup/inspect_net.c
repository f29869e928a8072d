/*
 * How a guest's network is configured, which interfaces that speaks of, and whether its systemd
 * would give them other names under KVM: under Xen an interface has no PCI slot to be named after,
 * so what was eth0 becomes ens3.
 */
#include <stdio.h>
#include <strings.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/inspect_private.h"

static void add_nic(struct inspection *in, const char *s, size_t len)
{
	if (len && !(len == 2 && memcmp(s, "lo", 2) == 0) && !memchr(s, '*', len))
		inspect_add(&in->nics, &in->n_nics, s, len);
}

/* The first tool that names an interface is the one. */
static void tool_is(struct inspection *in, unsigned before, const char *name)
{
	if (!in->nic_tool && in->n_nics > before)
		in->nic_tool = mem_strdup(name);
}

/* interfaces(5): "iface eth0 inet static", "auto eth0 eth1", "allow-hotplug eth0" */
static void read_interfaces(struct inspection *in, const char *name, const char *text)
{
	(void)name;
	for (const char *s = text; *s; s += strcspn(s, "\n"), s += *s == '\n') {
		size_t key;
		bool one;

		s += strspn(s, " \t");
		key = strcspn(s, " \t\n");
		one = key == 5 && inspect_begins(s, "iface");
		if (!one && !(key == 4 && inspect_begins(s, "auto")) &&
		    !(key > 6 && inspect_begins(s, "allow-")))
			continue;
		for (s += key; *s && *s != '\n'; s += strcspn(s, " \t\r\n")) {
			s += strspn(s, " \t\r");
			add_nic(in, s, strcspn(s, " \t\r\n"));
			if (one)
				break;
		}
	}
}

static void read_ifupdown(struct tree *t, struct inspection *in)
{
	_cleanup_free_ char *text = tree_text(t, "/etc/network/interfaces", NULL);

	if (text)
		read_interfaces(in, "", text);
	inspect_each(t, "/etc/network/interfaces.d", "", read_interfaces, in);
}

/*
 * Enough of YAML for netplan's own style: the keys one step deeper than "ethernets:", or
 * "set-name:" where one is renamed.
 */
static void read_netplan(struct inspection *in, const char *name, const char *text)
{
	size_t section = 0, depth = 0; /* columns from 1; 0: none */

	(void)name;
	for (const char *s = text; *s; s += strcspn(s, "\n"), s += *s == '\n') {
		size_t column = strspn(s, " ") + 1, len;

		s += column - 1;
		len = strcspn(s, ":\r\n");
		if (!len || *s == '#' || *s == '-')
			continue;
		if (section && column <= section)
			section = 0;
		if (len == 9 && inspect_begins(s, "ethernets") && s[len] == ':') {
			section = column;
			depth = 0;
			continue;
		}
		if (!section)
			continue;
		if (!depth)
			depth = column;
		if (column != depth || s[len] != ':')
			continue;
		if (len > 2 && (*s == '"' || *s == '\''))
			add_nic(in, s + 1, len - 2);
		else
			add_nic(in, s, len);
	}
}

/* ifcfg-eth0, of Red Hat and SUSE: DEVICE, or what the file is called. */
static void read_ifcfg(struct inspection *in, const char *name, const char *text)
{
	_cleanup_free_ char *device = NULL;

	if (!inspect_begins(name, "ifcfg-") || strchr(name, '~') || inspect_ends(name, ".bak") ||
	    inspect_ends(name, ".orig") || strstr(name, ".rpm"))
		return;
	device = inspect_value(text, "DEVICE");
	if (device && *device)
		add_nic(in, device, strlen(device));
	else
		add_nic(in, name + 6, strlen(name + 6));
}

static void read_keyfile(struct inspection *in, const char *name, const char *text)
{
	_cleanup_free_ char *device = inspect_value(text, "interface-name");

	(void)name;
	if (device)
		add_nic(in, device, strlen(device));
}

/* systemd.network(5): Name= of [Match] */
static void read_networkd(struct inspection *in, const char *name, const char *text)
{
	_cleanup_free_ char *device = inspect_value(text, "Name");

	(void)name;
	if (device)
		add_nic(in, device, strlen(device));
}

static void read_tools(struct tree *t, struct inspection *in)
{
	static const struct {
		const char *folder, *suffix;
		inspect_text_fn fn;
		const char *tool, *program, *else_tool; /* else: where the program is missing */
	} tools[] = {
		{ "/etc/netplan", ".yaml", read_netplan, "netplan", NULL, NULL },
		{ "/etc/sysconfig/network-scripts", "", read_ifcfg, "ifcfg", NULL, NULL },
		{ "/etc/sysconfig/network", "", read_ifcfg, "wicked", "/usr/sbin/wicked", "ifcfg" },
		{ "/etc/NetworkManager/system-connections", "", read_keyfile, "networkmanager",
		  NULL, NULL },
		{ "/etc/systemd/network", ".network", read_networkd, "networkd", NULL, NULL },
	};

	read_ifupdown(t, in);
	tool_is(in, 0, "ifupdown");
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		unsigned before = in->n_nics;
		bool there = !tools[i].program || tree_is_file(t, tools[i].program);

		inspect_each(t, tools[i].folder, tools[i].suffix, tools[i].fn, in);
		tool_is(in, before, there ? tools[i].tool : tools[i].else_tool);
	}
}

/* --- Will they be renamed? --- */

/* Empty, or a link to /dev/null: switches a file of the same name in /usr/lib off. */
static bool is_masked(struct tree *t, const char *path)
{
	struct tree_stat st;
	char to[TREE_PATH_MAX];

	if (t->ops->stat(t, path, &st) < 0)
		return false;
	if (st.kind == TREE_LINK)
		return t->ops->link(t, path, to) == 0 && strcmp(to, "/dev/null") == 0;
	return st.size == 0;
}

/* What the default kernel is told; "" without one. */
static const char *cmdline_of(const struct inspection *in)
{
	for (unsigned i = 0; i < in->n_kernels; i++)
		if (in->kernels[i].is_default && in->kernels[i].cmdline)
			return in->kernels[i].cmdline;
	return "";
}

static bool has_word(const char *line, const char *word)
{
	size_t len = strlen(word);

	for (const char *s = line; (s = strstr(s, word)); s += len)
		if ((s == line || s[-1] == ' ') && (s[len] == ' ' || !s[len]))
			return true;
	return false;
}

/*
 * udev's rule that asks for a name by policy, since systemd 197; Debian 8 has it for those
 * who ask. Since systemd 253, and in Debian 12, the policy knows Xen's interfaces, too, and calls
 * them enX0.
 */
static bool renames(struct tree *t, const struct inspection *in)
{
	static const char *const rules[] = { "80-net-setup-link.rules", "80-net-name-slot.rules" };
	static const char *const folders[] = { "/usr/lib/udev/rules.d", "/lib/udev/rules.d" };
	const char *cmdline = cmdline_of(in);

	if (has_word(cmdline, "net.ifnames=0") ||
	    is_masked(t, "/etc/systemd/network/99-default.link"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(rules) * ARRAY_SIZE(folders); i++) {
		const char *rule = rules[i / 2], *folder = folders[i % 2];
		char path[TREE_PATH_MAX], mask[TREE_PATH_MAX];
		_cleanup_free_ char *text = NULL;

		snprintf(mask, sizeof(mask), "/etc/udev/rules.d/%s", rule);
		snprintf(path, sizeof(path), "%s/%s", folder, rule);
		text = is_masked(t, mask) ? NULL : tree_text(t, path, NULL);
		if (text)
			return !strstr(text, "ENV{net.ifnames}!=\"1\"") ||
			       has_word(cmdline, "net.ifnames=1");
	}
	return false;
}

/* The first number of a package's version as dpkg(1) has it: 237 of "237-3ubuntu10"; 0: none. */
static unsigned long dpkg_version(struct tree *t, const char *package)
{
	_cleanup_free_ char *status = tree_text(t, "/var/lib/dpkg/status", NULL);
	char head[80];
	const char *at, *version, *end;

	snprintf(head, sizeof(head), "Package: %s\n", package);
	for (at = status; at && (at = strstr(at, head)); at++)
		if (at == status || at[-1] == '\n')
			break;
	version = at ? strstr(at, "\nVersion: ") : NULL;
	end = at ? strstr(at, "\n\n") : NULL;
	if (!version || (end && end < version))
		return 0;
	return strtoul(version + strlen("\nVersion: "), NULL, 10);
}

/*
 * initramfs-tools puts udev with its policy into the initramfs, and the driver of the card. Before
 * systemd 240 (NAMING_ALLOW_RERENAMES) what was renamed once keeps that name: Debian 9, Ubuntu
 * 16.04 and 18.04.
 */
static bool renames_once(struct tree *t, const struct inspection *in)
{
	unsigned long version;

	if (!in->renames_nics || !tree_is_dir(t, "/etc/initramfs-tools"))
		return false;
	version = dpkg_version(t, "udev");
	for (unsigned i = 0; version && version < 240 && i < in->n_nics; i++)
		if (inspect_begins(in->nics[i], "eth"))
			return true;
	return false;
}

void inspect_net(struct tree *t, struct inspection *in)
{
	read_tools(t, in);
	in->renames_nics = renames(t, in);
	in->renames_once = renames_once(t, in);
	for (unsigned i = 0; i < in->n_nics; i++)
		if (inspect_begins(in->nics[i], "enX"))
			inspect_note(in,
				     "the network configuration speaks of %.40s, a name that an "
				     "interface has under Xen only",
				     in->nics[i]);
	if (!in->nic_tool)
		inspect_note(in, "no configuration of a network was found");
}
