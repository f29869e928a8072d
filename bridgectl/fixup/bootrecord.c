/*
 * Where a boot record goes, whether that is free, and its bytes.
 *
 * Sector 0 keeps bytes 440 to 511, the partition table. What GRUB's util/setup.c patches is patched
 * here: the place of the core in boot.img, and in the core's own first sector the list of blocks
 * to load behind it. In front of the core is a sector of ours by which a later run knows that the
 * place is ours to write to again.
 */
#include "bridgectl/fixup/bootrecord.h"

#include <string.h>
#include <unistd.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/domain/mem.h"

/* include/grub/i386/pc/boot.h, offsets.h, diskboot.S */
#define BOOT_KERNEL_SECTOR 0x5c /* u64: of the core's first sector */
#define BOOT_DRIVE_CHECK 0x66	/* a jump; two NOPs: do not trust a strange BIOS drive number */
#define BOOT_CODE_BYTES 440
#define CORE_LIST (BOOTRECORD_SECTOR - 12) /* u64 first sector, u16 how many, u16 segment */
#define CORE_SEGMENT 0x820		   /* where the core's second sector is loaded to, / 16 */

#define PLACE_MAX ((size_t)2 << 20) /* bytes looked at */
#define MARK "bridgectl boot record 1\n"
#define ERR err, BOOTRECORD_ERRLEN

struct content {
	unsigned char boot[BOOTRECORD_SECTOR];
	unsigned char *place;
	size_t len;
	bool is_free, is_ours;
};

/* --- What is there --- */

