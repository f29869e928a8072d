/*
 * Readers of what xl and xm print. The shapes are those of tools/xl/xl_info.c, xl_sxp.c and
 * xl_nic.c of Xen 4.1 to 4.17 and of xend's tools/python/xen/xm/main.py; tests/golden/hypervisor
 * has one of each. Another version may print more: what is not known is passed over, never an
 * error.
 */
#include "bridgectl/hypervisor/xen_read.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/hypervisor/hyper_private.h"
#include "bridgectl/hypervisor/sxp.h"

#define MIB ((uint64_t)1 << 20)
#define WORDS_MAX 24 /* of a line */
#define WORD_MAX 256

/* --- Small texts --- */

/* Decimal, at most nine digits. False: it is something else. */
static bool number(const char *s, size_t len, unsigned *ret)
{
	unsigned v = 0;

	if (!len || len > 9)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)s[i]))
			return false;
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	*ret = v;
	return true;
}

/*
 * 00:16:3E:… or 00163e…, in small letters. "" for none, and for zeros, which old xl has for none.
 */
static void read_mac(const char *s, char ret[18])
{
	char mac[18];
	unsigned n = 0, other = 0;

	for (; *s && n < 17; s++) {
		if (*s == ':')
			continue;
		if (!isxdigit((unsigned char)*s))
			return;
		if (n % 3 == 2)
			mac[n++] = ':';
		mac[n++] = (char)tolower((unsigned char)*s);
		other |= *s != '0';
	}
	mac[n] = '\0';
	if (!*s && n == 17 && other)
		strcpy(ret, mac);
}

static bool is_uuid(const char *s, size_t len)
{
	if (len != HYPER_UUID_LEN - 1)
		return false;
	for (unsigned i = 0; i < len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return false;
	}
	return true;
}

static void set_uuid(struct hyper_domain *d, const char *s, size_t len)
{
	if (!is_uuid(s, len))
		return;
	for (size_t i = 0; i < len; i++)
		d->uuid[i] = (char)tolower((unsigned char)s[i]);
	d->uuid[len] = '\0';
}

/* r running, b blocked, p paused, s shut down, then why (c: crashed), d dying. */
static enum hyper_state state_of(const char *letters)
{
	if (letters[4] == 'c')
		return HYPER_CRASHED;
	if (letters[3] == 's' || letters[5] == 'd')
		return HYPER_ENDING;
	return letters[2] == 'p' ? HYPER_PAUSED : HYPER_RUNNING;
}

static bool is_state(const char *s, size_t len)
{
	static const char *const allowed[] = { "r-", "b-", "p-", "s-", "-rscwS?", "d-" };

	if (len != ARRAY_SIZE(allowed))
		return false;
	for (unsigned i = 0; i < len; i++)
		if (!s[i] || !strchr(allowed[i], s[i]))
			return false;
	return true;
}

static struct hyper_vif *add_vif(struct hyper_domain *d)
{
	return d->n_vifs < XEN_VIFS_MAX ? mem_push(d->vifs, d->n_vifs) : NULL;
}

/* vif3.0, as Xen's drivers of Linux name it. */
static char *usual_interface(int id, unsigned number)
{
	char name[32];

	snprintf(name, sizeof(name), "vif%d.%u", id, number);
	return mem_strdup(name);
}

/* --- Tables --- */

struct word {
	const char *s;
	size_t len;
};

static unsigned cut_words(const char *line, size_t len, struct word *words)
{
	unsigned n = 0;
	size_t i = 0;

	while (n < WORDS_MAX) {
		while (i < len && isspace((unsigned char)line[i]))
			i++;
		if (i == len)
			break;
		words[n].s = line + i;
		while (i < len && !isspace((unsigned char)line[i]))
			i++;
		words[n].len = (size_t)(line + i - words[n].s);
		n++;
	}
	return n;
}

/* Word `at` is the state; in front of it: name, id, MiB, vcpus. */
static void add_running(struct hyper_list *l, const char *line, const struct word *w, unsigned at,
			unsigned n)
{
	unsigned id, mib, vcpus;
	struct hyper_domain *d;
	_cleanup_free_ char *name = NULL;

	if (at < 4 || !number(w[at - 3].s, w[at - 3].len, &id) ||
	    !number(w[at - 2].s, w[at - 2].len, &mib) ||
	    !number(w[at - 1].s, w[at - 1].len, &vcpus))
		return;
	name = mem_strndup(line, (size_t)(w[at - 4].s + w[at - 4].len - line));
	d = hyper_list_add(l, name);
	d->id = (int)id;
	d->memory = mib * MIB;
	d->vcpus = vcpus;
	d->state = state_of(w[at].s);
	for (unsigned i = at + 1; i < n && !d->uuid[0]; i++)
		set_uuid(d, w[i].s, w[i].len);
}

