/* One string of disk = [ … ]: xl-disk-configuration(5) and what xm took. */
#ifndef BRIDGECTL_DOMAIN_DISKSPEC_H
#define BRIDGECTL_DOMAIN_DISKSPEC_H

#include <stdbool.h>

/* Where the data is. */
enum disk_kind {
	DISK_EMPTY,  /* a drive without a medium */
	DISK_PATH,   /* a device or a file: nothing was said */
	DISK_DEVICE, /* phy: */
	DISK_FILE,   /* file:, tap:… */
	DISK_DRBD,   /* `resource` is its name, path its device */
	DISK_ISCSI,  /* `resource` is what the script takes */
	DISK_NBD,
	DISK_SCRIPT, /* any other script: only that knows */
};

struct diskspec {
	enum disk_kind kind;
	char *prefix;	/* "tap:aio" as it stood there, without the last colon; NULL: none */
	char *format;	/* "raw", "qcow2", …; never NULL */
	char *path;	/* of device or file; NULL: there is none */
	char *resource; /* NULL: there is none */
	char *vdev;	/* as written, without ioemu: and :cdrom; never NULL */
	bool readonly;
	bool shared; /* w!: written by others, too */
	bool cdrom;
	bool emulated; /* ioemu: */
	bool relative; /* a file's path is not absolute */
	/* As written; NULL: not said. */
	char *backend, *backendtype, *script, *specification, *discard, *other;
};

#define DISKSPEC_ERRLEN 256

/*
 * `spec` as it is in the list. -EINVAL: it is wrong; `err` says how and what to write, and
 * *ret_offset is where in it. Free the result with diskspec_fini().
 */
int diskspec_parse(const char *spec, struct diskspec *ret, char *err, unsigned *ret_offset);
void diskspec_fini(struct diskspec *d);

/* "device", "file", … */
const char *disk_kind_name(enum disk_kind kind);

#endif
