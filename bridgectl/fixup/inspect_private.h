/* What the parts of an inspection share. Only inspect*.c include it. */
#ifndef BRIDGECTL_FIXUP_INSPECT_PRIVATE_H
#define BRIDGECTL_FIXUP_INSPECT_PRIVATE_H

#include "bridgectl/fixup/bootcfg.h"
#include "bridgectl/fixup/inspect.h"
#include "common/util.h"

#define KERNEL_IMAGE_MAX (64U << 20)

void inspect_note(struct inspection *in, const char *fmt, ...) _printf_(2, 3);
/* Adds s[0..len) if it is not there and there is room; cut to INSPECT_TEXT_MAX. */
void inspect_add(char ***list, unsigned *n, const char *s, size_t len);
/* The value of KEY=value, KEY="value" or KEY='value', the last such line; to be freed, or NULL. */
char *inspect_value(const char *text, const char *key);
char *inspect_file_value(struct tree *t, const char *path, const char *key);
/* The first line of a text without blanks around, to be freed; NULL: not there, or empty. */
char *inspect_line(struct tree *t, const char *path);
/* Whether any of several paths is a file; the list ends with NULL. */
bool inspect_any(struct tree *t, const char *const *paths);
bool inspect_begins(const char *s, const char *prefix);
bool inspect_ends(const char *s, const char *suffix);

/* Calls `fn` with the text of every file of a folder whose name ends so, in order. */
typedef void (*inspect_text_fn)(struct inspection *in, const char *name, const char *text);
void inspect_each(struct tree *t, const char *folder, const char *suffix, inspect_text_fn fn,
		  struct inspection *in);

/* --- The parts, in the order in which they run --- */

void inspect_distro(struct tree *t, struct inspection *in);
/* *menu is to be freed with boot_menu_fini(). */
void inspect_boot(struct tree *t, struct inspection *in, struct boot_menu *menu);
void inspect_kernels(struct tree *t, struct inspection *in, const struct boot_menu *menu);
void inspect_login(struct tree *t, struct inspection *in);
void inspect_net(struct tree *t, struct inspection *in);

/* --- One kernel (inspect_image.c, inspect_drivers.c) --- */

struct kernel_image {
	bool known, bzimage; /* bzimage: what a PC's boot loader can start */
	int bits;	     /* 32 or 64; 0: not told */
	char version[128];   /* "" if it is not told */
};

void kernel_image_read(const void *data, size_t len, struct kernel_image *ret);
/* The configuration it was built with, a text to be freed; NULL. */
char *kernel_config(struct tree *t, const char *version);
/* 'y', 'm', 'n' (also where it does not stand there), or '?' without a configuration. */
char kernel_option(const char *config, const char *name);
void kernel_drivers(struct tree *t, struct guest_kernel *k, const char *config);

#endif
