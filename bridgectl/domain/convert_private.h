/* What the files of the conversion share. */
#ifndef BRIDGECTL_DOMAIN_CONVERT_PRIVATE_H
#define BRIDGECTL_DOMAIN_CONVERT_PRIVATE_H

#include "bridgectl/domain/convert.h"

/* What follows from the hints. */
struct hinted {
	enum choice_bus bus; /* BUS_DEFAULT: they do not tell */
	const char *machine; /* NULL: they do not tell */
};

struct converter {
	const struct guest *g;
	const struct xl_file *file;
	const struct convert_options *o;
	struct report *report;
	struct choices *c;
	struct hinted hinted;
};

/* "key" or, when that is not in the file, "key2" (or NULL): where one of them stands. */
struct place {
	unsigned line, column;
};
struct place conv_place(const struct converter *v, const char *key, const char *key2);

/* An error at `at`, or a note if the user let go of `key`. */
void conv_lose(struct converter *v, const char *key, struct place at, const char *note);

#define conv_warn(v, at, ...) report_warning((v)->report, (at).line, (at).column, __VA_ARGS__)
#define conv_note(v, at, ...) report_note((v)->report, (at).line, (at).column, __VA_ARGS__)
#define conv_error(v, at, ...) report_error((v)->report, (at).line, (at).column, __VA_ARGS__)

/* convert_hints.c: when the firmware is known, and when the bus is. */
void conv_hints(struct converter *v);
void conv_tell_hints(struct converter *v, struct place at, enum choice_bus bus);
/* convert_boot.c: firmware and machine, what it boots from; after the devices are there. */
void conv_machine(struct converter *v);
void conv_boot(struct converter *v);
/* convert_devices.c, convert_graphics.c */
void conv_disks(struct converter *v);
void conv_vifs(struct converter *v);
void conv_graphics(struct converter *v);

#endif
