/*
 * Network cards keep their names. udev's persistent rules match the MAC address, which the domain
 * keeps, and often the driver, which it does not. Where systemd would make ens3 of eth0, a .link
 * file per card says what it was called, by its MAC; rules come first for systemd's udev, too, so
 * they do where there is no folder for .link files.
 *
 * ethN and enXN are the N-th card of the domain: Xen numbers them in the order of `vif`.
 */
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/edit_line.h"

#define WHY_RULES "the network cards have another driver; they are known by their MAC addresses"
#define WHY_LINK "systemd would give this card another name than its configuration has"
#define LINKS "/etc/systemd/network"
#define DRIVEN "DRIVERS==\"?*\"" /* a card, whichever */

static const char *const rule_files[] = { "/etc/udev/rules.d/70-persistent-net.rules",
					  "/etc/udev/rules.d/60-net.rules",
					  "/etc/udev/rules.d/30-net_persistent_names.rules",
					  "/etc/udev/rules.d/z25_persistent-net.rules" };

/* Matches of udev rules that only cards of Xen fulfil. */
static const char *const driver_keys[] = {
	"DRIVERS==",	   "DRIVER==",	      "KERNELS==",    "ID==",
	"SYSFS{driver}==", "ATTRS{driver}==", "SUBSYSTEMS==", "BUS=="
};
static const char *const xen_values[] = { "xen", "vif", "netfront" };

/* The number of ethN or enXN; -1: another name. */
static int card_number(const struct word *name)
{
	char *end, buf[EDIT_WORD_MAX];
	long n;

	word_text(name, buf);
	if ((strncmp(buf, "eth", 3) != 0 && strncmp(buf, "enX", 3) != 0) ||
	    !isdigit((unsigned char)buf[3]))
		return -1;
	n = strtol(buf + 3, &end, 10);
	return *end || n > 1000 ? -1 : (int)n;
}

/* The card's MAC address; NULL: the domain has no such card, or none is known. */
static const char *card_mac(const struct plan *p, const struct word *name)
{
	int n = card_number(name);

	return n >= 0 && (unsigned)n < p->o->n_vifs && p->o->vifs[n].mac[0] ? p->o->vifs[n].mac :
									      NULL;
}

static bool is_our_mac(const struct plan *p, const struct word *mac)
{
	for (unsigned i = 0; i < p->o->n_vifs; i++) {
		if (mac->len == strlen(p->o->vifs[i].mac) &&
		    strncasecmp(mac->s, p->o->vifs[i].mac, mac->len) == 0)
			return true;
	}
	return false;
}

/* --- udev's rules --- */

/* One KEY=="value" of a rule, with the comma behind it; `value` inside of the quotes. */
struct match {
	struct word all, key, value;
};

static bool match_next(const char **s, struct match *ret)
{
	const char *p = *s + strspn(*s, " \t,"), *quote = strchr(p, '"'), *end;

	if (*p == '\0' || *p == '#' || !quote)
		return false;
	end = strchr(quote + 1, '"');
	if (!end)
		return false;
	ret->key = (struct word){ p, (size_t)(quote - p) };
	ret->value = (struct word){ quote + 1, (size_t)(end - quote) - 1 };
	end++;
	end += strspn(end, " \t,");
	ret->all = (struct word){ p, (size_t)(end - p) };
	*s = end;
	return true;
}

static bool is_xen_match(const struct match *m)
{
	for (unsigned i = 0; i < ARRAY_SIZE(driver_keys); i++) {
		if (word_is(&m->key, driver_keys[i]))
			return word_begins_any(&m->value, xen_values, ARRAY_SIZE(xen_values));
	}
	return false;
}

static bool is_address(const struct match *m)
{
	return word_is(&m->key, "ATTR{address}==") || word_is(&m->key, "ATTRS{address}==") ||
	       word_is(&m->key, "SYSFS{address}==");
}

static bool find_match(const char *s, const char *key, struct match *ret)
{
	while (match_next(&s, ret)) {
		if (key ? word_is(&ret->key, key) : is_address(ret))
			return true;
	}
	return false;
}

/* Whether the rules name this card by its right address in another line. */
struct right {
	const char *name, *mac;
	bool found;
};

