/*
 * Quoting. A word that has only characters which no shell looks at stays as it is, because
 * people read these scripts; anything else goes between single quotes, where only the single
 * quote itself means something.
 */
#include "bridgectl/disk/quote.h"

#include <string.h>

void quote_word(FILE *f, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-./:@%+,";

	if (*s && s[strspn(s, plain)] == '\0') {
		fputs(s, f);
		return;
	}
	fputc('\'', f);
	for (; *s; s++)
		if (*s == '\'')
			fputs("'\\''", f);
		else
			fputc(*s, f);
	fputc('\'', f);
}

void quote_words(FILE *f, const char *s)
{
	char word[256];

	for (s += strspn(s, " "); *s; s += strspn(s, " ")) {
		size_t len = strcspn(s, " ");

		snprintf(word, sizeof(word), "%.*s", (int)len, s);
		quote_word(f, word);
		fputc(' ', f);
		s += len;
	}
}