/* xend's managed domains that do not run have neither id nor state: name, MiB, vcpus, time. */
static void add_managed(struct hyper_list *l, const struct word *w)
{
	_cleanup_free_ char *name = mem_strndup(w[0].s, w[0].len);
	unsigned mib, vcpus;
	struct hyper_domain *d;

	if (!number(w[1].s, w[1].len, &mib) || !number(w[2].s, w[2].len, &vcpus))
		return;
	d = hyper_list_add(l, name);
	d->memory = mib * MIB;
	d->vcpus = vcpus;
}

static void read_line(const char *line, size_t len, struct hyper_list *l)
{
	struct word words[WORDS_MAX];
	unsigned n, at = 0;

	while (len && isspace((unsigned char)*line)) {
		line++;
		len--;
	}
	n = cut_words(line, len, words);
	while (at < n && !is_state(words[at].s, words[at].len))
		at++;
	if (at < n)
		add_running(l, line, words, at, n);
	else if (n == 4)
		add_managed(l, words);
}

void xen_read_table(const char *text, struct hyper_list *l)
{
	size_t len;

	for (; *text && l->n < XEN_DOMAINS_MAX; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		read_line(text, len, l);
	}
}

/* --- network-list --- */

void xen_read_nics(const char *text, struct hyper_domain *d)
{
	struct word w[WORDS_MAX];
	size_t len;

	for (; *text; text += len + (text[len] == '\n')) {
		unsigned n, number_of;
		char mac[18] = "", word[WORD_MAX];

		len = strcspn(text, "\n");
		n = cut_words(text, len, w);
		if (n < 3 || !number(w[0].s, w[0].len, &number_of) || number_of >= XEN_VIFS_MAX ||
		    w[2].len != 17)
			continue;
		snprintf(word, sizeof(word), "%.17s", w[2].s);
		read_mac(word, mac);
		for (unsigned i = d->n_vifs; mac[0] && i <= number_of; i++)
			add_vif(d)->interface = usual_interface(d->id, i);
		if (mac[0] && number_of < d->n_vifs && !d->vifs[number_of].mac[0])
			strcpy(d->vifs[number_of].mac, mac);
	}
}

/* --- JSON --- */

static const char *string(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void json_vif(const json_t *nic, unsigned index, struct hyper_domain *d)
{
	const char *mac = string(nic, "mac"), *interface = string(nic, "ifname");
	json_int_t devid = json_integer_value(json_object_get(nic, "devid"));
	struct hyper_vif *v = add_vif(d);

	if (!v)
		return;
	read_mac(mac ? mac : "", v->mac);
	v->bridge = mem_strdup_or_null(string(nic, "bridge"));
	/* Old xl: not known yet when the file was read, then 0 or -1. */
	if (devid <= 0 || devid >= XEN_VIFS_MAX)
		devid = index;
	v->interface = interface && *interface ? mem_strdup(interface) :
						 usual_interface(d->id, (unsigned)devid);
}

static void json_domain(const json_t *o, struct hyper_list *l)
{
	const json_t *config = json_object_get(o, "config"), *nic;
	const json_t *c_info = json_object_get(config, "c_info");
	const json_t *b_info = json_object_get(config, "b_info");
	const json_t *nics = json_object_get(config, "nics");
	const json_t *id = json_object_get(o, "domid");
	const char *name = string(c_info, "name"), *uuid = string(c_info, "uuid");
	json_int_t kib = json_integer_value(json_object_get(b_info, "target_memkb"));
	struct hyper_domain *d;
	size_t i;

	if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > 65535 ||
	    l->n == XEN_DOMAINS_MAX)
		return;
	d = hyper_list_add(l, name ? name : "");
	d->id = (int)json_integer_value(id);
	d->state = HYPER_RUNNING;
	d->memory = kib > 0 ? (uint64_t)kib * 1024 : 0;
	if (uuid)
		set_uuid(d, uuid, strlen(uuid));
	json_array_foreach(nics, i, nic)
		json_vif(nic, (unsigned)i, d);
}

