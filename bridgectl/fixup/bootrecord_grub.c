/*
 * A core image, by the grub-mkimage of this host: GRUB's kernel and the modules that menus of
 * guests ask for, so that `insmod` in them finds what it wants and never loads a file of theirs,
 * which may be another version's; and a memory disk with our script and a few modules
 * (bootrecord_script.c).
 * grub-install is not for us: it looks at the devices of the host, and at its own /boot.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/bootrecord.h"
#include "common/proc.h"

#define CORE_MAX ((size_t)0x78000) /* what GRUB can load: include/grub/offsets.h */
#define MODULE_MAX ((size_t)1 << 20)
#define PREFIX "(memdisk)/boot/grub"
#define ERR err, BOOTRECORD_ERRLEN

/* Debian and Fedora call the programs so. */
static const char *const programs[] = { "grub-mkimage", "grub2-mkimage" };

static const char *const folders[] = {
	"/usr/lib/grub/i386-pc",
	"/usr/lib/grub2/i386-pc",
	"/usr/share/grub2/i386-pc",
	"/usr/local/lib/grub/i386-pc",
};

/* In the core. Those that a GRUB does not have are left out. */
static const char *const modules[] = {
	"all_video",	  "biosdisk",	  "boot",	"btrfs",      "cat",
	"chain",	  "configfile",	  "crypto",	"diskfilter", "echo",
	"ext2",		  "fat",	  "font",	"gcry_md5",   "gettext",
	"gfxterm",	  "gzio",	  "halt",	"jfs",	      "keystatus",
	"loadenv",	  "ls",		  "lvm",	"lzopio",     "mdraid09",
	"mdraid1x",	  "memdisk",	  "minicmd",	"mmap",	      "newc",
	"normal",	  "part_gpt",	  "part_msdos", "password",   "reboot",
	"regexp",	  "reiserfs",	  "relocator",	"search",     "search_fs_file",
	"search_fs_uuid", "search_label", "serial",	"sleep",      "syslinuxcfg",
	"terminal",	  "test",	  "true",	"vbe",	      "verifiers",
	"video",	  "xfs",	  "xzio",
};

/* Beside the script. */
static const char *const loose[] = { "linux", "linux16", "legacycfg" };

static int read_file(const char *folder, const char *name, unsigned char *buf, size_t max,
		     size_t *ret_len, char *err)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "re");
	if (!f)
		return disk_fail(ERR, -errno, "%s: %s", path, strerror(errno));
	*ret_len = fread(buf, 1, max, f);
	fclose(f);
	if (*ret_len == 0 || *ret_len == max)
		return disk_fail(ERR, -EILSEQ, "%s: not of a size that makes sense", path);
	return 0;
}

/* --- The memory disk: a cpio archive, format newc, as GRUB's module of that name reads it. --- */

static void archive_add(FILE *f, unsigned mode, const char *name, const void *data, size_t len)
{
	size_t name_len = strlen(name) + 1;
	unsigned inode = (unsigned)ftell(f) + 1;

	fprintf(f, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", inode, mode, 0,
		0, 1, 0, len, 0, 0, 0, 0, name_len, 0);
	fwrite(name, 1, name_len, f);
	while (ftell(f) % 4)
		fputc(0, f);
	fwrite(data, 1, len, f);
	while (ftell(f) % 4)
		fputc(0, f);
}

static int add_modules(FILE *f, const char *folder, char *err)
{
	_cleanup_free_ unsigned char *buf = mem_new(MODULE_MAX);
	char file[64], name[128];
	size_t len;
	int r;

	for (unsigned i = 0; i < ARRAY_SIZE(loose); i++) {
		snprintf(file, sizeof(file), "%s.mod", loose[i]);
		r = read_file(folder, file, buf, MODULE_MAX, &len, err);
		if (r < 0)
			return r;
		snprintf(name, sizeof(name), "boot/grub/i386-pc/%s", file);
		archive_add(f, S_IFREG | 0644, name, buf, len);
	}
	return 0;
}

/* It becomes text of a script. */
static bool is_plain(const char *uuid)
{
	return uuid && *uuid && strspn(uuid, "0123456789abcdefABCDEF-") == strlen(uuid);
}

static void add_script(FILE *f, const struct bootrecord_want *w)
{
	_cleanup_free_ char *text = NULL;
	int len = asprintf(&text, "set root_uuid=%s\nset legacy=%d\n%s",
			   is_plain(w->root_uuid) ? w->root_uuid : "", w->legacy_first,
			   bootrecord_script);

	mem_must(len < 0 ? NULL : text);
	archive_add(f, S_IFREG | 0644, "boot/grub/grub.cfg", text, (size_t)len);
}

