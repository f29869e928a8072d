/*
 * grub.cfg, a script in the language of GRUB 2 (its manual, "Writing full configuration files
 * directly"). It is cut into commands and words as GRUB would, and not run: of conditions both
 * branches are read, variables stay as they are. What is wanted from it is what grub-mkconfig
 * writes: menuentry, submenu, linux, initrd, `set default`, and Red Hat's blscfg.
 */
#include <stdlib.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/bootcfg.h"
#include "common/util.h"

enum block { IN_OTHER, IN_FUNCTION, IN_SUBMENU, IN_ENTRY };

struct script {
	const char *at;
	unsigned line;
	/* The command: its words lie in `buf`, one behind another. */
	char *buf;
	size_t used;
	const char *words[BOOTCFG_WORDS_MAX];
	unsigned n, first_line;
	/* Where it is. Deeper blocks than there is room for are IN_OTHER, and only counted. */
	struct {
		enum block block;
		int entry;
	} stack[BOOTCFG_DEPTH_MAX];
	unsigned depth, ifs;
	struct boot_menu *menu;
};

/* --- Words --- */

static void put(struct script *s, char c)
{
	s->buf[s->used++] = c;
}

/* "…" with its escapes, or '…' without any. */
static void quoted(struct script *s, char quote)
{
	for (s->at++; *s->at && *s->at != quote; s->at++) {
		if (quote == '"' && *s->at == '\\' && s->at[1])
			s->at++;
		s->line += *s->at == '\n';
		put(s, *s->at);
	}
	s->at += *s->at != '\0';
}

/* ${name}: its braces are no block's. */
static void variable(struct script *s)
{
	size_t len = strcspn(s->at, "}\n");

	len += s->at[len] == '}';
	memcpy(s->buf + s->used, s->at, len);
	s->used += len;
	s->at += len;
}

static void escaped(struct script *s)
{
	s->at++;
	if (*s->at == '\n')
		s->line++;
	else if (*s->at)
		put(s, *s->at);
	s->at += *s->at != '\0';
}

static bool ends_word(char c)
{
	return strchr(" \t\r\n;{}", c) != NULL; /* and '\0' */
}

static void word(struct script *s)
{
	const char *start = s->buf + s->used;

	while (!ends_word(*s->at)) {
		if (*s->at == '\'' || *s->at == '"')
			quoted(s, *s->at);
		else if (*s->at == '\\')
			escaped(s);
		else if (*s->at == '$' && s->at[1] == '{')
			variable(s);
		else
			put(s, *s->at++);
	}
	put(s, '\0');
	if (s->n < ARRAY_SIZE(s->words))
		s->words[s->n++] = start;
}

/*
 * The next command and what ended it: '\n' (or ';'), '{' of a block that it opens, '}', or '\0' for
 * the end of the text.
 */
static char command(struct script *s)
{
	s->n = 0;
	s->used = 0;
	for (;;) {
		s->at += strspn(s->at, " \t\r");
		if (*s->at == '\\' && s->at[1] == '\n') {
			s->at += 2;
			s->line++;
			continue;
		}
		if (*s->at == '#')
			s->at += strcspn(s->at, "\n");
		if (*s->at == '\0')
			return '\0';
		if (strchr("\n;{}", *s->at)) {
			s->line += *s->at == '\n';
			return *s->at++ == ';' ? '\n' : s->at[-1];
		}
		if (s->n == 0)
			s->first_line = s->line;
		word(s);
	}
}

/* --- Commands --- */

static bool is(const char *w, const char *name)
{
	return strcmp(w, name) == 0;
}

static bool begins(const char *w, const char *prefix)
{
	return strncmp(w, prefix, strlen(prefix)) == 0;
}

static int entry_now(const struct script *s)
{
	return s->depth && s->depth <= BOOTCFG_DEPTH_MAX ? s->stack[s->depth - 1].entry : -1;
}

static bool inside(const struct script *s, enum block block)
{
	for (unsigned i = 0; i < MIN(s->depth, (unsigned)BOOTCFG_DEPTH_MAX); i++)
		if (s->stack[i].block == block)
			return true;
	return false;
}

static void push(struct script *s, enum block block, int entry)
{
	if (s->depth < BOOTCFG_DEPTH_MAX) {
		s->stack[s->depth].block = block;
		s->stack[s->depth].entry = entry;
	}
	s->depth++;
}

/* menuentry 'TITLE' --class X $menuentry_id_option 'ID' {: the first that is no option's. */
static void name_entry(struct script *s, struct boot_entry *e)
{
	for (unsigned i = 1; i < s->n; i++) {
		const char *w = s->words[i];
		bool last = i + 1 == s->n;

		if (!last && (is(w, "--id") || is(w, "$menuentry_id_option") ||
			      is(w, "${menuentry_id_option}"))) {
			i++;
			boot_set(&e->id, s->words[i], strlen(s->words[i]));
		} else if (begins(w, "--id=")) {
			boot_set(&e->id, w + 5, strlen(w + 5));
		} else if (is(w, "--class") || is(w, "--users") || is(w, "--hotkey")) {
			i++;
		} else if (!begins(w, "--") && !e->title) {
			boot_set(&e->title, w, strlen(w));
		}
	}
}

