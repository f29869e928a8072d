/*
 * What is done with a guest where it can do no harm: look, plan, change in memory, answer. All of
 * this runs after child.c has taken everything away from the process.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/fixup_private.h"
#include "common/util.h"

#define PIECE (1U << 20)

#define fail(err, r, ...) disk_fail(err, CHILD_ERRLEN, r, __VA_ARGS__)

struct work {
	const struct fixup_request *q;
	struct child_out *out;
	struct scene scene;
	unsigned disk; /* whose changes are being sent */
	char *err;
};

static int send_pieces(struct work *w, enum fixup_frame kind, const char *bytes, size_t len)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < len; at += PIECE)
		r = child_send(w->out, (uint8_t)kind, bytes + at, MIN(len - at, (size_t)PIECE));
	return r;
}

static int send_document(struct work *w, json_t *j)
{
	_cleanup_free_ char *text = json_dumps(j, JSON_COMPACT);

	json_decref(j);
	if (!text)
		return fail(w->err, -ENOMEM, "out of memory");
	return send_pieces(w, FRAME_JSON, text, strlen(text));
}

/* A text of the guest need not be UTF-8: what is not has '?' for every byte beyond ASCII. */
static json_t *text_json(const char *s)
{
	json_t *j = json_string(s ? s : "");
	char *copy;

	if (j)
		return j;
	copy = mem_strdup(s);
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	j = json_string(copy);
	free(copy);
	return j;
}

static json_t *notes_json(char *const *notes, unsigned n)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(a, text_json(notes[i]));
	return a;
}

static json_t *part_json(const struct edit_part *p)
{
	const char letter[2] = { p->letter };

	return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o}", "letter", letter, "number",
			 (json_int_t)p->number, "type", text_json(p->type), "uuid",
			 text_json(p->uuid), "label", text_json(p->label), "partuuid",
			 text_json(p->partuuid));
}

static json_t *parts_json(const struct scene *s)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < s->n; i++)
		json_array_append_new(a, part_json(&s->ids[i]));
	return a;
}

static json_t *changes_json(const struct edits *e)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < e->n; i++) {
		const struct edit *c = &e->v[i];
		char *diff = udiff(c->path, c->old, c->old_len, c->new, c->new_len);

		json_array_append_new(a,
				      json_pack("{s:o, s:o, s:o}", "path", text_json(c->path),
						"diff", text_json(diff), "why", text_json(c->why)));
		free(diff);
	}
	return a;
}

static json_t *document(const struct work *w, const struct inspection *in, const struct edits *e,
			const char *why_not)
{
	const struct scene *s = &w->scene;
	json_t *notes = notes_json(e->notes, e->n_notes);

	for (unsigned i = 0; i < s->n_notes; i++)
		json_array_append_new(notes, text_json(s->notes[i]));
	return json_pack("{s:o, s:o, s:I, s:o, s:o, s:o}", "inspection", inspection_json(in),
			 "parts", parts_json(s), "root", (json_int_t)s->root, "changes",
			 changes_json(e), "notes", notes, "why_not",
			 why_not ? text_json(why_not) : json_null());
}

/* --- The plan --- */

static int send_run(void *arg, uint64_t offset, const void *bytes, size_t len)
{
	static unsigned char frame[FRAME_WRITE_HEAD + OVERLAY_RUN_MAX];
	struct work *w = arg;

	put_le32(frame, w->disk);
	put_le64(frame + 4, offset);
	memcpy(frame + FRAME_WRITE_HEAD, bytes, len);
	return child_send(w->out, FRAME_WRITE, frame, FRAME_WRITE_HEAD + len);
}

static int send_changes(struct work *w)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < w->scene.n; i++) {
		w->disk = w->scene.parts[i].disk;
		if (w->scene.parts[i].overlay)
			r = overlay_each(w->scene.parts[i].overlay, send_run, w);
	}
	return r;
}

static int send_later(struct work *w)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < w->scene.n_later; i++) {
		_cleanup_free_ char *bytes = NULL;
		const struct trust_file *v;
		unsigned n;
		size_t len;

		v = trust_tree_files(w->scene.later[i], &n);
		bytes = trust_files_pack(v, n, &len);
		r = send_pieces(w, FRAME_FILES, bytes, len);
	}
	return r;
}

/* Into the overlays. What stands against it goes to `why` (256 bytes), which is "" else. */
static void write_edits(struct work *w, const struct edits *e, char *why)
{
	struct tree *t = w->scene.tree;
	unsigned failed = 0;
	int r;

	why[0] = '\0';
	if (!e->n)
		return;
	if (t->why_readonly) {
		snprintf(why, 256, "the file system cannot be written to: %s", t->why_readonly);
		return;
	}
	r = edits_write(t, e, &failed);
	if (r < 0) {
		snprintf(why, 256, "%.160s cannot be changed: %s", e->v[failed].path,
			 r == -ENOSPC ? "the file system is full" : strerror(-r));
		return;
	}
	r = scene_sync(&w->scene);
	if (r < 0)
		snprintf(why, 256, "the file system cannot be changed: %s", strerror(-r));
}