/* One value, or several without anything between them. */
static int read_json(const char *text, size_t len, struct hyper_list *l)
{
	while (len) {
		json_error_t where;
		json_t *v = json_loadb(text, len, JSON_DISABLE_EOF_CHECK, &where), *o;
		size_t i;

		if (!v)
			return -EINVAL;
		if (json_is_object(v))
			json_domain(v, l);
		json_array_foreach(v, i, o)
			json_domain(o, l);
		json_decref(v);
		text += where.position;
		len -= (size_t)where.position;
		while (len && isspace((unsigned char)*text)) {
			text++;
			len--;
		}
	}
	return 0;
}

/* --- S-expressions --- */

static const char *text_or_empty(const struct sxp *s, const char *name)
{
	const char *text = sxp_text(s, name);

	return text ? text : "";
}

static void sxp_vif(const struct sxp *vif, struct hyper_domain *d)
{
	const char *bridge = sxp_text(vif, "bridge"), *interface = text_or_empty(vif, "vifname");
	const char *devid = text_or_empty(vif, "devid");
	struct hyper_vif *v = add_vif(d);
	unsigned index = d->n_vifs - 1;

	if (!v)
		return;
	read_mac(text_or_empty(vif, "mac"), v->mac);
	v->bridge = bridge && *bridge ? mem_strdup(bridge) : NULL;
	number(devid, strlen(devid), &index);
	if (*interface)
		v->interface = mem_strdup(interface);
	else if (d->id >= 0)
		v->interface = usual_interface(d->id, index);
}

/* xm tells MiB, xl KiB. */
static uint64_t sxp_memory(const struct sxp *s)
{
	const char *mib = text_or_empty(s, "memory"), *kib = text_or_empty(s, "target_memkb");
	unsigned n;

	if (number(mib, strlen(mib), &n))
		return n * MIB;
	return number(kib, strlen(kib), &n) ? (uint64_t)n * 1024 : 0;
}

static void sxp_domain(const struct sxp *s, struct hyper_list *l)
{
	const char *id = text_or_empty(s, "domid"), *uuid = text_or_empty(s, "uuid");
	const char *state = text_or_empty(s, "state"), *vcpus = text_or_empty(s, "vcpus");
	const char *start = text_or_empty(s, "on_xend_start");
	struct hyper_domain *d = hyper_list_add(l, text_or_empty(s, "name"));
	const struct sxp *device;
	unsigned n, at = 0;

	if (number(id, strlen(id), &n)) {
		d->id = (int)n;
		d->state = is_state(state, strlen(state)) ? state_of(state) : HYPER_RUNNING;
	}
	set_uuid(d, uuid, strlen(uuid));
	d->memory = sxp_memory(s);
	if (number(vcpus, strlen(vcpus), &n))
		d->vcpus = n;
	if (!strcmp(start, "start"))
		d->autostart = 1;
	while ((device = sxp_next(s, "device", &at))) {
		unsigned inner = 0;
		const struct sxp *vif = sxp_next(device, "vif", &inner);

		if (vif)
			sxp_vif(vif, d);
	}
}

/* xl closes (linux 0) on its line and once more behind what belongs into it (xl_sxp.c). */
static void open_linux(char *text, size_t len)
{
	static const char line[] = "\t(linux 0)\n";
	char *end = text + len;

	while ((text = memmem(text, (size_t)(end - text), line, sizeof(line) - 1))) {
		text += sizeof(line) - 3;
		*text = ' ';
	}
}

static int read_sxp(const char *text, size_t len, struct hyper_list *l)
{
	_cleanup_free_ char *copy = mem_strndup(text, len);
	struct sxp *all;
	const struct sxp *s;
	unsigned at = 0;

	open_linux(copy, len);
	if (sxp_parse(copy, len, &all) < 0)
		return -EINVAL;
	while (l->n < XEN_DOMAINS_MAX && (s = sxp_next(all, "domain", &at)))
		sxp_domain(s, l);
	sxp_free(all);
	return 0;
}

int xen_read_details(const char *text, size_t len, struct hyper_list *l)
{
	struct hyper_list all = { 0 };
	size_t skip = 0;
	int r;

	while (skip < len && isspace((unsigned char)text[skip]))
		skip++;
	if (skip == len)
		return 0;
	text += skip;
	len -= skip;
	r = *text == '(' ? read_sxp(text, len, &all) : read_json(text, len, &all);
	if (r < 0) {
		hyper_list_fini(&all);
		return r;
	}
	for (unsigned i = 0; i < all.n; i++)
		*mem_push(l->v, l->n) = all.v[i];
	free(all.v);
	return 0;
}
