/*
 * Settings of the host that cost bridges time: with br_netfilter loaded, frames that a bridge
 * passes go through iptables, ip6tables and arptables as well, by default and in every new network
 * namespace (net/bridge/br_netfilter_hooks.c, brnf_init_net()). Only ever read here: whoever
 * loaded the module may need it.
 */
#include <fcntl.h>
#include <stdio.h>

#include "common/io.h"
#include "common/util.h"
#include "l2tund/kernel/os_linux.h"

static const struct {
	enum os_filter filter;
	const char *host; /* Documentation/networking/ip-sysctl.rst */
	const char *own;  /* net/bridge/br_sysfs_br.c */
} files[] = {
	{ OS_FILTER_IPTABLES, "bridge-nf-call-iptables", "nf_call_iptables" },
	{ OS_FILTER_IP6TABLES, "bridge-nf-call-ip6tables", "nf_call_ip6tables" },
	{ OS_FILTER_ARPTABLES, "bridge-nf-call-arptables", "nf_call_arptables" },
};

/* Whether the file says anything but 0; false when there is none. */
static bool file_is_on(const char *path)
{
	char text[16];
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && io_read_all(fd, text, sizeof(text)) > 0 && text[0] != '0';
}

unsigned bridge_filters(struct os *os, const char *bridge)
{
	unsigned set = 0;
	char path[128];

	(void)os;
	/* Without the module a bridge's own setting is there, but nobody heeds it. */
	if (access("/proc/sys/net/bridge", F_OK) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (bridge)
			snprintf(path, sizeof(path), "/sys/class/net/%s/bridge/%s", bridge,
				 files[i].own);
		else
			snprintf(path, sizeof(path), "/proc/sys/net/bridge/%s", files[i].host);
		if (file_is_on(path))
			set |= 1U << files[i].filter;
	}
	return set;
}
