/*
 * The libvirt back-end: connection and errors.
 *
 * libvirt keeps the last error per thread and prints it by itself: that is switched off, and
 * lv_fail() makes one sentence of it, in the thread that called. A connection has a thread for
 * libvirt's event loop from its beginning to its end, because remote and embedded drivers both
 * need one that never waits for anything else.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/hypervisor/libvirt_private.h"

#define URI_DEFAULT "qemu:///system"
#define KEEPALIVE_S 5
#define KEEPALIVE_N 5 /* so many without an answer: the daemon is gone, as virsh has it */

/* --- Errors --- */

static const struct {
	int code, r;
} codes[] = {
	{ VIR_ERR_NO_DOMAIN, -ESRCH },
	{ VIR_ERR_DOM_EXIST, -EEXIST },
	{ VIR_ERR_OPERATION_TIMEOUT, -ETIMEDOUT },
	{ VIR_ERR_OPERATION_ABORTED, -EINTR },
	{ VIR_ERR_ACCESS_DENIED, -EACCES },
	{ VIR_ERR_OPERATION_DENIED, -EACCES },
	{ VIR_ERR_AUTH_FAILED, -EACCES },
	{ VIR_ERR_NO_SUPPORT, -EOPNOTSUPP },
	{ VIR_ERR_OPERATION_UNSUPPORTED, -EOPNOTSUPP },
	{ VIR_ERR_ARGUMENT_UNSUPPORTED, -EOPNOTSUPP },
	{ VIR_ERR_CONFIG_UNSUPPORTED, -EINVAL },
	{ VIR_ERR_XML_ERROR, -EINVAL },
	{ VIR_ERR_XML_DETAIL, -EINVAL },
	{ VIR_ERR_XML_INVALID_SCHEMA, -EINVAL },
	{ VIR_ERR_OPERATION_INVALID, -EINVAL },
};

static int errno_of(int code)
{
	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].code == code)
			return codes[i].r;
	return -EIO;
}

