/*
 * Packet sockets (packet(7)) for probes: frames as they are on the wire. The kernel takes the outer
 * VLAN tag off and tells it apart (PACKET_AUXDATA); it is put back, since which VLAN a
 * probe came by is part of what it proves.
 *
 * A socket bound to one ethertype never hears of the tag: the kernel forgets it before it
 * looks for such sockets. So all are bound to ETH_P_ALL, and a filter picks the type, the
 * one behind the tag. What other sockets of this host send out by the interface is heard
 * too, and has to be: a second daemon on the same bridge is a path.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include "common/util.h"
#include "l2tund/kernel/os_linux.h"

#define FRAMES_PER_TURN 64
#define VLAN_BYTES 4
#define MACS_BYTES (2 * ETH_ALEN)

/* Owned by the daemon. */
struct os_packet {
	struct os_linux *ol;
	int fd;
	struct loop_fd *event;
	const struct os_packet_ops *ops;
	void *arg;
	bool busy; /* its read loop is under way: closed now, freed at the end of it */
	bool closed;
};

static bool get_auxdata(struct msghdr *m, struct tpacket_auxdata *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA &&
		    c->cmsg_len >= CMSG_LEN(sizeof(*ret))) {
			memcpy(ret, CMSG_DATA(c), sizeof(*ret));
			return true;
		}
	}
	return false;
}

/* Makes room between addresses and type, in the VLAN_BYTES in front of the frame. */
static uint8_t *put_tag(uint8_t *frame, const struct tpacket_auxdata *aux)
{
	uint16_t tpid =
		aux->tp_status & TP_STATUS_VLAN_TPID_VALID ? aux->tp_vlan_tpid : ETH_P_8021Q;
	uint8_t *start = frame - VLAN_BYTES;

	memmove(start, frame, MACS_BYTES);
	start[MACS_BYTES] = (uint8_t)(tpid >> 8);
	start[MACS_BYTES + 1] = (uint8_t)tpid;
	start[MACS_BYTES + 2] = (uint8_t)(aux->tp_vlan_tci >> 8);
	start[MACS_BYTES + 3] = (uint8_t)aux->tp_vlan_tci;
	return start;
}

/* False: nothing is waiting. */
static bool packet_read_one(struct os_packet *p)
{
	char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))] __attribute__((aligned(8)));
	uint8_t *frame = p->ol->scratch + VLAN_BYTES;
	struct iovec iov = { .iov_base = frame, .iov_len = SCRATCH_BYTES - VLAN_BYTES };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct tpacket_auxdata aux;
	ssize_t n = recvmsg(p->fd, &m, MSG_DONTWAIT);

	if (n < 0)
		return errno ==
		       EINTR; /* ENETDOWN, when it was set down, is told once and is over */
	if (n < ETH_HLEN)
		return true;
	if (get_auxdata(&m, &aux) && aux.tp_status & TP_STATUS_VLAN_VALID) {
		frame = put_tag(frame, &aux);
		n += VLAN_BYTES;
	}
	p->ops->frame(p->arg, frame, (size_t)n);
	return true;
}

static void packet_ready(void *arg, unsigned what)
{
	struct os_packet *p = arg;
	unsigned frames = 0;

	(void)what;
	p->busy = true;
	while (!p->closed && frames++ < FRAMES_PER_TURN && packet_read_one(p))
		continue;
	p->busy = false;
	if (p->closed)
		free(p);
}

static int set_filter(int fd, uint16_t ethertype)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PROTOCOL),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ethertype, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog prog = { .len = ARRAY_SIZE(code), .filter = code };

	if (!ethertype)
		return 0;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

static int socket_bind(int ifindex, uint16_t ethertype)
{
	const struct sockaddr_ll ll = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = ifindex,
	};
	const int on = 1;
	/* Protocol 0: nothing is heard, from no interface, until bind() says from which. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) == 0 &&
	    set_filter(fd, ethertype) == 0 &&
	    bind(fd, (const struct sockaddr *)&ll, sizeof(ll)) == 0)
		return fd;
	err = errno;
	close(fd);
	return -err;
}

int packet_open(struct os *os, int ifindex, uint16_t ethertype, const struct os_packet_ops *ops,
		void *arg, struct os_packet **ret)
{
	struct os_packet *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->ol = os_linux(os);
	p->ops = ops;
	p->arg = arg;
	p->fd = r = ifindex > 0 ? socket_bind(ifindex, ethertype) : -ENODEV;
	if (r >= 0)
		r = loop_fd_new(p->ol->loop, p->fd, packet_ready, p, &p->event);
	if (r < 0) {
		packet_close(os, p);
		return r;
	}
	*ret = p;
	return 0;
}

int packet_send(struct os *os, struct os_packet *p, const uint8_t *frame, size_t len)
{
	(void)os;
	return send(p->fd, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void packet_close(struct os *os, struct os_packet *p)
{
	(void)os;
	if (!p)
		return;
	loop_fd_free(p->event);
	if (p->fd >= 0)
		close(p->fd);
	p->closed = true;
	if (!p->busy)
		free(p);
}
