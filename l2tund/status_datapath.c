/*
 * Who finds a tunnel slow, or lossy, shall see why without a debugger: each switch of the data
 * path is active or has a reason, and each lost frame is counted under one. Reads only.
 *
 * What the kernel half made of its switches is asked at every call: a device may
 * have been made anew, and a peer may have moved to another socket.
 */
#include "l2tund/status_datapath.h"

#include "common/addr.h"
#include "common/offload.h"
#include "l2tund/daemon.h"
#include "l2tund/datapath/reasm.h"
#include "l2tund/peer.h"
#include "l2tund/tunnel.h"

#define BIT(o) (1U << (o))
#define NEED_CHECKSUM (BIT(OFFLOAD_TSO) | BIT(OFFLOAD_USO))
#define TAP_OFFLOADS (BIT(OFFLOAD_CHECKSUM) | NEED_CHECKSUM | BIT(OFFLOAD_JOIN))
#define UDP_OFFLOADS (BIT(OFFLOAD_UDP_SEGMENT) | BIT(OFFLOAD_UDP_GRO))
/* No kernel is asked about these. */
#define OWN_OFFLOADS (BIT(OFFLOAD_COALESCE) | BIT(OFFLOAD_PACK))

/* The socket of the peer's path; while there is no path, the one that a call would leave by. */
static const struct os_udp *offload_socket(const struct tunnel *t)
{
	const struct daemon *d = t->daemon;
	const struct path *path = session_path(t->peer->session);

	if (addr_is_set(&path->remote) && d->sockets[path->socket])
		return d->sockets[path->socket];
	for (unsigned i = 0; i < d->config->node.n_listen; i++) {
		if (d->sockets[i])
			return d->sockets[i];
	}
	return NULL;
}

/* Those of `set` that are wanted are not to be had, for this reason. */
static void offload_miss(struct offloads *os, unsigned set, const char *why)
{
	os->active |= set;
	for (unsigned o = 0; o < OFFLOADS; o++) {
		if (offload_on(set, (enum offload)o))
			offload_refuse(os, (enum offload)o, "%s", why);
	}
}

static void offload_ask(const struct tunnel *t, unsigned wanted, struct offloads *ret)
{
	struct os *os = t->daemon->os;
	const struct os_udp *u = offload_socket(t);

	ret->active = wanted & OWN_OFFLOADS;
	if (t->port.tap)
		os->tap_offloads(os, t->port.tap, ret);
	else
		offload_miss(ret, wanted & TAP_OFFLOADS, "there is no TAP device at present");
	if (u)
		os->udp_offloads(os, u, ret);
	else
		offload_miss(ret, wanted & UDP_OFFLOADS, "there is no UDP socket at present");
}

static const char *offload_why(const struct offloads *os, unsigned wanted, enum offload o)
{
	if (!offload_on(wanted, OFFLOAD_CHECKSUM) && offload_on(NEED_CHECKSUM, o))
		return "needs checksum, which is switched off in l2tund.conf";
	if (!offload_on(wanted, o))
		return "switched off in l2tund.conf";
	return os->why[o][0] ? os->why[o] : "not in use";
}

json_t *status_offloads(const struct tunnel *t)
{
	unsigned wanted = t->daemon->config->node.offload;
	struct offloads os = { 0 };
	json_t *all = json_object();

	offload_ask(t, wanted, &os);
	for (unsigned i = 0; i < OFFLOADS; i++) {
		enum offload o = (enum offload)i;
		json_t *one = offload_on(os.active, o) ? json_pack("{s:b}", "active", 1) :
							 json_pack("{s:b s:s}", "active", 0, "why",
								   offload_why(&os, wanted, o));

		json_object_set_new(all, offload_name(o), one);
	}
	return all;
}

static void drops_add(json_t *all, const char *name, uint64_t n)
{
	json_object_set_new(all, name, json_integer((json_int_t)n));
}

static json_t *drops_own(const struct tunnel *t)
{
	json_t *all = json_object();
	struct tunnel_counters c;

	tunnel_counters(t, &c);
	drops_add(all, "gate", c.drop_gate);
	drops_add(all, "policer", c.drop_policer);
	for (unsigned i = 0; i < DROPS; i++)
		drops_add(all, drop_name((enum drop)i), c.drop[i]);
	return all;
}

static json_t *drops_session(const struct tunnel *t)
{
	const struct reasm_counters *r = stream_reasm_counters(peer_stream(t->peer));
	struct stream_counters c;
	json_t *all = json_object();
	struct session_info i;

	peer_counters(t->peer, &c);
	session_get_info(t->peer->session, &i);
	drops_add(all, "auth", i.drop_auth);
	drops_add(all, "replay", i.drop_replay);
	drops_add(all, "decode", i.drop_decode + c.drop_decode);
	drops_add(all, "chunk-timeout", r->lost_timeout);
	drops_add(all, "chunk-full", r->lost_full);
	drops_add(all, "chunk-conflict", r->lost_conflict);
	drops_add(all, "chunk-reset", r->lost_reset);
	for (unsigned d = 0; d < DROPS; d++)
		drops_add(all, drop_name((enum drop)d), c.drop[d]);
	return all;
}

json_t *status_drops(const struct tunnel *t)
{
	return json_pack("{s:o s:o}", "tunnel", drops_own(t), "session", drops_session(t));
}
