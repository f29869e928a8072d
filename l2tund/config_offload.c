/*
 * The section `offload`: the switches of the data path. All are on unless the section says
 * otherwise; what the kernel makes of those that are on shows later, in os.h. Super-frames have
 * an unfinished checksum by their nature (TUN_F_TSO4 and TUN_F_USO4 need TUN_F_CSUM, tun(4)), so
 * without `checksum` there are none: no error, since one switch then does what is meant.
 */
#include "common/offload.h"
#include "l2tund/config_private.h"

static const enum offload need_checksum[] = { OFFLOAD_TSO, OFFLOAD_USO };

static void follow_checksum(struct conf *k, cfg_t *sec, unsigned *set)
{
	if (offload_on(*set, OFFLOAD_CHECKSUM))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(need_checksum); i++) {
		const char *name = offload_name(need_checksum[i]);

		if (offload_on(*set, need_checksum[i]) && conf_get(sec, name))
			conf_opt_warn(k, sec, name, NULL,
				      "off all the same, because checksum is off and %s needs "
				      "it; switch both the same way",
				      name);
		*set &= ~(1U << need_checksum[i]);
	}
}

static unsigned build_one(struct conf *k, cfg_t *sec)
{
	unsigned set = 0;

	for (unsigned o = 0; o < OFFLOADS; o++) {
		if (conf_get_bool(k, sec, offload_name((enum offload)o), true))
			set |= 1U << o;
	}
	follow_checksum(k, sec, &set);
	return set;
}

void conf_build_offload(struct conf *k, unsigned count)
{
	k->c->node.offload = OFFLOAD_ALL;
	for (unsigned i = 0; i < count; i++) {
		cfg_t *first = cfg_getnsec(k->tree, "offload", 0);
		cfg_t *sec = cfg_getnsec(k->tree, "offload", i);
		unsigned line, set = build_one(k, sec);
		const char *file = conf_file_at(k, conf_pos(first, NULL), &line);

		if (i == 0)
			k->c->node.offload = set;
		else
			conf_error(k, conf_pos(sec, NULL),
				   "second offload section, the first is %s:%u; make one of them",
				   file, line);
	}
}
