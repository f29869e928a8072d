/*
 * Quoting. A word that has only characters which no shell looks at stays as it is, because people
 * read these scripts. Others go between single quotes; a word with a single quote or a dollar sign
 * in it, which would look like a mistake there, between double ones, with a backslash in
 * front of the four characters that mean something in them.
 */
#include "bridgectl/disk/quote.h"

#include <string.h>

#include "common/util.h"

void quote_word(FILE *f, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-./:@%+,";
	char mark;

	if (*s && s[strspn(s, plain)] == '\0') {
		fputs(s, f);
		return;
	}
	mark = strpbrk(s, "'$`") ? '"' : '\'';
	fputc(mark, f);
	for (; *s; s++) {
		if (mark == '"' && strchr("$`\"\\", *s))
			fputc('\\', f);
		fputc(*s, f);
	}
	fputc(mark, f);
}

void quote_words(FILE *f, const char *s)
{
	for (s += strspn(s, " "); *s; s += strspn(s, " ")) {
		size_t len = strcspn(s, " ");
		_cleanup_free_ char *word = strndup(s, len);

		quote_word(f, word ? word : "");
		fputc(' ', f);
		s += len;
	}
}