static void open_block(struct script *s)
{
	const char *w = s->n ? s->words[0] : "";
	bool submenu = is(w, "submenu");
	struct boot_entry *e;

	if (is(w, "function")) {
		push(s, IN_FUNCTION, -1);
		return;
	}
	e = NULL;
	if ((submenu || is(w, "menuentry")) && !inside(s, IN_ENTRY) && !inside(s, IN_FUNCTION))
		e = boot_menu_add(s->menu, entry_now(s), s->first_line);
	if (!e) {
		push(s, IN_OTHER, entry_now(s));
		return;
	}
	e->submenu = submenu;
	name_entry(s, e);
	push(s, submenu ? IN_SUBMENU : IN_ENTRY, (int)s->menu->n - 1);
}

/* The words from `i` on with a blank in between. */
static void set_words(struct script *s, unsigned i, char **to)
{
	size_t len = 0;
	char *text;

	for (unsigned k = i; k < s->n; k++)
		len += strlen(s->words[k]) + 1;
	text = mem_new(len + 1);
	for (len = 0; i < s->n; i++) {
		if (len)
			text[len++] = ' ';
		len += strlen(strcpy(text + len, s->words[i]));
	}
	free(*to);
	*to = text;
}

static void set_kernel(struct script *s, struct boot_entry *e)
{
	unsigned i = 1;

	while (i < s->n && begins(s->words[i], "--"))
		i++;
	if (i == s->n)
		return;
	boot_set(&e->kernel, s->words[i], strlen(s->words[i]));
	i += i + 1 < s->n && is(s->words[i + 1], "placeholder"); /* Xen drops it */
	set_words(s, i + 1, &e->cmdline);
}

/* Of several the last: microcode comes first. */
static void set_initrd(struct script *s, struct boot_entry *e)
{
	for (unsigned i = 1; i < s->n; i++)
		if (!begins(s->words[i], "--") && s->words[i][0] != '$')
			boot_set(&e->initrd, s->words[i], strlen(s->words[i]));
}

static void in_entry(struct script *s, struct boot_entry *e)
{
	const char *w = s->words[0];

	if (begins(w, "linux")) {
		set_kernel(s, e);
	} else if (begins(w, "initrd")) {
		set_initrd(s, e);
	} else if (begins(w, "multiboot") || begins(w, "xen_hypervisor")) {
		e->xen = true;
	} else if (begins(w, "module") || begins(w, "xen_module")) {
		if (e->kernel)
			set_initrd(s, e);
		else
			set_kernel(s, e);
	}
}

/*
 * `set default=`: what stands outside of conditions, the last one; else the first inside, since
 * those are "the saved one, else …". What next_entry says is good for one time only.
 */
static void set_default(struct script *s, const char *value)
{
	struct boot_menu *m = s->menu;

	if (strstr(value, "next_entry") || (s->ifs && m->want))
		return;
	boot_set(&m->want, value, strlen(value));
}

static void plain(struct script *s)
{
	while (s->n &&
	       (is(s->words[0], "then") || is(s->words[0], "else") || is(s->words[0], "do"))) {
		s->n--;
		memmove(s->words, s->words + 1, s->n * sizeof(*s->words));
	}
	if (!s->n)
		return;
	if (is(s->words[0], "if"))
		s->ifs++;
	else if (is(s->words[0], "fi") && s->ifs)
		s->ifs--;
	if (inside(s, IN_FUNCTION))
		return;
	if (inside(s, IN_ENTRY)) {
		if (entry_now(s) >= 0)
			in_entry(s, &s->menu->v[entry_now(s)]);
	} else if (is(s->words[0], "blscfg")) {
		s->menu->bls = true;
	} else if (is(s->words[0], "set") && s->n > 1 && begins(s->words[1], "default=")) {
		set_default(s, s->words[1] + 8);
	} else if (is(s->words[0], "set") && s->n > 1 && begins(s->words[1], "kernelopts=")) {
		boot_set(&s->menu->kernelopts, s->words[1] + 11, strlen(s->words[1] + 11));
	}
}

void boot_menu_grub2(const char *text, const char *env, struct boot_menu *ret)
{
	struct script *s = mem_new(sizeof(*s));
	_cleanup_free_ char *saved = grubenv_get(env, "saved_entry");
	char end;

	memset(ret, 0, sizeof(*ret));
	s->at = text;
	s->line = 1;
	s->menu = ret;
	/* Each word is followed by at least one byte that is not part of it. */
	s->buf = mem_new(strlen(text) + 2);
	do {
		end = command(s);
		if (end == '{')
			open_block(s);
		else
			plain(s);
		if (end == '}' && s->depth)
			s->depth--;
	} while (end);
	boot_menu_choose(ret, ret->want && strstr(ret->want, "saved_entry") ? saved : ret->want);
	free(s->buf);
	free(s);
}
