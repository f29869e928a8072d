/* A guest's configuration file as an argument of a command: read, understood, complained about. */
#ifndef BRIDGECTL_CMD_GUEST_FILE_H
#define BRIDGECTL_CMD_GUEST_FILE_H

#include "bridgectl/cmd.h"
#include "bridgectl/domain/xl_guest.h"

struct guest_file {
	const char *name; /* for messages */
	char *text;
	size_t len;
	struct xl_file file; /* its report is sorted by line */
	struct guest *guest; /* not to be used when file.report.n_errors is not 0 */
	bool ok;	     /* no errors, and no key is lost that was not accepted */
};

/*
 * `path` may be "-". The values of --accept-loss are the keys whose loss is accepted. Everything
 * that is wrong goes to standard error, with its line; what of it can be lived with is said
 * there as well. False: it cannot be read at all, and there is nothing to free. Else free the
 * result with guest_file_fini().
 */
bool guest_file_read(const struct cmd_call *call, const char *path, struct guest_file *ret);
/* In two steps, for who looks at its beginning: a pipe has one only. NULL: told. */
FILE *guest_file_open(const char *path);
bool guest_file_read_from(const struct cmd_call *call, const char *path, FILE *from,
			  struct guest_file *ret);
/* One sentence about the keys that were not accepted; nothing when there are none. */
void guest_file_tell_refused(const struct guest_file *f);
/* Sorts what was found about the file by line, and prints it to standard error. */
void guest_file_tell(const struct cmd_call *call, const struct guest_file *f,
		     struct report *report);
void guest_file_fini(struct guest_file *f);

#endif
