/*
 * A unified diff of two texts, for people and for patch(1).
 *
 * Common ends are cut off first; the rest is compared by Myers' greedy algorithm ("An O(ND)
 * Difference Algorithm and Its Variations", 1986), which keeps one row per difference to walk back.
 * Texts that differ in more than DIFFERENCES_MAX lines are shown as one replacement: memory stays
 * bounded, and nobody reads that anyway. Whatever comes out turns the old text into the new one.
 */
#include <stdarg.h>
#include <stdbool.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/edit.h"
#include "bridgectl/fixup/edit_text.h"
#include "common/util.h"

#define DIFFERENCES_MAX 1500
#define CONTEXT 3

struct row {
	const char *s;
	uint32_t len; /* with its newline, if it has one */
	uint32_t hash;
};

struct side {
	struct row *v;
	long n;
	bool *touched; /* removed from the old, added in the new */
};

static uint32_t hash_of(const char *s, size_t len)
{
	uint32_t h = 2166136261U; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)s[i]) * 16777619U;
	return h;
}

static void side_init(struct side *side, const char *s, size_t len)
{
	const char *end = s + len;
	size_t n = 0;

	for (const char *p = s; p < end; n++) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));

		p = eol ? eol + 1 : end;
	}
	side->v = mem_new((n + 1) * sizeof(*side->v));
	side->touched = mem_new(n + 2);
	for (const char *p = s; p < end;) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		struct row *row = &side->v[side->n++];

		row->s = p;
		row->len = (uint32_t)((eol ? eol + 1 : end) - p);
		row->hash = hash_of(p, row->len);
		p += row->len;
	}
}

static void side_fini(struct side *side)
{
	free(side->v);
	free(side->touched);
}

static bool same(const struct row *a, const struct row *b)
{
	return a->hash == b->hash && a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
}

/*
 * The middle that differs: a[0..n), b[0..m). rows[d][k + d] is the farthest x on diagonal k that
 * d differences reach. Marks what is touched. False: too many.
 */
static bool walk(const struct row *a, long n, const struct row *b, long m, bool *gone, bool *come)
{
	long *rows[DIFFERENCES_MAX + 1] = { NULL }, d, x, y, k;
	bool found = false;

	for (d = 0; d <= DIFFERENCES_MAX && !found; d++) {
		rows[d] = mem_new((size_t)(2 * d + 1) * sizeof(long));
		for (k = -d; k <= d; k += 2) {
			const long *last = d ? rows[d - 1] + (d - 1) : NULL;

			if (d == 0)
				x = 0;
			else if (k == -d || (k != d && last[k - 1] < last[k + 1]))
				x = last[k + 1];
			else
				x = last[k - 1] + 1;
			y = x - k;
			while (x < n && y < m && x >= 0 && y >= 0 && same(&a[x], &b[y]))
				x++, y++;
			rows[d][k + d] = x;
			found = k == n - m && x >= n;
			if (found)
				break;
		}
	}
	/* Back from the end: which step led to each row's point. */
	for (d = found ? d - 1 : 0, x = n, y = m; d > 0; d--) {
		const long *last = rows[d - 1] + (d - 1);

		k = x - y;
		if (k == -d || (k != d && last[k - 1] < last[k + 1])) {
			x = last[k + 1];
			y = x - k - 1;
			come[y] = true;
		} else {
			x = last[k - 1];
			y = x - k + 1;
			gone[x] = true;
		}
	}
	for (d = 0; d <= DIFFERENCES_MAX; d++)
		free(rows[d]);
	return found;
}

static void compare(struct side *a, struct side *b)
{
	long head = 0, n = a->n, m = b->n;

	while (head < n && head < m && same(&a->v[head], &b->v[head]))
		head++;
	while (n > head && m > head && same(&a->v[n - 1], &b->v[m - 1]))
		n--, m--;
	if (walk(a->v + head, n - head, b->v + head, m - head, a->touched + head,
		 b->touched + head))
		return;
	memset(a->touched + head, true, (size_t)(n - head));
	memset(b->touched + head, true, (size_t)(m - head));
}

/* A run of changes among equal lines may often slide; diff(1) shows it as far down as it goes. */
static void slide(struct side *side)
{
	for (long i = 0; i < side->n;) {
		long first = i, end;

		if (!side->touched[i]) {
			i++;
			continue;
		}
		for (end = first; end < side->n && side->touched[end];)
			end++;
		while (end < side->n && same(&side->v[first], &side->v[end])) {
			side->touched[first++] = false;
			side->touched[end++] = true;
			while (end < side->n && side->touched[end])
				end++;
		}
		i = end;
	}
}

static void put_row(struct text *out, char sign, const struct row *row)
{
	text_add(out, &sign, 1);
	text_add(out, row->s, row->len);
	if (row->s[row->len - 1] != '\n')
		text_str(out, "\n\\ No newline at end of file\n");
}

/* "3,7"; "3" for one line; an empty range is named by the line before it. */
static void put_range(struct text *out, char sign, long first, long n)
{
	if (n == 1)
		text_printf(out, "%c%ld", sign, first + 1);
	else
		text_printf(out, "%c%ld,%ld", sign, n ? first + 1 : first, n);
}

static void put_hunk(struct text *out, const struct side *a, long i, long i_end,
		     const struct side *b, long j, long j_end)
{
	text_str(out, "@@ ");
	put_range(out, '-', i, i_end - i);
	text_str(out, " ");
	put_range(out, '+', j, j_end - j);
	text_str(out, " @@\n");
	while (i < i_end || j < j_end) {
		while (i < i_end && a->touched[i])
			put_row(out, '-', &a->v[i++]);
		while (j < j_end && b->touched[j])
			put_row(out, '+', &b->v[j++]);
		for (; i < i_end && !a->touched[i] && !b->touched[j]; i++, j++)
			put_row(out, ' ', &a->v[i]);
	}
}

static void put_hunks(struct text *out, const struct side *a, const struct side *b)
{
	long i = 0, j = 0;

	for (;;) {
		long first_i, first_j, quiet = 0;

		while (i < a->n && !a->touched[i] && !b->touched[j])
			i++, j++;
		if (i >= a->n && j >= b->n)
			return;
		first_i = i - MIN(i, CONTEXT);
		first_j = j - MIN(i, CONTEXT);
		/* On until more equal lines follow than two contexts can hold. */
		while ((i < a->n || j < b->n) && quiet <= 2 * CONTEXT) {
			if (a->touched[i] || b->touched[j]) {
				quiet = 0;
				while (a->touched[i])
					i++;
				while (b->touched[j])
					j++;
			} else {
				i++, j++, quiet++;
			}
		}
		quiet -= MIN(quiet, CONTEXT);
		put_hunk(out, a, first_i, i - quiet, b, first_j, j - quiet);
	}
}

char *udiff(const char *path, const char *old, size_t old_len, const char *new, size_t new_len)
{
	struct side a = { 0 }, b = { 0 };
	struct text out = { 0 };

	side_init(&a, old ? old : "", old ? old_len : 0);
	side_init(&b, new ? new : "", new ? new_len : 0);
	compare(&a, &b);
	slide(&a);
	slide(&b);
	text_printf(&out, "--- %s%s\n", old ? "a" : "/dev/null", old ? path : "");
	text_printf(&out, "+++ %s%s\n", new ? "b" : "/dev/null", new ? path : "");
	put_hunks(&out, &a, &b);
	side_fini(&a);
	side_fini(&b);
	return text_steal(&out, NULL);
}