static int plan(struct work *w)
{
	const struct fixup_options *o = w->q->o;
	const struct scene *s = &w->scene;
	struct edit_options eo = {
		.parts = s->ids,
		.n_parts = s->n,
		.vifs = o->vifs,
		.n_vifs = o->n_vifs,
		.root_letter = s->ids[s->root].letter,
		.root_number = s->ids[s->root].number,
	};
	struct inspection *in = inspect(s->tree);
	struct edits e = { 0 };
	char why[256];
	int r = edits_plan(s->tree, in, &eo, &e);

	if (r < 0)
		return fail(w->err, r, "the changes cannot be planned: %s", strerror(-r));
	write_edits(w, &e, why);
	r = send_document(w, document(w, in, &e, *why ? why : NULL));
	if (r == 0 && !*why)
		r = send_changes(w);
	if (r == 0 && !*why)
		r = send_later(w);
	edits_fini(&e);
	inspection_free(in);
	return r;
}

/* --- Files --- */

static int send_file(struct work *w, enum fixup_frame kind, const char *path, size_t max)
{
	_cleanup_free_ char *bytes = NULL;
	size_t len = 0;
	int r = tree_read(w->scene.tree, path, max, &bytes, &len);

	if (r < 0)
		return fail(w->err, r, "%.300s of the guest cannot be read: %s", path,
			    r == -EFBIG ? "it is too large" : strerror(-r));
	return send_pieces(w, kind, bytes, len);
}

static const struct guest_kernel *find_kernel(const struct inspection *in, const char *version)
{
	if (!version)
		return inspection_kernel(in);
	for (unsigned i = 0; i < in->n_kernels; i++)
		if (in->kernels[i].version && !strcmp(in->kernels[i].version, version))
			return &in->kernels[i];
	return NULL;
}

static json_t *kernel_json(const struct work *w, const struct guest_kernel *k)
{
	const struct edit_part *root = &w->scene.ids[w->scene.root];
	char name[16], device[80];

	if (*root->uuid)
		snprintf(device, sizeof(device), "UUID=%s", root->uuid);
	else
		snprintf(device, sizeof(device), "/dev/%s", scene_name(root, name));
	return json_pack("{s:o, s:o, s:o, s:b}", "version", text_json(k->version), "root",
			 text_json(device), "cmdline", text_json(k->cmdline), "initrd",
			 k->initrd != NULL);
}

static int send_kernel(struct work *w)
{
	struct inspection *in = inspect(w->scene.tree);
	const struct guest_kernel *k = find_kernel(in, w->q->version);
	int r;

	if (!k)
		return w->q->version ?
			       fail(w->err, -ENOENT, "the guest has no kernel %.100s",
				    w->q->version) :
			       fail(w->err, -ENOENT, "the guest has no kernel that KVM could boot");
	r = send_document(w, kernel_json(w, k));
	if (r == 0)
		r = send_file(w, FRAME_KERNEL, k->path, FIXUP_KERNEL_MAX);
	if (r == 0 && k->initrd)
		r = send_file(w, FRAME_INITRD, k->initrd, TREE_INITRD_MAX);
	inspection_free(in);
	return r;
}

static int send_parts(struct work *w)
{
	unsigned char frame[FRAME_PART_LEN];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < w->scene.n; i++) {
		const struct scene_part *p = &w->scene.parts[i];

		if (!scene_needs_trust(&w->scene.ids[i]))
			continue;
		put_le32(frame, p->disk);
		put_le64(frame + 4, p->start);
		put_le64(frame + 12, p->bytes);
		put_le32(frame + 20, !strcmp(w->scene.ids[i].type, "btrfs"));
		r = child_send(w->out, FRAME_PART, frame, sizeof(frame));
	}
	return r;
}

int fixup_child(void *arg, struct child_out *out, char *err)
{
	const struct fixup_request *q = arg;
	struct work w = { .q = q, .out = out, .err = err };
	int r = scene_read(&w.scene, q->disks, q->n_disks, err);

	if (r == 0)
		r = child_strict(out);
	if (r == 0 && q->wish == WISH_PARTS)
		return send_parts(&w);
	scene_mounted(&w.scene, q->mounts, q->n_mounts);
	if (r == 0)
		r = scene_open(&w.scene, q->o->root, err);
	if (r < 0)
		return r;
	switch (q->wish) {
	case WISH_PLAN:
		return plan(&w);
	case WISH_KERNEL:
		return send_kernel(&w);
	case WISH_FILE:
		return send_file(&w, FRAME_KERNEL, q->path, q->max);
	case WISH_PARTS:
		break;
	}
	return -EINVAL;
}