/* A file without a name that holds it; another process may open it as /proc/PID/fd/FD. */
static int make_memdisk(const struct bootrecord_want *w, const char *folder, char *err)
{
	static const char *const above[] = { "boot", "boot/grub", "boot/grub/i386-pc" };
	int fd = memfd_create("memdisk", MFD_CLOEXEC), r;
	FILE *f = fd < 0 ? NULL : fdopen(dup(fd), "w");

	if (!f)
		return disk_fail(ERR, -errno, "a file in memory cannot be made: %s",
				 strerror(errno));
	for (unsigned i = 0; i < ARRAY_SIZE(above); i++)
		archive_add(f, S_IFDIR | 0755, above[i], "", 0);
	add_script(f, w);
	r = add_modules(f, folder, err);
	archive_add(f, 0, "TRAILER!!!", "", 0);
	if (fclose(f) != 0 && r == 0)
		r = disk_fail(ERR, -errno, "a file in memory cannot be written to: %s",
			      strerror(errno));
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

/* --- grub-mkimage --- */

static const char *find_folder(void)
{
	char path[256];

	for (unsigned i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s/boot.img", folders[i]);
		if (access(path, R_OK) == 0)
			return folders[i];
	}
	return NULL;
}

static int missing(const char *what, char *err)
{
	return disk_fail(ERR, -ENOENT,
			 "%s not installed here, and the boot record is made of it: install "
			 "grub-common and grub-pc-bin (Debian, Ubuntu), grub2-tools and "
			 "grub2-pc-modules (Fedora, RHEL), grub2 and grub2-i386-pc (SUSE)",
			 what);
}

static const char *find_program(char version[static 64])
{
	static const struct proc_limits limits = { .timeout_ms = 10000, .out_bytes = 4096 };
	struct proc_result run;

	for (unsigned i = 0; i < ARRAY_SIZE(programs); i++) {
		const char *argv[] = { programs[i], "--version", NULL };

		if (proc_run(argv, &limits, NULL, 0, &run) < 0)
			continue;
		/* "grub-mkimage (GRUB) 2.06-13+deb12u2" */
		if (run.exit_code != 0 || sscanf(run.out, "%*s (%*[^)]) %63[^\n ]", version) != 1)
			strcpy(version, "of an unknown version");
		proc_result_fini(&run);
		return programs[i];
	}
	return NULL;
}

static bool has_module(const char *folder, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s.mod", folder, name);
	return access(path, R_OK) == 0;
}

/* Another process may open what `fd` is. */
static void path_of(int fd, char path[static 64])
{
	snprintf(path, 64, "/proc/%d/fd/%d", (int)getpid(), fd);
}

static int run_mkimage(const char *program, const char *folder, const char *memdisk, const char *to,
		       char *err)
{
	static const struct proc_limits limits = { .timeout_ms = 60000, .out_bytes = 4096 };
	const char *argv[ARRAY_SIZE(modules) + 16], **next = argv;
	struct proc_result run;
	int r;

	*next++ = program;
	*next++ = "--format=i386-pc";
	*next++ = "--directory";
	*next++ = folder;
	*next++ = "--prefix=" PREFIX;
	*next++ = "--memdisk";
	*next++ = memdisk;
	*next++ = "--output"; /* no pipe: it is flushed with fsync() */
	*next++ = to;
	for (unsigned i = 0; i < ARRAY_SIZE(modules); i++)
		if (has_module(folder, modules[i]))
			*next++ = modules[i];
	*next = NULL;
	r = proc_run(argv, &limits, NULL, 0, &run);
	if (r < 0)
		return disk_fail(ERR, r, "%s: %s", program, strerror(-r));
	run.err[strcspn(run.err, "\n")] = '\0';
	if (run.exit_code != 0)
		r = disk_fail(ERR, -EIO, "%s failed: %.200s", program, run.err);
	proc_result_fini(&run);
	return r;
}

static int take_core(const char *program, int fd, struct bootrecord_grub *ret, char *err)
{
	off_t len = lseek(fd, 0, SEEK_END);
	size_t whole =
		((size_t)len + BOOTRECORD_SECTOR - 1) / BOOTRECORD_SECTOR * BOOTRECORD_SECTOR;

	if (len < 8 * (off_t)BOOTRECORD_SECTOR || (size_t)len > CORE_MAX)
		return disk_fail(ERR, -EILSEQ, "%s made nothing that could be a core image",
				 program);
	ret->core = mem_new(whole);
	ret->core_len = whole;
	if (pread(fd, ret->core, (size_t)len, 0) == len)
		return 0;
	return disk_fail(ERR, -EIO, "what %s made cannot be read", program);
}

static int make_core(const char *program, const char *folder, int memdisk,
		     struct bootrecord_grub *ret, char *err)
{
	_cleanup_close_ int to = memfd_create("core", MFD_CLOEXEC);
	char from_path[64], to_path[64];
	int r;

	if (to < 0)
		return disk_fail(ERR, -errno, "a file in memory cannot be made: %s",
				 strerror(errno));
	path_of(memdisk, from_path);
	path_of(to, to_path);
	r = run_mkimage(program, folder, from_path, to_path, err);
	return r < 0 ? r : take_core(program, to, ret, err);
}

int bootrecord_grub(const struct bootrecord_want *w, struct bootrecord_grub *ret, char *err)
{
	const char *folder = find_folder(), *program = find_program(ret->version);
	unsigned char boot[BOOTRECORD_SECTOR + 1];
	_cleanup_close_ int memdisk = -1;
	size_t len;
	int r;

	if (!program)
		return missing("grub-mkimage is", err);
	if (!folder)
		return missing("GRUB for BIOS (i386-pc) is", err);
	r = read_file(folder, "boot.img", boot, sizeof(boot), &len, err);
	if (r < 0)
		return r;
	if (len != BOOTRECORD_SECTOR)
		return disk_fail(ERR, -EILSEQ, "%s/boot.img is no boot sector", folder);
	memcpy(ret->boot, boot, sizeof(ret->boot));
	memdisk = make_memdisk(w, folder, err);
	if (memdisk < 0)
		return memdisk;
	return make_core(program, folder, memdisk, ret, err);
}
