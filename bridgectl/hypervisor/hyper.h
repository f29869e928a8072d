/*
 * The hypervisor of this host as commands see it: libvirt (libvirt*.c) or Xen's toolstack xl or xm
 * (xen*.c). Commands know domains by name and one small set of deeds; what a back-end cannot do it
 * says, in a sentence, with -EOPNOTSUPP.
 */
#ifndef BRIDGECTL_HYPERVISOR_HYPER_H
#define BRIDGECTL_HYPERVISOR_HYPER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/util.h"

#define HYPER_ERRLEN 1024
#define HYPER_UUID_LEN 37
#define HYPER_UNKNOWN -1 /* of an int */

enum hyper_state { HYPER_OFF, HYPER_RUNNING, HYPER_PAUSED, HYPER_ENDING, HYPER_CRASHED };

struct hyper_vif {
	char mac[18];		  /* small letters */
	char *bridge, *interface; /* the host's end: vif3.0, vnet2; NULL: not known */
};

/* Of a running domain, and of one that is only defined where the back-end keeps such. */
struct hyper_domain {
	char *name, *config;	   /* config: the file that it was made from, if known; else NULL */
	char uuid[HYPER_UUID_LEN]; /* "" when not known */
	int id;			   /* HYPER_UNKNOWN when off */
	enum hyper_state state;
	uint64_t memory; /* bytes */
	unsigned vcpus;
	int autostart; /* 0, 1, HYPER_UNKNOWN */
	struct hyper_vif *vifs;
	unsigned n_vifs;
};

struct hyper_list {
	struct hyper_domain *v; /* by name */
	unsigned n;
};

struct hyper;

/* How it goes: a sentence now and then; how much is done in 1/1000, or HYPER_UNKNOWN. */
typedef void (*hyper_progress_fn)(void *arg, const char *what, int permille);

struct hyper_wait {
	unsigned timeout_s;		   /* then it is given up with -ETIMEDOUT */
	bool force;			   /* then, or if there is no other way: by force */
	const volatile sig_atomic_t *stop; /* nonzero: -EINTR; may be NULL */
	hyper_progress_fn progress;
	void *arg;
};

struct hyper_target {
	const char *host;     /* as ssh takes it */
	const char *uri;      /* libvirt's of that host; NULL: qemu+ssh://HOST/system */
	const char *ssh;      /* Xen: "ssh -p 22", with which xl reaches it; NULL: "ssh" */
	bool copy_disks;      /* storage is not shared: copy it along; the disks must be there */
	unsigned rate_mib;    /* per second at most; 0: no limit */
	unsigned downtime_ms; /* the longest standstill; 0: the back-end's choice */
};

/*
 * Every deed: 0, or negative errno and one sentence in `err` (HYPER_ERRLEN) that names the domain.
 * -ESRCH: there is no such domain; -EEXIST: there is; -EALREADY: it is so already.
 */
struct hyper_ops {
	const char *name; /* "libvirt", "xl", "xm" */
	/* All domains; to be freed by hyper_list_fini(). */
	int (*list)(struct hyper *h, struct hyper_list *ret, char *err);
	/* Takes over a definition: domain XML. Replaces one only when `replace`. */
	int (*define)(struct hyper *h, const char *text, bool replace, char *err);
	/* By name, or Xen: the path of its file. */
	int (*start)(struct hyper *h, const char *domain, char *err);
	/* Asks the guest to shut down and waits until it is off. */
	int (*stop)(struct hyper *h, const char *domain, const struct hyper_wait *w, char *err);
	/* Hands the terminal over until the user leaves. */
	int (*console)(struct hyper *h, const char *domain, char *err);
	/* *ret_told: what was done and what else may start it, a sentence per line; or NULL. */
	int (*autostart)(struct hyper *h, const char *domain, bool on, char **ret_told, char *err);
	int (*migrate)(struct hyper *h, const char *domain, const struct hyper_target *to,
		       const struct hyper_wait *w, char *err);
	/* Its definition as text: domain XML, or JSON of xl. A new string. */
	int (*dump)(struct hyper *h, const char *domain, bool live, char **ret, char *err);
	void (*close)(struct hyper *h);
};

/* Back-ends put this first into their own. */
struct hyper {
	const struct hyper_ops *ops;
};

/* The user's choice, from --connect and --xen. */
struct hyper_choice {
	const char *uri; /* of libvirt; NULL: qemu:///system, LIBVIRT_DEFAULT_URI */
	const char *xen; /* "xl", "xm", a path; "": what is there; NULL: no word about it */
};

/*
 * Without a choice it is Xen's toolstack on a host where Xen runs (/proc/xen/capabilities says
 * control_d), else libvirt. Close it with hyper_close(). 0 or negative errno and `err`.
 */
int hyper_open(const struct hyper_choice *c, struct hyper **ret, char *err);
void hyper_close(struct hyper *h);
/* This host is the control domain of Xen. */
bool hyper_xen_is_here(void);

const char *hyper_state_name(enum hyper_state state); /* "running" */
const struct hyper_domain *hyper_find(const struct hyper_list *l, const char *name);
void hyper_list_fini(struct hyper_list *l);

/* One of them; `tool` and `uri` as in struct hyper_choice. */
int hyper_xen_open(const char *tool, struct hyper **ret, char *err);
int hyper_libvirt_open(const char *uri, struct hyper **ret, char *err);

#endif
