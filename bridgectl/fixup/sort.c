/*
 * Heapsort: the greatest element is on top of a heap of those that are left; it goes to their end.
 * Needs no memory of its own, and no input makes it slow.
 */
#include "bridgectl/fixup/sort.h"

struct heap {
	char *base;
	size_t size;
	int (*compare)(const void *, const void *);
};

static char *at(const struct heap *h, size_t i)
{
	return h->base + i * h->size;
}

static void swap(const struct heap *h, size_t i, size_t k)
{
	char *a = at(h, i), *b = at(h, k);

	for (size_t n = 0; n < h->size; n++) {
		char c = a[n];

		a[n] = b[n];
		b[n] = c;
	}
}

/* The element at `i` goes down until it is not below one of its two children, of `n` elements. */
static void sink(const struct heap *h, size_t i, size_t n)
{
	for (size_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
		if (child + 1 < n && h->compare(at(h, child), at(h, child + 1)) < 0)
			child++;
		if (h->compare(at(h, i), at(h, child)) >= 0)
			return;
		swap(h, i, child);
		i = child;
	}
}

void sort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *))
{
	const struct heap h = { base, size, compare };

	for (size_t i = n / 2; i-- > 0;)
		sink(&h, i, n);
	while (n > 1) {
		swap(&h, 0, --n);
		sink(&h, 0, n);
	}
}