static void look_right(struct line *l)
{
	struct right *right = l->arg;
	struct match name, address;

	right->found |= *l->s != '#' && find_match(l->s, "NAME=", &name) &&
			find_match(l->s, NULL, &address) && word_is(&name.value, right->name) &&
			address.value.len == strlen(right->mac) &&
			strncasecmp(address.value.s, right->mac, address.value.len) == 0;
}

static bool is_named(struct plan *p, const char *path, const struct word *name, const char *mac)
{
	char buf[EDIT_WORD_MAX];
	struct right right = { .name = word_text(name, buf), .mac = mac };

	plan_lines(p, path, WHY_RULES, look_right, &right);
	return right.found;
}

/* The address of another card, as copies of guests have it: under KVM udev would skip this name. */
static void fix_address(struct line *l, const struct match *name, const struct match *address)
{
	const char *mac = card_mac(l->plan, &name->value);
	char buf[EDIT_WORD_MAX];

	if (l->plan->o->n_vifs == 0 || is_our_mac(l->plan, &address->value))
		return;
	if (!mac) {
		line_note(l, "the domain has no card with the address %s",
			  word_text(&address->value, buf));
		return;
	}
	if (is_named(l->plan, l->path, &name->value, mac))
		l->drop = true;
	else
		line_splice(l, &address->value, mac, strlen(mac));
}

/* Of udev since 098; older ones do not know DRIVERS. */
static bool is_parents(const struct match *m)
{
	return word_begins(&m->key, "DRIVERS") || word_begins(&m->key, "KERNELS") ||
	       word_begins(&m->key, "SUBSYSTEMS") || word_begins(&m->key, "ATTRS{");
}

/*
 * The rule without its matches on Xen; false: it has none. They also kept it from VLANs and
 * bridges, which have a card's address but no driver.
 */
static bool without_xen(struct line *l, const struct match *name)
{
	const char *s = l->s, *mac = card_mac(l->plan, &name->value), *rest;
	struct text out = { 0 };
	struct match m;
	bool changed = false, address = find_match(l->s, NULL, &m);
	bool driven = strstr(l->s, DRIVEN) != NULL;

	if (!address && !mac)
		return false;
	text_add(&out, s, strspn(s, " \t"));
	while (match_next(&s, &m)) {
		if (!is_xen_match(&m)) {
			text_add(&out, m.all.s, m.all.len);
			continue;
		}
		if (!address)
			text_printf(&out, "ATTR{address}==\"%s\", ", mac);
		rest = m.value.s + m.value.len + 1;
		if (!driven && is_parents(&m))
			text_printf(&out, DRIVEN "%.*s", (int)(m.all.s + m.all.len - rest), rest);
		driven |= is_parents(&m);
		address = changed = true;
	}
	text_str(&out, s);
	if (changed)
		line_set(l, out.s, out.len);
	text_fini(&out);
	return changed;
}

static void rule_line(struct line *l)
{
	struct match name, address;

	if (*l->s == '#' || !find_match(l->s, "NAME=", &name))
		return;
	if (find_match(l->s, NULL, &address))
		fix_address(l, &name, &address);
}

static void driver_line(struct line *l)
{
	struct match name;

	if (*l->s != '#' && find_match(l->s, "NAME=", &name))
		without_xen(l, &name);
}

/* --- .link files --- */

struct link {
	const char *mac;
	bool found;
};

static void look_link(struct line *l)
{
	struct word w = word_at(l->s, 0);
	struct link *link = l->arg;

	link->found |= word_begins(&w, "MACAddress=") && strcasestr(l->s, link->mac);
}

static void look_link_file(struct plan *p, const char *path, void *arg)
{
	plan_lines(p, path, WHY_LINK, look_link, arg);
}

static bool is_linked(struct plan *p, const struct word *name, const char *mac)
{
	struct link link = { .mac = mac };

	plan_each(p, LINKS, ".link", look_link_file, &link);
	for (unsigned i = 0; i < ARRAY_SIZE(rule_files) && !link.found; i++)
		link.found = is_named(p, rule_files[i], name, mac);
	return link.found;
}

