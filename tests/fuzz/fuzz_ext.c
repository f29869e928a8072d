/*
 * A guest's ext2, ext3 or ext4, whatever it holds: opened, walked, read, changed in memory. The
 * input is pieces of an image of 256 KiB that is zeros otherwise: four bytes where, two bytes how
 * many, then they. What is told as changed must lie within the image, in order, and the image
 * stay as it is.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bridgectl/fixup/overlay.h"
#include "bridgectl/fixup/tree_ext.h"
#include "common/util.h"
#include "tests/fuzz/fuzz.h"

#define BYTES (256U << 10)
#define READ_MAX (1U << 20)
#define DEPTH_MAX 4
#define NAMES_MAX 200

struct walk {
	struct tree *t;
	const char *folder;
	unsigned depth, left;
};

static void look(struct tree *t, const char *path, unsigned depth, unsigned *left);

static bool one_name(void *arg, const char *name)
{
	struct walk *w = arg;
	char path[TREE_PATH_MAX];

	if (!*name || strchr(name, '/') || strlen(name) > 255)
		abort();
	if (snprintf(path, sizeof(path), "%s/%s", w->folder, name) < (int)sizeof(path))
		look(w->t, path, w->depth + 1, &w->left);
	return w->left > 0;
}

static void look(struct tree *t, const char *path, unsigned depth, unsigned *left)
{
	char to[TREE_PATH_MAX];
	struct tree_stat st;
	char *text = NULL;
	size_t len = 0;

	if (!*left || depth > DEPTH_MAX)
		return;
	--*left;
	if (tree_resolve(t, path, to) < 0 || tree_stat(t, to, &st) < 0)
		return;
	if (st.kind == TREE_DIR) {
		struct walk w = { t, path, depth, *left };

		tree_list(t, path, one_name, &w);
		*left = MIN(*left, w.left);
	} else if (tree_read(t, to, READ_MAX, &text, &len) == 0) {
		if (len > READ_MAX || text[len])
			abort();
		free(text);
	}
}

static void change(struct tree *t)
{
	static char long_text[20000];
	char to[TREE_PATH_MAX];

	memset(long_text, 'x', sizeof(long_text));
	if (tree_resolve(t, "/etc/fstab", to) == 0)
		t->ops->write(t, to, "short\n", 6);
	t->ops->write(t, "/f", long_text, sizeof(long_text));
	t->ops->create(t, "/etc/new", 0644, long_text, 3000);
	t->ops->create(t, "/new", 0600, "", 0);
	t->ops->remove(t, "/f");
	t->ops->remove(t, "/etc/link");
}

static uint64_t end_of_last;

static int one_run(void *arg, uint64_t offset, const void *bytes, size_t len)
{
	(void)arg, (void)bytes;
	if (!len || offset < end_of_last || offset + len > BYTES)
		abort();
	end_of_last = offset + len;
	return 0;
}

static void make_image(const uint8_t *data, size_t size, uint8_t *image)
{
	while (size >= 6) {
		uint32_t at = get_le32(data) % BYTES;
		size_t len = MIN((size_t)get_le16(data + 4), size - 6);

		len = MIN(len, (size_t)(BYTES - at));
		memcpy(image + at, data + 6, len);
		data += 6 + len;
		size -= 6 + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *image = calloc(1, BYTES), *after = malloc(BYTES);
	_cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
	char err[TREE_EXT_ERRLEN] = "";
	unsigned left = NAMES_MAX;
	struct overlay *o;
	struct tree *t;

	make_image(data, size, image);
	if (pwrite(fd, image, BYTES, 0) != BYTES)
		abort();
	o = overlay_new(fd, 0, BYTES);
	if (tree_ext_open(o, &t, err) == 0) {
		look(t, "/", 0, &left);
		change(t);
		tree_ext_sync(t);
		tree_free(t);
	} else if (!err[0]) {
		abort();
	}
	end_of_last = 0;
	overlay_each(o, one_run, NULL);
	overlay_free(o);
	if (pread(fd, after, BYTES, 0) != BYTES || memcmp(image, after, BYTES) != 0)
		abort();
	return 0;
}
