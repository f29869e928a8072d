/*
 * What systemd's .link and .network files say of the card that they are about, as
 * systemd.link(5) has it. A driver or a path on the bus of Xen means none under KVM: the place
 * there becomes the card's MAC address, the driver any card that has a slot. That also keeps out
 * what it kept out before: VLANs and bridges, which have the card's address but no slot.
 *
 * Lists that name others beside Xen's stay, as do those with "!".
 */
#include <ctype.h>

#include "bridgectl/fixup/edit_line.h"

#define FOLDER "/etc/systemd/network"
#define WHY "the network cards have another driver and another bus; their MAC addresses stay"
#define PLACE "xen-vif-" /* and the number of the card: ID_PATH as udev's path_id makes it */

static const char *const xen_values[] = { "xen", "*xen", "vif", "*vif", "netfront" };

struct match {
	bool inside;  /* of [Match] */
	bool address; /* it has a MAC address */
	bool path;    /* it has a path that is not Xen's */
};

static struct word trimmed(const char *s, const char *end)
{
	while (s < end && isblank((unsigned char)*s))
		s++;
	while (end > s && isblank((unsigned char)end[-1]))
		end--;
	return (struct word){ s, (size_t)(end - s) };
}

/* A line of [Match]; false: anything else, or the beginning of a section. */
static bool in_match(struct line *l, struct word *ret_key, struct word *ret_value)
{
	struct match *match = l->arg;
	struct word all = trimmed(l->s, l->s + l->len);
	const char *equals = memchr(l->s, '=', l->len);

	if (all.len && *all.s == '[')
		match->inside = word_is(&all, "[Match]");
	if (!match->inside || !equals || *all.s == '#' || *all.s == ';')
		return false;
	*ret_key = trimmed(l->s, equals);
	*ret_value = trimmed(equals + 1, l->s + l->len);
	return true;
}

static bool is_xen_word(const struct word *w)
{
	return word_begins_any(w, xen_values, ARRAY_SIZE(xen_values));
}

/* All of a list. */
static bool is_xen(const struct word *value)
{
	char buf[EDIT_WORD_MAX];
	const char *s = word_text(value, buf);
	struct word w;
	bool any = false;

	while (word_next(&s, &w)) {
		if (!is_xen_word(&w))
			return false;
		any = true;
	}
	return any;
}

/* The card that a path means; -1: more than one. */
static int card_at(const struct word *path)
{
	char buf[EDIT_WORD_MAX], *end;
	long n;

	word_text(path, buf);
	if (!word_begins(path, PLACE) || !isdigit((unsigned char)buf[strlen(PLACE)]))
		return -1;
	n = strtol(buf + strlen(PLACE), &end, 10);
	return *end || n > 1000 ? -1 : (int)n;
}

static void look_line(struct line *l)
{
	struct match *match = l->arg;
	struct word key, value;

	if (!in_match(l, &key, &value))
		return;
	match->address |=
		value.len && (word_is(&key, "MACAddress") || word_is(&key, "PermanentMACAddress"));
	match->path |= value.len && word_is(&key, "Path") && !is_xen(&value);
}

/* False: it cannot be known, which is told. */
static bool put_address(struct line *l, unsigned card)
{
	const struct edit_options *o = l->plan->o;
	struct match *match = l->arg;

	if (card >= o->n_vifs || !o->vifs[card].mac[0]) {
		line_note(l,
			  "no MAC address is known for network card %u; under KVM this file is "
			  "about none",
			  card);
		return false;
	}
	text_printf(&l->before, "MACAddress=%s\n", o->vifs[card].mac);
	match->address = true;
	return true;
}

static void match_line(struct line *l)
{
	struct match *match = l->arg;
	struct word key, value;
	int card;

	if (!in_match(l, &key, &value) || !is_xen(&value))
		return;
	if (word_is(&key, "Virtualization")) {
		line_splice(l, &value, "vm", strlen("vm"));
		return;
	}
	if (!word_is(&key, "Driver") && !word_is(&key, "Path"))
		return;
	card = word_is(&key, "Path") ? card_at(&value) : -1;
	if (card >= 0 && !match->address && !put_address(l, (unsigned)card))
		return;
	l->drop = match->path;
	match->path = true;
	line_set(l, EDIT_NET_CARDS, strlen(EDIT_NET_CARDS));
}

static void match_file(struct plan *p, const char *path, void *arg)
{
	struct match match = { 0 };

	(void)arg;
	plan_lines(p, path, WHY, look_line, &match);
	match.inside = false;
	plan_lines(p, path, WHY, match_line, &match);
}

void edit_net_match(struct plan *p)
{
	plan_each(p, FOLDER, ".link", match_file, NULL);
	plan_each(p, FOLDER, ".network", match_file, NULL);
}