/* The initscripts of Red Hat rename cards to the DEVICE of the ifcfg file with their HWADDR. */
static bool is_renamed(struct plan *p, const char *nic, const char *mac)
{
	char path[TREE_PATH_MAX];
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (!tree_is_file(p->t, "/lib/udev/rename_device"))
		return false;
	snprintf(path, sizeof(path), "/etc/sysconfig/network-scripts/ifcfg-%.200s", nic);
	text = plan_text(p, path, &len);
	return text && strstr(text, "HWADDR=") && strcasestr(text, mac);
}

static void put_link(struct plan *p, const char *name, const char *mac)
{
	char path[TREE_PATH_MAX];
	struct text text = { 0 };
	size_t len;
	char *new;

	snprintf(path, sizeof(path), LINKS "/10-bridgectl-%s.link", name);
	text_printf(&text,
		    "# The card keeps the name that it had on Xen.\n"
		    "[Match]\nMACAddress=%s\n" EDIT_NET_CARDS "\n\n[Link]\nName=%s\n",
		    mac, name);
	new = text_steal(&text, &len);
	plan_set(p, path, new, len, WHY_LINK);
}

static void put_rule(struct plan *p, const char *name, const char *mac)
{
	struct text text = { 0 };
	size_t len;
	char *new;

	text_printf(&text,
		    "SUBSYSTEM==\"net\", ACTION==\"add\", " DRIVEN
		    ", ATTR{address}==\"%s\", NAME=\"%s\"",
		    mac, name);
	if (plan_has(p, rule_files[0])) {
		plan_append(p, rule_files[0], text.s, WHY_LINK);
		text_fini(&text);
		return;
	}
	text_str(&text, "\n");
	new = text_steal(&text, &len);
	plan_set(p, rule_files[0], new, len, WHY_LINK);
}

static void keep_name(struct plan *p, const char *nic)
{
	struct word name = { nic, strlen(nic) };
	const char *mac = card_mac(p, &name);

	if (card_number(&name) < 0)
		return;
	if (!mac)
		edit_note(p,
			  "The network configuration speaks of %s, and no MAC address is known for "
			  "it; under KVM the card has another name.",
			  nic);
	else if (is_linked(p, &name, mac) || is_renamed(p, nic, mac))
		return;
	else if (tree_is_dir(p->t, LINKS))
		put_link(p, nic, mac);
	else if (tree_is_dir(p->t, "/etc/udev/rules.d"))
		put_rule(p, nic, mac);
	else
		edit_note(p,
			  "%s will have another name: there is neither " LINKS
			  " nor /etc/udev/rules.d to keep it.",
			  nic);
}

/* --- What is only looked at --- */

static void look_hwaddr(struct line *l)
{
	static const char *const keys[] = { "HWADDR", "mac-address", "LLADDR" };
	struct word value;
	char buf[EDIT_WORD_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		if (line_assigns(l->s, keys[i], &value) && value.len &&
		    !is_our_mac(l->plan, &value))
			line_note(l,
				  "the domain has no card with the address %s; this connection "
				  "will not come up",
				  word_text(&value, buf));
	}
}

static void look_file(struct plan *p, const char *path, void *arg)
{
	if (p->o->n_vifs && strncmp(path_last(path), "ifcfg-lo", 9) != 0)
		plan_lines(p, path, "", look_hwaddr, arg);
}

static void look_ifcfg(struct plan *p, const char *path, void *arg)
{
	if (strncmp(path_last(path), "ifcfg-", 6) == 0)
		look_file(p, path, arg);
}

void edit_net(struct plan *p)
{
	edit_net_match(p);
	for (unsigned i = 0; i < ARRAY_SIZE(rule_files); i++) {
		plan_lines(p, rule_files[i], WHY_RULES, driver_line, NULL);
		plan_lines(p, rule_files[i], WHY_RULES, rule_line, NULL);
	}
	for (unsigned i = 0; p->in->renames_nics && i < p->in->n_nics; i++)
		keep_name(p, p->in->nics[i]);
	plan_each(p, "/etc/sysconfig/network-scripts", "", look_ifcfg, NULL);
	plan_each(p, "/etc/sysconfig/network", "", look_ifcfg, NULL);
	plan_each(p, "/etc/NetworkManager/system-connections", "", look_file, NULL);
}