static bool is_zero(const unsigned char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static int read_at(int fd, void *buf, size_t len, uint64_t offset, char *err)
{
	ssize_t n = pread(fd, buf, len, (off_t)offset);

	if (n == (ssize_t)len)
		return 0;
	return disk_fail(ERR, n < 0 ? -errno : -EIO, "cannot read the disk at byte %ju: %s",
			 (uintmax_t)offset, n < 0 ? strerror(errno) : "it ends there");
}

static int read_content(int fd, const struct bootrecord_place *p, struct content *ret, char *err)
{
	uint64_t start = p->start * BOOTRECORD_SECTOR;
	int r = read_at(fd, ret->boot, sizeof(ret->boot), 0, err);

	if (r < 0)
		return r;
	ret->len = (size_t)MIN(p->sectors * BOOTRECORD_SECTOR, (uint64_t)PLACE_MAX);
	ret->place = mem_new(ret->len);
	r = read_at(fd, ret->place, ret->len, start, err);
	if (r < 0)
		return r;
	ret->is_free = is_zero(ret->boot, BOOT_CODE_BYTES) && is_zero(ret->place, ret->len);
	ret->is_ours = memcmp(ret->place, MARK, strlen(MARK)) == 0 &&
		       get_le64(ret->boot + BOOT_KERNEL_SECTOR) == p->start + 1;
	return 0;
}

static bool says(const struct content *c, const char *text)
{
	return memmem(c->boot, BOOT_CODE_BYTES, text, strlen(text));
}

/* What boot loaders write into their first sector for the case that they fail. */
static const char *loader_of(const struct content *c)
{
	static const char *const names[] = { "GRUB", "LILO", "SYSLINUX" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (says(c, names[i]))
			return names[i];
	return NULL;
}

static const char *whose_code(const struct content *c)
{
	const char *loader = loader_of(c);

	if (loader)
		return loader;
	if (says(c, "Missing operating"))
		return "a DOS boot sector";
	return is_zero(c->boot, BOOT_CODE_BYTES) ? "something in front of its first partition" :
						   "a boot loader";
}

const char *bootrecord_whose(int fd)
{
	struct bootrecord_place p;
	struct content c = { 0 };
	char err[BOOTRECORD_ERRLEN];
	const char *whose = NULL;

	if (bootrecord_place(fd, &p) == 0 && p.sectors && read_content(fd, &p, &c, err) == 0 &&
	    c.is_ours)
		whose = BOOTRECORD_OURS;
	else if (read_at(fd, c.boot, sizeof(c.boot), 0, err) == 0)
		whose = loader_of(&c);
	free(c.place);
	return whose;
}

/* --- The bytes --- */

/* The mark's sector and the core. */
static void lay_core(const struct bootrecord_place *p, const struct bootrecord_grub *g,
		     struct bootrecord_write *ret)
{
	uint64_t core = p->start + 1;
	unsigned char *bytes, *list;

	ret->offset = p->start * BOOTRECORD_SECTOR;
	ret->len = BOOTRECORD_SECTOR + g->core_len;
	ret->bytes = bytes = mem_new(ret->len);
	memcpy(bytes, MARK, strlen(MARK));
	memcpy(bytes + BOOTRECORD_SECTOR, g->core, g->core_len);
	list = bytes + BOOTRECORD_SECTOR + CORE_LIST;
	put_le64(list, core + 1);
	put_le16(list + 8, (uint16_t)(g->core_len / BOOTRECORD_SECTOR - 1));
	put_le16(list + 10, CORE_SEGMENT);
	memset(list - 12, 0, 12); /* the list goes downwards; here it ends */
}

static void lay_boot(const struct bootrecord_place *p, const struct bootrecord_grub *g,
		     const unsigned char *now, struct bootrecord_write *ret)
{
	ret->offset = 0;
	ret->len = BOOTRECORD_SECTOR;
	ret->bytes = mem_new(BOOTRECORD_SECTOR);
	memcpy(ret->bytes, now, BOOTRECORD_SECTOR);
	memcpy(ret->bytes, g->boot, BOOT_CODE_BYTES);
	put_le64(ret->bytes + BOOT_KERNEL_SECTOR, p->start + 1);
	memset(ret->bytes + BOOT_DRIVE_CHECK, 0x90, 2);
}

static void say_none(struct bootrecord *b, bool missing, const char *fmt, ...) _printf_(3, 4);

static void say_none(struct bootrecord *b, bool missing, const char *fmt, ...)
{
	va_list ap;

	b->missing = missing;
	va_start(ap, fmt);
	vsnprintf(b->told, sizeof(b->told), fmt, ap);
	va_end(ap);
}

static int lay(const struct bootrecord_place *p, const struct content *c,
	       const struct bootrecord_grub *g, struct bootrecord *b, char *err)
{
	uint64_t sectors = g->core_len / BOOTRECORD_SECTOR + 1;

	if (sectors > p->sectors)
		return disk_fail(ERR, -ENOSPC,
				 "the boot record needs %ju sectors, and the disk has %ju free for "
				 "it: boot it with domain start --rescue",
				 (uintmax_t)sectors, (uintmax_t)p->sectors);
	lay_boot(p, g, c->boot, &b->writes[0]);
	lay_core(p, g, &b->writes[1]);
	b->n_writes = 2;
	if (memcmp(b->writes[0].bytes, c->boot, BOOTRECORD_SECTOR) == 0 &&
	    memcmp(b->writes[1].bytes, c->place, b->writes[1].len) == 0) {
		bootrecord_fini(b);
		say_none(b, false, "GRUB %s, there already", g->version);
		return 0;
	}
	say_none(b, false, "GRUB %s, %zu KiB into sectors %ju-%ju", g->version,
		 b->writes[1].len / 1024, (uintmax_t)p->start, (uintmax_t)(p->start + sectors - 1));
	return 0;
}

/* --- Whether --- */

/* Whether it is to be made at all; else it is said why not, or it is an error. */
static int may_lay(enum bootrecord_mode mode, const struct bootrecord_place *p,
		   const struct content *c, struct bootrecord *b)
{
	if (mode == BOOTRECORD_ALWAYS || c->is_ours)
		return 1;
	if (!p->ours)
		say_none(b, false,
			 "none written: the disk is not of our layout, and boots as it did before");
	else if (!c->is_free)
		say_none(b, false, "none written: %s is there; --boot-record always replaces it",
			 whose_code(c));
	else
		return 1;
	return 0;
}

static int plan_at(int fd, const struct bootrecord_place *p, const struct bootrecord_want *w,
		   struct bootrecord *b, char *err)
{
	struct bootrecord_grub g = { 0 };
	struct content c = { 0 };
	int r = read_content(fd, p, &c, err);

	if (r == 0)
		r = may_lay(w->mode, p, &c, b);
	if (r == 1) {
		r = bootrecord_grub(w, &g, err);
		if (r == 0)
			r = lay(p, &c, &g, b, err);
	}
	free(g.core);
	free(c.place);
	return r;
}

int bootrecord_plan(int fd, const struct bootrecord_want *w, struct bootrecord *ret, char *err)
{
	struct bootrecord b = { 0 };
	struct bootrecord_place p;
	int r;

	if (w->mode == BOOTRECORD_NEVER) {
		say_none(&b, false, "none wanted");
		*ret = b;
		return 0;
	}
	r = bootrecord_place(fd, &p);
	if (r < 0)
		return disk_fail(ERR, r, "cannot read the disk's partition table: %s",
				 strerror(-r));
	if (!p.why_none)
		r = plan_at(fd, &p, w, &b, err);
	else if (w->mode == BOOTRECORD_ALWAYS)
		return disk_fail(ERR, -EOPNOTSUPP,
				 "there is no place for a boot record on this disk: %s",
				 p.why_none);
	else
		say_none(&b, true, "none written: %s", p.why_none);
	/* A guest can be mended without it. */
	if (r < 0 && w->mode == BOOTRECORD_AUTO) {
		bootrecord_fini(&b);
		say_none(&b, true, "none written: %s", err);
		r = 0;
	}
	if (r < 0)
		bootrecord_fini(&b);
	else
		*ret = b;
	return r < 0 ? r : 0;
}

void bootrecord_fini(struct bootrecord *b)
{
	for (unsigned i = 0; i < b->n_writes; i++)
		free(b->writes[i].bytes);
	*b = (struct bootrecord){ 0 };
}

bool bootrecord_mode_parse(const char *name, enum bootrecord_mode *ret)
{
	static const char *const names[] = { "auto", "always", "never" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum bootrecord_mode)i;
			return true;
		}
	return false;
}