/* What libvirt says before what it says. */
static const char *without_prefix(const char *s)
{
	static const char *const prefixes[] = {
		"internal error: ",
		"operation failed: ",
		"Requested operation is not valid: ",
		"unsupported configuration: ",
		"Domain not found: ",
		"XML error: ",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (!strncmp(s, prefixes[i], strlen(prefixes[i])))
			return s + strlen(prefixes[i]);
	return s;
}

/* Lines become one, without a full stop. In place. */
static void one_line(char *s)
{
	char *to = s;

	for (const char *p = s; *p; p++)
		if (!isspace((unsigned char)*p))
			*to++ = *p;
		else if (to > s && to[-1] != ' ')
			*to++ = ' ';
	while (to > s && (to[-1] == ' ' || to[-1] == '.'))
		to--;
	*to = '\0';
}

/* What to do about some of QEMU's own words; the others name what is wrong. */
static const char *what_to_do(const char *said)
{
	static const struct {
		const char *words, *advice;
	} known[] = {
		{ "Failed to lock byte", "; its disk is in use: by another domain, or a copy that "
					 "still runs (bridgectl disk status)" },
		{ "\" lock", "; its disk is in use: by another domain, or a copy that still "
			     "runs (bridgectl disk status)" },
		{ "Cannot get interface MTU", "; that bridge is not on this host: create it, or "
					      "convert with --bridge OLD=NEW" },
		{ "KVM kernel module", "; this host has no KVM: convert with --type qemu, or "
				       "switch virtualisation on in the BIOS" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (strstr(said, known[i].words))
			return known[i].advice;
	return "";
}

int lv_fail(const char *domain, const char *what, char *err)
{
	const virError *e = virGetLastError();
	_cleanup_free_ char *said = mem_strdup(e && e->message ? e->message : "no reason given");

	one_line(said);
	if (e && e->code == VIR_ERR_NO_DOMAIN)
		return hyper_fail(
			err, -ESRCH,
			"%s: libvirt has no such domain; `bridgectl domain list` shows all",
			domain);
	return hyper_fail(err, errno_of(e ? e->code : 0), "%s: cannot %s: %.700s%s", domain, what,
			  without_prefix(said), what_to_do(said));
}

static void say_nothing(void *arg, virErrorPtr e)
{
	(void)arg;
	(void)e;
}

/* --- Connection --- */

/* Where people look first when nothing answers. */
static const char *advice(const char *uri)
{
	if (strstr(uri, "+ssh:") || strstr(uri, "+tls:") || strstr(uri, "+tcp:"))
		return "check that its host is reachable and lets you in, and that libvirtd or "
		       "virtqemud runs there";
	return "check that libvirtd or virtqemud runs (systemctl status libvirtd virtqemud) and "
	       "that you are root or in the group libvirt";
}

virConnectPtr lv_connect(const char *uri, char *err)
{
	virConnectPtr conn;
	const virError *e;
	_cleanup_free_ char *said = NULL;

	if (virInitialize() == 0) {
		virSetErrorFunc(NULL, say_nothing);
		conn = virConnectOpen(uri);
		if (conn)
			return conn;
	}
	e = virGetLastError();
	said = mem_strdup(e && e->message ? e->message : "no reason given");
	one_line(said);
	hyper_fail(err, -EIO, "libvirt does not answer at %.200s (%.500s); %s", uri,
		   without_prefix(said), advice(uri));
	return NULL;
}

const char *libvirt_default_uri(void)
{
	const char *from_env = getenv("LIBVIRT_DEFAULT_URI");

	return from_env && *from_env ? from_env : URI_DEFAULT;
}

static void on_close(virConnectPtr conn, int reason, void *arg)
{
	struct lv *lv = arg;

	(void)conn;
	(void)reason;
	pthread_mutex_lock(&lv->lock);
	lv->gone = true;
	pthread_cond_broadcast(&lv->changed);
	pthread_mutex_unlock(&lv->lock);
}

static void lv_close(struct hyper *h)
{
	struct lv *lv = lv_of(h);

	if (lv->conn) {
		virConnectUnregisterCloseCallback(lv->conn, on_close);
		virConnectClose(lv->conn);
	}
	lv_events_end();
	pthread_cond_destroy(&lv->changed);
	pthread_mutex_destroy(&lv->lock);
	free(lv->uri);
	free(lv);
}

static const struct hyper_ops ops = {
	.name = "libvirt",
	.list = lv_list,
	.define = lv_define,
	.start = lv_start,
	.stop = lv_stop,
	.console = lv_console,
	.autostart = lv_autostart,
	.migrate = lv_migrate,
	.dump = lv_dump,
	.close = lv_close,
};

int hyper_libvirt_open(const char *uri, struct hyper **ret, char *err)
{
	struct lv *lv = mem_new(sizeof(*lv));
	int r;

	lv->h.ops = &ops;
	r = lv_events_begin(err);
	if (r) {
		free(lv);
		return r;
	}
	lv->uri = mem_strdup(uri ? uri : libvirt_default_uri());
	pthread_mutex_init(&lv->lock, NULL);
	lv_cond_init(&lv->changed);
	lv->conn = lv_connect(lv->uri, err);
	if (!lv->conn) {
		lv_close(&lv->h);
		return -ENOTCONN;
	}
	/* Not all drivers can. A daemon that hangs must not make Ctrl-C wait for ever. */
	virConnectRegisterCloseCallback(lv->conn, on_close, lv, NULL);
	virConnectSetKeepAlive(lv->conn, KEEPALIVE_S, KEEPALIVE_N);
	*ret = &lv->h;
	return 0;
}

const char *libvirt_uri(const struct hyper *h)
{
	return container_of(h, const struct lv, h)->uri;
}

/* "qemu:///system", "qemu+unix:///system?…": no host between the second and the third slash. */
bool libvirt_is_here(const struct hyper *h)
{
	const char *uri = libvirt_uri(h), *host = strstr(uri, "://");

	return host && host[3] == '/' && strncmp(uri, "test", 4) != 0;
}

int lv_find(struct lv *lv, const char *domain, virDomainPtr *ret, char *err)
{
	virDomainPtr d = virDomainLookupByName(lv->conn, domain);

	if (!d)
		return lv_fail(domain, "be looked up", err);
	*ret = d;
	return 0;
}
